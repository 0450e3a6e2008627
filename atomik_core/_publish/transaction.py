"""Entries that are published together, be it one or many: completed, synced, placed, made durable, settled; or undone; or dropped.

The order, and what becomes of it when something fails or is interrupted, is written here and nowhere else.
"""

from __future__ import annotations

import errno
import os
import stat

from .._os import calls, rename
from .._os import sync as _sync
from .._os.descriptors import Descriptors, process
from .._plugins import hooks
from ..errors import AtomikError, ExtrasError
from . import claims, explain, placing, steps
from .content import MadeContent
from .destination import Directories
from .entry import Entry
from .options import Options
from .staging import Unnamed, Wrapped, keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from functools import partial
    from typing import Any, Final, Literal, TypeAlias

    from .._os.levels import Sync
    from .destination import DestinationDirectory
    from .staging import Holder, Wrapper
    from .step_types import Step

    #: The entries in the order in which they are published, each with the publication that its user and the hooks see.
    Members: TypeAlias = dict[Entry, Any]
else:
    from _functools import partial  # functools itself takes longer to import than a publication


#: How often a step that is interrupted again and again is begun again.
_TRIES: Final = 9

#: So many new folders of a group stay open until all are placed; of more only their birth is remembered.
_MOST_OPEN: Final = 128


class SyncBatch:
    """What is synced at once: all that a transaction has on one filesystem.

    A handful of files stay open to be fsynced each; more are synced as a whole, or, where syncfs is not to be relied on, as
    they come.
    """

    __slots__ = ("_directory", "_entries", "_is_whole", "_keeps_open")

    def __init__(self, directory: DestinationDirectory, *, keeps_open: bool) -> None:
        """Begin to collect.

        Args:
            directory: the first one on the filesystem, opened before anything is made there: syncfs reports each error since.
            keeps_open: whether the descriptors of all content may stay open.
        """
        self._directory = directory
        self._keeps_open = keeps_open
        self._entries: list[Entry] = []
        self._is_whole = False

    def add(self, entry: Entry, sync: Sync) -> None:
        """Take complete content."""
        if sync == "off":
            self._flush(entry)
        elif self._keeps_open:
            entry.name_before_sync()
            self._entries.append(entry)
        elif entry.kind == "symlink":
            self._entries.append(entry)
        elif not self._directory.filesystem.has_reliable_syncfs:
            _sync.sync_tree(entry.staged.content)
            entry.close()
        else:
            self._entries.append(entry)
            if len(self._entries) > _sync.HANDFUL or entry.kind == "folder":
                self._is_whole = True
            if self._is_whole:
                for each in self._entries:
                    each.close()

    def _flush(self, entry: Entry) -> None:
        is_named_file = entry.kind == "file" and not isinstance(entry.staging, Unnamed)
        if is_named_file and not self._directory.filesystem.has_reliable_sync:
            _sync.flush_to_server(entry.staged.content)
        if not self._keeps_open:
            entry.close()

    def forget(self, entry: Entry) -> None:
        """Leave out what is not to be published."""
        if entry in self._entries:
            self._entries.remove(entry)

    def sync(self) -> None:
        """Make what was added durable."""
        if not self._entries:
            return
        contents = []
        for entry in self._entries:
            if entry.kind == "symlink":
                os.fsync(entry.named.source[0])  # a link is in its folder's blocks
            elif entry.staged.content != -1:
                contents.append(entry.staged.content)
        oldest = self._directory.fd if self._directory.readable else next(iter(contents), -1)
        if self._is_whole:
            calls.syncfs(oldest)
        elif len(contents) == 1 and self._entries[0].kind == "file":
            os.fsync(contents[0])
        elif contents:
            _sync.sync_data(contents, oldest, self._directory.filesystem)


class Transaction:
    """What is shared by entries that are published together, and what is done with them.

    The entries themselves belong to who calls: a publication to itself, a group to its members.

    Attributes:
        is_shared: whether several entries may come.
        must_exchange: whether a file that cannot be exchanged with the one that it replaces is an error.
    """

    __slots__ = (
        "__weakref__",
        "_aborted",
        "_batches",
        "_directories",
        "_failed",
        "_fds",
        "_left_out",
        "_pid",
        "_placed",
        "_places",
        "_sync",
        "is_shared",
        "must_exchange",
    )

    def __init__(self, sync: Sync, *, is_shared: bool, must_exchange: bool = True) -> None:
        """Begin with no entry.

        Args:
            sync: how much a power cut may take.
            is_shared: whether several entries may come.
            must_exchange: whether a file that cannot be exchanged with the one that it replaces is an error; if not, it
                replaces that for good, and cannot be undone.
        """
        self._sync = sync
        self.is_shared = is_shared
        self.must_exchange = must_exchange
        self._pid = process.pid
        self._fds = Descriptors()
        self._directories = Directories(self._fds, shares=is_shared)
        self._batches: dict[int, SyncBatch] = {}
        self._places: dict[tuple[DestinationDirectory, str], Entry] = {}
        # Whether every entry was placed, before anybody can be interrupted; whether everything was discarded.
        self._placed = False
        self._aborted = False
        # Whether an entry was dropped, whose parents may be for nobody.
        self._left_out = False
        self._failed: tuple[str, BaseException] | None = None

    @property
    def end(self) -> Literal["published", "discarded"] | None:
        """What has become of it, if it is at its end."""
        return "published" if self._placed else "discarded" if self._aborted else None

    @property
    def is_foreign(self) -> bool:
        """Whether this is a forked child's copy of its parent's transaction, which does nothing."""
        return self._pid != process.pid

    # One entry.

    def open(self, entry: Entry, publication: object) -> Any:
        """Check everything that can be checked, stage, and return what the user fills.

        Raises:
            OSError: what is wrong, naming the destination; then the entry is dropped.
        """
        try:
            entry.state = "open"
            handle = entry.open(self, self._fds, self._directories)
            if steps.watchers:
                steps.notify(publication, "opened")
        except BaseException as error:
            self.drop(entry, publication, error)
            path = entry.destination.path
            if isinstance(error, OSError) and error.filename != path:
                raise explain.at_destination(error, path) from error
            raise
        return handle

    def claim(self, entry: Entry) -> None:
        """See that no other entry has the place that this one has, now that its directory is open.

        Raises:
            ValueError: another one has, by a path that hid it.
        """
        place = entry.destination.directory, entry.destination.name
        other = self._places.get(place)
        if other is not None and other.state != "discarded":
            raise claims.claimed_twice(entry.destination.path)
        self._places[place] = entry

    def complete(self, entry: Entry, publication: object) -> None:
        """Take the content as it is now, let plugins add to it or veto it, and bring it to where it is published from.

        Raises:
            BaseException: what sealing, a plugin or the kernel says. Content that was sealed and could not be brought there is
                kept, and the error says where.
        """
        default_mode = entry.content.seal(entry)
        if publication is not None:
            if steps.watchers:
                steps.notify(publication, "sealed")
            if hooks.are_called():
                hooks.before_publish(publication)
        try:
            entry.move_beside()
            entry.content.set_metadata(entry, default_mode)
            if entry.identity is None:
                entry.identify()
        except OSError as error:
            failure = entry.explain(error)
            self._keep_finished([entry], failure)
            if failure is error:
                raise
            raise failure from error
        if self._sync != "off" or not isinstance(entry.staging, Unnamed):
            self._batch(entry).add(entry, self._sync)
        entry.is_complete = True

    def _batch(self, entry: Entry) -> SyncBatch:
        directory = entry.destination.directory
        if directory.device not in self._batches:
            first = self._directories.first_on(directory)
            self._batches[directory.device] = SyncBatch(first, keeps_open=not self.is_shared)
        return self._batches[directory.device]

    def drop(self, entry: Entry, publication: object, error: BaseException | None) -> None:
        """Discard one entry, and go on without it; of a single one nothing is left then.

        Trouble on the way becomes a note of `error`, never an error instead of it.
        """
        if not self.is_shared:
            self.abort({entry: publication}, error)
            return
        self._left_out = True
        if error is not None and self._failed is None:
            self._failed = entry.destination.path, error
        for batch in self._batches.values():
            batch.forget(entry)
        members = {entry: publication}
        self._discard(members, _opened(members), error, (), (entry.close,))

    # All of them.

    def commit(self, members: Members) -> None:
        """Publish: all, in order, or none.

        Raises:
            BaseException: what went wrong; the error says what has become of finished work.
        """
        try:
            self._fds.release_reserve()
            self._complete(members)
            try:
                for batch in self._batches.values():
                    batch.sync()
            except OSError as error:
                raise explain.at_destination(error, _name_all(members)) from error
            self._place(members)
            self._finish(members)
        except BaseException as error:
            self._recover(members, error)
            raise

    def _complete(self, members: Members) -> None:
        """Complete what is not yet; see that no member has failed; take in what is to be published beside them."""
        if self._failed is not None:
            path, error = self._failed
            msg = f"nothing of the group is published, since {path!r} failed before: {error!r}"
            raise AtomikError(msg) from error
        for entry, publication in tuple(members.items()):
            if not entry.is_complete:
                self.complete(entry, publication)
            if entry.made_in is not None:
                self._complete_extras(members, entry, entry.made_in)

    def _complete_extras(self, members: Members, entry: Entry, made_in: Wrapper) -> None:
        try:
            for extra in self.adopt(made_in, entry.extras, entry, overwrite=entry.options.overwrite):
                members[extra] = None
                self.complete(extra, None)
        except OSError as error:
            entry.keep(error)
            keep([made_in], error)
            raise

    def adopt(self, made_in: Wrapper, extras: Iterable[str], entry: Entry, *, overwrite: bool) -> Iterator[Entry]:
        """Make entries of what a program has made beside others; the hooks see only those others.

        Of a folder that is there already, one of each thing in it, as if the program had written there.

        Args:
            made_in: the staging folder.
            extras: their paths in it.
            entry: the one whose other options they get.
            overwrite: whether they replace what is there.

        Raises:
            ExtrasError: one is an output, too.
            OSError: what is wrong with a destination.
        """
        for inner in sorted(extras):
            path, place = place_of_extra(made_in, inner, entry), entry.destination.given_directory
            if made_in.mirrors is not None:
                place = self._directories.open(os.path.dirname(path), parents=True)
            yield from self._adopt(made_in, inner, place, path, entry, overwrite)

    def _adopt(
        self, made_in: Wrapper, inner: str, place: DestinationDirectory, path: str, entry: Entry, overwrite: bool
    ) -> Iterator[Entry]:
        name = os.path.basename(inner)
        mode = os.stat(inner, dir_fd=made_in.fd, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and _is_folder(place.fd, name):
            os.chmod(inner, stat.S_IMODE(mode) | stat.S_IRWXU, dir_fd=made_in.fd)
            here = self._directories.open(name, dir_fd=place.fd, path=os.path.join(place.path, name))
            for each in sorted(os.listdir(os.path.join(made_in.path, inner))):
                yield from self._adopt(made_in, f"{inner}/{each}", here, os.path.join(path, each), entry, overwrite)
            return
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            import logging

            logging.getLogger("atomik").warning("%s: a FIFO, socket or device holds nothing, and is dropped", path)
            return
        asked = entry.options
        options = Options(
            overwrite=overwrite,
            sync=asked.sync,
            tmp_dir=asked.tmp_dir,
            parents=asked.parents,
            # A link that was made takes the place of a link; what was written goes through it.
            follow_symlinks=not stat.S_ISLNK(mode),
            inherit=asked.inherit,
            allow_gap=asked.allow_gap,
        )
        extra = Entry(path, options, MadeContent(Wrapped(made_in, inner)))
        extra.destination.set_directory(place)
        extra.state = "open"
        try:
            extra.open(self, self._fds, self._directories)
        except ValueError as error:
            msg = "It was made beside the outputs, and is an output itself, which is made at another path"
            raise ExtrasError(errno.EEXIST, msg, path) from error
        yield extra

    def keep_staged(self, error: OSError) -> None:
        """Keep everything that is staged; `error` then says where."""
        keep((wrapper for directory in self._directories for wrapper in directory.wrappers), error)

    def _place(self, members: Members) -> None:
        for entry in members:
            entry.require_staged()
        undoable = self.is_shared or len(members) > 1
        begun: list[Entry] = []
        try:
            for entry, publication in members.items():
                if steps.watchers and publication is not None:
                    steps.notify(publication, "synced")
                begun.append(entry)
                entry.place(undoable=undoable)
                if len(members) > _MOST_OPEN:
                    entry.close_placed()
            self._placed = True
        except BaseException as error:
            if not undoable and begun and begun[-1].was_placed(error):
                self._placed = True
                if isinstance(error, OSError):
                    return
                raise
            self._placed = False
            failure = entry.explain(error) if isinstance(error, OSError) else error
            for each in reversed(begun) if undoable else ():
                each.undo(failure)
            if isinstance(failure, OSError):
                self._keep_finished(members, failure)
            if failure is error:
                raise
            raise failure from error

    def _finish(self, members: Members) -> None:
        """Make the new names durable, each directory once; then let the old versions go."""
        for entry in members:
            entry.state = "published"
        trouble: list[BaseException] = []
        try:
            try:
                self._sync_names(members)
            except BaseException as error:
                self._leave_old_versions(members, error)
                raise
            if (
                steps.watchers
                or self._left_out
                or self._directories.have_wrappers
                or any(entry.holds_something for entry in members)
            ):
                self._settle(members, trouble)
        finally:
            self._fds.close_all()
        if hooks.are_called():
            for publication in members.values():
                if publication is not None:
                    _attempt(trouble, hooks.after_publish, publication)
        if trouble:
            raise trouble[0]

    def _sync_names(self, members: Members) -> None:
        failed = None
        try:
            if steps.watchers:
                for entry, publication in members.items():
                    failed = entry
                    if publication is not None:
                        steps.notify(publication, "published")
                failed = None
            if self._sync == "full":
                _sync.fsync_directories(self._directories_of(members))
        except OSError as error:
            raise explain.not_durable(error, failed.destination.path if failed else _name_all(members)) from error

    def _directories_of(self, members: Members) -> Iterable[int]:
        """Yield the directories in which names were made, each once, open for as long as no other is used."""
        directories = [entry.destination.directory for entry in members] + self._directories.above_created
        return (directory.fd for directory in dict.fromkeys(directories))

    def _leave_old_versions(self, members: Members, error: BaseException) -> None:
        """Remove what no old version is in; those stay, since a power cut may bring them back."""
        for entry in members:
            entry.rescue_old(error)
        for entry in members:
            entry.leave()
        published = {entry.identity for entry in members}
        holding = {entry.staging.wrapper for entry in members if isinstance(entry.staging, Wrapped) and entry.holds_old}
        for directory in self._directories:
            for wrapper in directory.wrappers:
                if wrapper not in holding:
                    wrapper.remove()
                    continue
                for name in wrapper.entries():
                    if rename.identity(wrapper.fd, name) in published:
                        os.unlink(name, dir_fd=wrapper.fd)

    def _settle(self, members: Members, trouble: list[BaseException]) -> None:
        """Move old versions to their backups, remove the others; whatever happens, do all of it."""
        _attempt(trouble, self._keep_old, members)
        for entry, publication in members.items():
            if steps.watchers:
                _notify(trouble, publication, "durable")
            if entry.holds_something:
                _ensure(trouble, [entry.remove_displaced, entry.leave])
        _ensure(trouble, [self._directories.remove_wrappers])
        if self._left_out:
            _ensure(trouble, [self._directories.remove_created])
        if steps.watchers:
            for publication in members.values():
                _notify(trouble, publication, "tidied")

    def _keep_old(self, members: Members) -> None:
        trouble: OSError | None = None
        directories: list[Holder] = []
        replaced = [entry for entry in members if entry.has_backup]
        for entry in replaced:
            try:
                directories += entry.keep_old()
            except OSError as error:
                trouble = trouble or error
        if directories and self._sync == "full":
            try:
                _sync.fsync_directories(directory.fd for directory in dict.fromkeys(directories))
            except OSError as error:
                raise explain.not_durable(error, _name_all(members)) from error
        for entry in replaced:
            entry.drop_older_backup()
        if trouble is not None:
            raise trouble

    def _recover(self, members: Members, error: BaseException) -> None:
        """Bring to its end what was interrupted or failed at any point."""
        if all(entry.state == "published" for entry in members) and members:
            return
        if not self._placed:
            self.abort(members, error)
            return
        try:
            self._finish(members)
        except Exception as trouble:  # noqa: BLE001 - it must not hide the interrupt
            error.add_note(f"atomik: {trouble}")

    def abort(self, members: Members, error: BaseException | None) -> None:
        """Discard everything. Trouble on the way becomes a note of `error`, never an error instead of it.

        Raises:
            BaseException: an interrupt that came meanwhile, if there is no `error` to note it.
        """
        opened = _opened(members)
        before = (self._fds.release_reserve,)
        after = (self._remove_wrappers, self._directories.remove_created, self._fds.close_all, self._mark_aborted)
        try:
            self._discard(members, opened, error, before, after)
        except BaseException:
            if not self._aborted:  # interrupted between two of its steps
                self._discard(members, opened, error, before, after)
            raise

    def _mark_aborted(self) -> None:
        self._aborted = True

    def _discard(
        self,
        members: Members,
        opened: Members,
        error: BaseException | None,
        before: tuple[Callable[[], object], ...],
        after: tuple[Callable[[], object], ...],
    ) -> None:
        trouble: list[BaseException] = []
        release = [entry.content.release for entry in opened]
        remove = [partial(_remove_staged, entry) for entry in reversed(opened)]
        _ensure(trouble, [*before, partial(_mark_discarded, members), *release, *remove, *after])
        if steps.watchers:
            for publication in opened.values():
                _notify(trouble, publication, "discarded")
        for publication in opened.values():
            if publication is not None:
                _attempt(trouble, hooks.discarded, publication, error)
        if error is not None:
            what = ", ".join(repr(entry.destination.path) for entry in members)
            for each in trouble:
                error.add_note(f"atomik: while discarding {what}: {str(each) or repr(each)}")
            return
        for each in trouble:
            if not isinstance(each, Exception) or hooks.is_strict():
                raise each

    def _keep_finished(self, entries: Iterable[Entry], failure: OSError) -> None:
        """Keep finished work that could not be published, unless a rival's version is there; `failure` then says where."""
        if isinstance(failure, placing.RIVAL):
            return
        wrappers: dict[Wrapper, None] = {}
        for entry in entries:
            if self.is_shared:
                entry.return_to_wrapper()
            if not self.is_shared or not isinstance(entry.staging, Wrapped):
                entry.keep(failure)
            else:
                wrappers[entry.staging.wrapper] = None
        keep(wrappers, failure)

    def _remove_wrappers(self) -> None:
        left = self._directories.remove_wrappers()
        if left:
            msg = f"not everything that was staged could be removed; it stays at {', '.join(map(repr, left))}"
            raise AtomikError(msg)


def place_of_extra(made_in: Wrapper, inner: str, entry: Entry) -> str:
    """Return where that is to be which a program has made at a path in a staging folder: beside an entry's destination.

    In a staging folder that takes the place of another directory, it is at the same path in that.
    """
    return os.path.join(made_in.mirrors or os.path.dirname(entry.destination.path.rstrip("/")), inner)


def _is_folder(directory: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory).st_mode)
    except OSError:
        return False


def _name_all(members: Members) -> str:
    if not members:
        return ""
    first, *others = (entry.destination.path for entry in members)
    return f"{first} and {len(others)} more" if others else first


def _attempt(trouble: list[BaseException], step: Callable[..., object], *arguments: object) -> None:
    """Do a step of what has to be done as a whole, whatever goes wrong."""
    try:
        step(*arguments)
    except BaseException as error:  # noqa: BLE001 - the others have to be done, too
        trouble.append(error)


def _ensure(trouble: list[BaseException], jobs: list[Callable[[], object]]) -> None:
    """Do every job, whatever goes wrong, each of which may be done twice: the one that an interrupt falls into is done again."""
    left = jobs[::-1]
    tries = 0
    while left:
        try:
            while left:
                try:
                    left[-1]()
                except Exception as error:  # noqa: BLE001 - the others have to be done, too
                    trouble.append(error)
                left.pop()
                tries = 0
        except BaseException as interrupt:  # noqa: BLE001 - the same
            trouble.append(interrupt)
            tries += 1
            if tries > _TRIES:
                left.pop()


def _opened(members: Members) -> Members:
    return {entry: publication for entry, publication in members.items() if entry.state == "open"}


def _mark_discarded(members: Members) -> None:
    for entry in members:
        entry.state = "discarded"


def _notify(trouble: list[BaseException], publication: object, step: Step) -> None:
    if publication is not None:
        _attempt(trouble, steps.notify, publication, step)


def _remove_staged(entry: Entry) -> None:
    left = entry.remove()
    if left is not None:
        msg = f"not everything that was staged could be removed; it stays at {left!r}"
        raise AtomikError(msg)
