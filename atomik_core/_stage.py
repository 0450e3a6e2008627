"""`atomik.stage`: outputs that somebody else's program makes, published together."""

from __future__ import annotations

import errno
import os
import stat
import time

from ._os import mounts, paths, remove, rename
from ._os.descriptors import REAL_DIRECTORY
from ._os.names import is_removed_file, is_reserved, kept_name
from ._os.sync import resolve_level
from ._plugins import hooks
from ._publish import work
from ._publish.block import JointBlock
from ._publish.claims import Claims
from ._publish.content import StagedContent, require_extras
from ._publish.options import Options
from ._publish.publication import Publication
from ._publish.staging import Wrapped
from ._publish.transaction import Transaction, place_of_extra
from .errors import DirectWriteError, ExtrasError, FileAlreadyExistsError, NothingStagedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any, Final, Literal, Self, TypeAlias

    from ._os.levels import Sync
    from ._publish.content import Extras
    from ._publish.destination import DestinationDirectory
    from ._publish.entry import Entry
    from ._publish.options import StrPath
    from ._publish.staging import Wrapper
    from ._publish.transaction import Members
    from ._publish.work import Found

    #: What has become of an output: it went through the stage; the program wrote to its destination itself; it stays as it was,
    #: since the program did not change the copy of it; the program made nothing.
    Outcome: TypeAlias = Literal["published", "direct", "unchanged", "missing"]

#: In nanoseconds.
_SECOND: Final = 10**9

#: How many seconds a tick of a filesystem's clock lasts, about; and how long to wait for one at most (FAT's last two seconds).
_TICK: Final = 0.004
_LONGEST_TICK: Final = 0.05

#: What the kernel says of a path at which nothing is that we could know of.
_NOT_THERE: Final = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}

#: As many symbolic links as the kernel follows (path_resolution(7)).
_MOST_LINKS: Final = 40


class StageReport:
    """What a stage did.

    Attributes:
        outputs: for each output, what has become of it. ``"published"``: it is published; ``"direct"``: the program wrote to
            the destination itself, which stays as the program left it, and was not atomic; ``"unchanged"``: the copy of the
            old version was not changed, and the old version stays; ``"missing"``: nothing was made.
        extras: the paths at which what was made beside the outputs has been published.
        kept: for each output whose destination the program wrote to as well: the path to which that version was moved when the
            staged version replaced it.
        kept_extras: for each path beside the outputs whose version was to be kept (`keep_replaced` of :meth:`Stage.publish`): the
            path to which that was moved.
    """

    __slots__ = ("extras", "kept", "kept_extras", "outputs")

    def __init__(self) -> None:
        self.outputs: dict[Hashable, Outcome] = {}
        self.extras: tuple[Path, ...] = ()
        self.kept: dict[Hashable, Path] = {}
        self.kept_extras: dict[Path, Path] = {}

    def __repr__(self) -> str:
        return f"<StageReport: outputs={self.outputs!r}, extras={self.extras!r}, kept={self.kept!r}>"


class _Output:
    """One output: where it is to be, and where it is made."""

    __slots__ = (
        "destination",
        "followed",
        "is_folder",
        "key",
        "member",
        "opened_at",
        "outer",
        "path",
        "relative",
        "staged_as",
    )

    def __init__(self, key: Hashable, destination: str) -> None:
        self.key = key
        self.is_folder = destination.endswith("/")
        self.destination = destination
        #: The same, whatever the working directory is later.
        self.path = os.path.join(os.getcwd(), destination)
        #: The output that it lies in, and its path from there.
        self.outer: _Output | None = None
        self.relative = ""
        #: Its publication, and its path in the staging folder, if it does not lie in another one.
        self.member: Publication[Any] | None = None
        self.staged_as = ""
        #: The symbolic link at the destination that was followed.
        self.followed: tuple[int, int] | None = None
        #: What is changed at the destination from then on is the program's doing, or a rival's; by the destination's clock.
        self.opened_at = 0

    @property
    def top(self) -> _Output:
        """The outermost output that it lies in, or itself."""
        return self if self.outer is None else self.outer.top

    @property
    def inner(self) -> str:
        """Its path in the staging folder."""
        return self.staged_as if self.outer is None else f"{self.outer.inner}/{self.relative}"

    @property
    def entry(self) -> Entry:
        """What is published, itself or with what it lies in."""
        member = self.top.member
        assert member is not None  # noqa: S101 - once the stage is open
        return member._entry


class _Place:
    """A staging folder for the outputs of one directory, or of one and all that is below it; and what we put there ourselves.

    Attributes:
        wrapper: the staging folder.
        path: its path.
        published_in: the directory whose place it takes.
        entry: the first of those outputs.
        made: the folders that were made for outputs to lie in, as paths from the staging folder.
        copied: when each old version was copied there, by the filesystem's clock.
    """

    __slots__ = ("copied", "entry", "made", "path", "published_in", "wrapper")

    def __init__(self, wrapper: Wrapper, published_in: str, entry: Entry) -> None:
        self.wrapper = wrapper
        self.path = wrapper.path  # the working directory of this moment counts
        self.published_in = published_in
        self.entry = entry
        self.made: set[str] = set()
        self.copied: dict[str, int] = {}

    def find(self, output: _Output) -> Found:
        """Say whether an output was made, or only what we have put there is there."""
        return work.find(self.wrapper.fd, output.inner, self.made, self.copied)

    def is_link(self, output: _Output) -> bool:
        """Say whether a symbolic link was made."""
        return stat.S_ISLNK(os.stat(output.inner, dir_fd=self.wrapper.fd, follow_symlinks=False).st_mode)

    def is_same(self, output: _Output) -> bool:
        """Say whether what was made is another link to the very file that stands at the destination."""
        destination = output.entry.destination
        return rename.identity(self.wrapper.fd, output.inner) == rename.identity(
            destination.directory.fd, destination.name
        )

    def make_way(self, output: _Output) -> None:
        """Make the folders in which an output lies."""
        self.make_folders(os.path.dirname(output.inner))

    def make_folders(self, folder: str) -> None:
        """Make a folder, and those that it lies in."""
        path = ""
        for name in folder.split("/") if folder else ():
            path = os.path.join(path, name)
            try:
                os.mkdir(path, dir_fd=self.wrapper.fd)
            except FileExistsError:
                continue
            self.made.add(path)

    def target(self, link: str) -> str:
        """Return what a symbolic link at a staged path will say where it is published."""
        adapter = work.LinkAdapter(self.path, self.published_in, self.wrapper.neighbours)
        return adapter.target(os.readlink(link), os.path.dirname(link)[len(self.path) :].lstrip("/"))

    def remove_unchanged(self) -> None:
        """Remove what we have put there ourselves, as far as no program has made anything of it."""
        for path in self.copied:
            if work.find(self.wrapper.fd, path, (), self.copied) == "copy":
                remove.remove_if_unlocked(self.wrapper.fd, path)
        work.remove_unused(self.wrapper.fd, self.made)

    def clear(self, path: str) -> None:
        """Remove the folders that we made at a path and in it, as far as nothing is in them."""
        made = {each for each in self.made if paths.is_in(each, path)}
        work.remove_unused(self.wrapper.fd, made)
        self.made -= made

    def extras(self, outputs: Collection[str], folder: str = "") -> Iterator[str]:
        """Yield the paths of what was made beside the outputs.

        Args:
            outputs: the paths of these, from the staging folder.
            folder: where to look.
        """
        for name in sorted(self.wrapper.entries(folder)):
            path = os.path.join(folder, name)
            if path in outputs or is_removed_file(name):
                continue
            if path in self.made and rename.is_folder(self.wrapper.fd, path):
                yield from self.extras(outputs, path)
            else:
                yield path

    def published_as(self, inner: str) -> Iterator[str]:
        """Yield the path at which something that was made beside the outputs will be, or each path in a folder that is there.

        Args:
            inner: its path from the staging folder.
        """
        path = place_of_extra(self.wrapper, inner, self.entry)
        if os.path.isdir(path) and rename.is_folder(self.wrapper.fd, inner):
            for name in sorted(self.wrapper.entries(inner)):
                yield from self.published_as(f"{inner}/{name}")
        else:
            yield path

    def next_tick(self) -> int:
        """Return a moment after all that was done so far, in nanoseconds by the filesystem's clock.

        What is done from now on has this time or a later one, though the clock ticks once in some milliseconds only.
        """
        first = now = self.wrapper.touch()
        give_up = time.monotonic() + _LONGEST_TICK
        while now == first and time.monotonic() < give_up:
            time.sleep(_TICK / 4)
            now = self.wrapper.touch()
        if now != first and now % _SECOND == 0:
            # exfat-fuse stamps a touch by the exact clock, and a write by time(3), which may be a tick behind.
            time.sleep(_TICK)
        return now


class _Places:
    """The staging folders, by the directories of the outputs. It knows nothing of the stage, which is no cycle then."""

    __slots__ = ("_by_directory", "_neighbours", "_on_mounts", "_root", "_root_tmp_dir", "_shared")

    def __init__(self, root: str | None, root_tmp_dir: str | None) -> None:
        """Have none yet.

        Args:
            root: the directory below which all that is on one mount is staged in one folder.
            root_tmp_dir: where to make the folder for all that is on the mount of that; None: in the root.
        """
        self._by_directory: dict[DestinationDirectory, tuple[_Place, str]] = {}
        self._neighbours: list[tuple[str, str]] = []
        self._root = root
        self._root_tmp_dir = root_tmp_dir
        self._shared: _Place | None = None
        #: Those for what is on other mounts, by the directory that each is in.
        self._on_mounts: dict[DestinationDirectory, _Place] = {}

    def __iter__(self) -> Iterator[_Place]:
        return iter(dict.fromkeys(place for place, _ in self._by_directory.values()))

    def directories(self) -> Iterator[tuple[str, str, _Place]]:
        """Yield each directory in which something is published, the path that is its place in a staging folder, and that folder.

        A directory below a root may be a symbolic link to anywhere; in the staging folder it is none.
        """
        for directory, (place, folder) in self._by_directory.items():
            yield directory.path, os.path.join(place.path, folder).rstrip("/"), place
        for shared in (self._shared, *self._on_mounts.values()):
            if shared is not None:
                yield shared.published_in, shared.path, shared

    def of(self, entry: Entry) -> _Place:
        """Return that of an output's directory."""
        return self._by_directory[entry.destination.given_directory][0]

    def stage(self, entry: Entry) -> Wrapped:
        """Return where an output is to be made; the staging folder is made if there is none for its directory yet.

        Raises:
            ValueError: it has a name that is ours in a staging folder.
        """
        destination = entry.destination
        directory, name = destination.given_directory, destination.given_name
        if directory not in self._by_directory:
            beside = self._below_root(entry)
            self._by_directory[directory] = beside or (self._new(entry.new_wrapper(), directory.path, entry), "")
        place, folder = self._by_directory[directory]
        if not folder and is_reserved(name):
            msg = f"{destination.path!r} has a name that Atomik uses itself in its staging folders; choose another"
            raise ValueError(msg)
        return Wrapped(place.wrapper, os.path.join(folder, name))

    def _new(self, wrapper: Wrapper, published_in: str, entry: Entry) -> _Place:
        place = _Place(wrapper, published_in, entry)
        self._neighbours.append((place.path, published_in))
        wrapper.neighbours = self._neighbours
        return place

    def _below_root(self, entry: Entry) -> tuple[_Place, str] | None:
        """Return the folder for an output's directory in a staging folder that takes the place of the root, or of a directory in it.

        None if the output does not lie in the root.
        """
        directory = entry.destination.given_directory
        path = os.path.normpath(directory.path)
        if self._root is None or not (self._root_tmp_dir or paths.is_in(path, self._root)):
            return None
        place = self._shared or self._share(self._root, entry)
        if not paths.is_in(path, self._root) or not _leads_to(path, directory.fd):
            return None
        mount = mounts.mount_id(directory.fd)
        top = self._root
        if mount != mounts.mount_id(place.wrapper.fd) and not entry.options.tmp_dir:
            place, top = self._share_on_mount(path, mount, entry)
        folder = path[len(top) :].lstrip("/")
        if is_reserved(folder.partition("/")[0]):
            return None
        place.make_folders(folder)
        fd = entry.fds.open(folder or ".", REAL_DIRECTORY, dir_fd=place.wrapper.fd)
        entry.prepare_like_destination(fd)
        entry.fds.close(fd)
        return place, folder

    def _share(self, root: str, entry: Entry) -> _Place:
        """Make the root's staging folder, in which it is noted where else something is staged."""
        chosen = None if entry.options.tmp_dir else entry.open_directory(self._root_tmp_dir or root)
        self._shared = self._mirror(root, chosen, entry)
        entry.note_in(self._shared.wrapper)
        return self._shared

    def _share_on_mount(self, path: str, mount: int | None, entry: Entry) -> tuple[_Place, str]:
        """Return the staging folder for what is on another mount than the root's folder, and the directory whose place it takes.

        That is the topmost one on this mount, so that `..` leads where it would lead without a stage; or the next one that may be
        written to; at last the output's own.

        Args:
            path: the output's directory.
            mount: what that is on.
            entry: the output.
        """
        *above, own = self._directories_on_mount(path, mount)
        for top in above:
            try:
                directory = entry.open_directory(top)
                # What is made in others could not be removed, or not be found by a cleaner.
                if directory.readable and not directory.is_append_only:
                    return self._share_in(directory, top, entry), top
            except OSError:
                continue  # it may not be written to, or is gone
        return self._share_in(entry.open_directory(own), own, entry), own

    def _share_in(self, directory: DestinationDirectory, top: str, entry: Entry) -> _Place:
        """Return the staging folder in a directory, whose path is `top`; it is made if there is none yet."""
        if directory not in self._on_mounts:
            self._on_mounts[directory] = self._mirror(top, directory, entry)
        return self._on_mounts[directory]

    def _directories_on_mount(self, path: str, mount: int | None) -> list[str]:
        """Return a directory and those above it in the root, as far as they are on its mount, the topmost first."""
        found = [path]
        for above in paths.above(path):
            if not paths.is_in(above, self._root or "") or mounts.mount_id_at(above) != mount:
                break
            found.append(above)
        return found[::-1]

    def _mirror(self, top: str, directory: DestinationDirectory | None, entry: Entry) -> _Place:
        """Make a staging folder in a directory, or in the tmp_dir, which takes the place of the directory `top`."""
        place = self._new(entry.new_wrapper(directory), top, entry)
        place.wrapper.mirrors = top
        return place


def _leads_to(path: str, fd: int) -> bool:
    """Say whether a path leads to an open directory: one with `..` behind a symbolic link does not once that is left out."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except OSError:
        return False


class Stage(JointBlock):
    """Outputs that a program makes at staged paths, and that are published together at the end of the block.

    Made by :func:`atomik.stage`; its ``with`` yields it. ``stage[key]`` is the path to give to the program. Without ``with``,
    call `open`, then `publish` or `discard`. A stage that is garbage-collected unfinished is discarded; in a forked child it
    does nothing. It belongs to one thread at a time.
    """

    __slots__ = ("__weakref__", "_extras", "_options", "_outputs", "_places", "_report", "_strict")

    def __init__(
        self,
        outputs: Mapping[Any, StrPath] | Sequence[StrPath],
        options: Options,
        extras: Extras,
        *,
        root: str | None,
        root_tmp_dir: str | None,
        strict: bool,
    ) -> None:
        if isinstance(outputs, str | bytes | os.PathLike):
            msg = f"outputs is {outputs!r}; it takes a mapping or a sequence of paths, such as [{outputs!r}]"
            raise TypeError(msg)
        require_extras(extras)
        pairs: Iterable[tuple[Hashable, StrPath]] = outputs.items() if hasattr(outputs, "items") else enumerate(outputs)
        self._options = options
        self._extras = extras
        self._strict = strict
        self._outputs = {key: _Output(key, os.fsdecode(path)) for key, path in pairs}
        self._report = StageReport()
        self._was_opened = False
        self._places = _Places(root, root_tmp_dir)
        self._transaction = Transaction(options.sync, is_shared=True, must_exchange=False)
        self._nest()
        if root_tmp_dir is not None:
            self._require_outside(root_tmp_dir)

    def _require_outside(self, directory: str) -> None:
        """Raise ValueError if a directory to stage in lies inside an output, or is one."""
        for output in self._outputs.values():
            if not os.path.isdir(output.path):
                continue
            replaced = os.path.realpath(output.path) if self._options.follow_symlinks else _real(output.path)
            if paths.is_in(os.path.realpath(directory), replaced):
                msg = (
                    f"root_tmp_dir {directory!r} lies inside the output {output.destination!r}, which is replaced as a whole; "
                    "choose another"
                )
                raise ValueError(msg)

    def _nest(self) -> None:
        """Find out which outputs lie in others, and see that no two are the same.

        Raises:
            ValueError: two outputs have one destination.
        """
        by_path: dict[str, _Output] = {}
        for output in self._outputs.values():
            path = os.path.normpath(output.path)
            if path in by_path:
                msg = f"{output.destination!r} is the destination of two outputs; each is made once"
                raise ValueError(msg)
            by_path[path] = output
        for path, output in by_path.items():
            outer = next((above for above in paths.above(path) if above in by_path), None)
            if outer is not None:
                output.outer = by_path[outer]
                output.relative = os.path.relpath(path, outer)

    # What the user asks.

    def __getitem__(self, key: Any) -> Path:
        return self.staged(key)

    def __iter__(self) -> Any:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def staged(self, key: Any) -> Path:
        """The path at which the program is to make this output.

        Its name is the destination's. Outputs of one directory are in one directory, and an output that lies in another one is
        at the same place in it. Nothing is there yet.

        Raises:
            KeyError: there is no such output.
            ValueError: the stage is not open.
        """
        return _as_path(self._staged_path(key))

    def _staged_path(self, key: Any) -> str:
        output = self._outputs[key]
        if self.state != "open":
            msg = f"nothing is staged: the stage is {self.state}; use it with `with`, or open() it"
            raise ValueError(msg)
        return os.path.join(self._place(output).path, output.inner)

    def destination(self, key: Any) -> Path:
        """The path that this output is published to, as it was given."""
        return _as_path(self._outputs[key].destination)

    def old(self, key: Any) -> Path | None:
        """The path of the version that is there now, readable until the new one takes its place; None if there is none."""
        output = self._outputs[key]
        return _as_path(output.destination) if os.path.lexists(output.path) else None

    def copy_old(self, key: Any) -> Path:
        """Copy the version that is there now to the staged path, for a program that changes it; return the staged path.

        If the program does not change the copy, the copy is not taken for its work: the old version stays.

        Raises:
            FileNotFoundError: there is no version yet.
            OSError: it cannot be copied.
            ValueError: the stage is not open.
        """
        from ._copy import copy

        output = self._outputs[key]
        staged = self.staged(key)
        place = self._place(output)
        place.clear(output.inner)
        try:
            with hooks.hooks_suppressed():
                copy(output.path.rstrip("/"), staged, sync="off")
        finally:
            self._make_ways()
        place.copied[output.inner] = place.next_tick()
        return staged

    def make_folder(self, key: Any, inner: str = "") -> Path:
        """Make a folder at the staged path, or at the path `inner` in it, for a program that wants to find one; return its path.

        It is not taken for the program's work: a folder in which nothing is made is as if nothing were there.

        Raises:
            KeyError: there is no such output.
            NotADirectoryError: a file is there.
            OSError: it cannot be made.
            ValueError: the stage is not open; `inner` leads out of the output.
        """
        self._require_open("laid out")
        output = self._outputs[key]
        place, path = self._place(output), os.path.normpath(os.path.join(output.inner, inner))
        if not paths.is_in(path, output.inner):
            msg = f"inner is {inner!r}, which leads out of the output; it takes a path in it"
            raise ValueError(msg)
        place.make_folders(path)
        folder = os.path.join(place.path, path)
        if not os.path.isdir(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
        return _as_path(folder)

    def resolved(self, key: Any) -> Path:
        """The path at which to look, while the stage is open, at what this output will be once all are published.

        That is its staged path; if a symbolic link was made there, it is what the link will lead to from its destination, which
        may be another output of the stage, or what was made beside one.

        Raises:
            KeyError: there is no such output.
            OSError: what is there cannot be looked at.
            ValueError: the stage is not open.
        """
        return _as_path(self._resolve(key))

    def _resolve(self, key: Any) -> str:
        staged, path = self._staged_path(key), self._outputs[key].path
        place: _Place | None = self._place(self._outputs[key])
        for _ in range(_MOST_LINKS):
            if not stat.S_ISLNK(_mode(staged)):
                break
            target = os.readlink(staged) if place is None else place.target(staged)
            path = _real(os.path.join(os.path.dirname(_real(path)), target))
            staged, place = self._made_at(path)
        return staged

    def _made_at(self, path: str) -> tuple[str, _Place | None]:
        """Return where that is now which will be at a path, an output or beside one, and the place that it is in if it is staged.

        Args:
            path: where it will be, without symbolic links on the way.
        """
        for directory, staged_in, place in self._places.directories():
            folder = os.path.realpath(directory)
            if paths.is_in(path, folder):
                staged = staged_in + path[len(folder) :]
                if _mode(staged):
                    return staged, place
        return path, None

    def outcomes(self) -> dict[Hashable, Outcome]:
        """Say what would become of each output if the stage were published now, in the words of :class:`StageReport`.

        Raises:
            DirectWriteError: a symbolic link at a destination was replaced, and something was made at the staged path, too.
            ValueError: the stage is not open.
        """
        self._require_open("looked at")
        return self._look({})

    def is_written(self, key: Any) -> bool:
        """Say whether a program has written to the destination of this output itself since the stage was opened.

        Of an output that lies in another one: to the destination of that.

        Raises:
            KeyError: there is no such output.
            ValueError: the stage is not open.
        """
        top = self._outputs[key].top
        self._require_open("looked at")
        if top.followed is not None and _followed_link(top.entry) != top.followed:
            return True
        return work.change_of(top.entry.destination, top.entry.old, top.opened_at) == "written"

    def extras(self) -> list[Path]:
        """The paths at which what was made beside the outputs would be published now; what stands at one would be replaced.

        Of a folder that is there already, it is the paths of what is added to it.

        Raises:
            OSError: what was made cannot be looked at.
            ValueError: the stage is not open.
        """
        self._require_open("looked at")
        return [
            _as_path(path)
            for place, made in self._made_beside().items()
            for inner in made
            for path in place.published_as(inner)
        ]

    def find(self, path: StrPath) -> Path | None:
        """Return where that is now which would be published at a path, an output or what was made beside one; None if nothing is.

        Raises:
            OSError: what is there cannot be looked at.
            ValueError: the stage is not open.
        """
        self._require_open("looked at")
        final = _real(os.path.abspath(os.fsdecode(path)))
        staged, place = self._made_at(final)
        return None if place is None else _as_path(staged)

    @property
    def report(self) -> StageReport:
        """What the stage did; complete when the stage has ended."""
        return self._report

    # The life cycle.

    def open(self) -> Self:
        """Check everything that can be checked, and stage.

        Raises:
            FileAlreadyExistsError: a destination exists, and `overwrite` is false (or it is a device, FIFO, socket).
            NotADirectoryError: a file stands where a folder is to be published.
            FileNotFoundError: a parent directory is missing, and `parents` is false.
            UnsupportedFilesystemError: a filesystem is known to be unable to keep a promise.
            OSError: whatever else the kernel says.
            ValueError: it was opened before; two outputs are one, by paths that hide it.
        """
        if self.state != "new":
            msg = f"the stage was opened before; it is {self.state}"
            raise ValueError(msg)
        hooks.load()
        self._transaction = Transaction(self._options.sync, is_shared=True, must_exchange=False)
        self._was_opened = True
        claims = Claims()
        try:
            for output in self._outputs.values():
                if output.outer is None:
                    content = StagedContent(self._places.stage, is_folder=output.is_folder)
                    output.member = Publication(output.destination, self._options, content, self._transaction)
                    claims.claim(output.entry)
                    output.member.open()
                    output.staged_as = output.entry.named.source[1]
                    output.followed = _followed_link(output.entry)
            self._make_ways()
            self._look_at_clocks()
        except BaseException as error:
            self._drop(error)
            raise
        return self

    def _look_at_clocks(self) -> None:
        """See from when on a change of what stands at a destination is the program's, by the destination's own clock."""
        tops = [output for output in self._outputs.values() if output.outer is None]
        has_old = any(output.entry.old is not None for output in tops)
        now = {place: place.next_tick() if has_old else place.wrapper.touch() for place in self._places}
        for output in tops:
            place, destination, old = self._place(output), output.entry.destination, output.entry.old
            if os.fstat(place.wrapper.fd).st_dev == os.fstat(destination.directory.fd).st_dev:
                output.opened_at = now[place]
            elif old is not None and stat.S_ISDIR(old.st_mode):
                output.opened_at = work.latest_change(destination.directory.fd, destination.name) + 1

    def _make_ways(self) -> None:
        for output in self._outputs.values():
            if output.outer is not None:
                self._place(output).make_way(output)

    def _place(self, output: _Output) -> _Place:
        return self._places.of(output.entry)

    def publish(self, *, warn: bool = True, keep_replaced: Iterable[StrPath] = ()) -> None:
        """Publish every output, and what was made beside them. Repeated, it does nothing.

        Args:
            warn: log which destinations a program wrote to itself. False: the caller says it, from `report`.
            keep_replaced: those of `extras` that are not to be lost: what stands there, or in a folder that stands there by now, is
                kept beside what replaces it.

        Raises:
            NothingStagedError: an output was not made, neither at its staged path nor at its destination; the message names
                those, and says where everything else is kept.
            ExtrasError: something was made beside the outputs, and `extras` is ``"refuse"``; everything is kept.
            DirectWriteError: a program wrote to a destination itself, and `strict` is true; everything is kept.
            IsADirectoryError, NotADirectoryError: a folder stands there and a file was made, or the reverse; a file was made
                where a folder was asked for by a slash. Everything is kept.
            FileAlreadyExistsError: a rival was first, and `overwrite` is false.
            NotDurableError: all are published, but the sync of a directory failed.
            OSError: one could not be synced or published; nothing is, and what is finished is kept, as the error says.
            ValueError: it was never opened, or has been discarded.
        """
        if self.state == "published" or self._transaction.is_foreign:
            return
        self._require_open("published")
        kept: dict[Hashable, str] = {}
        kept_extras: dict[str, str] = {}
        extras: list[Entry] = []
        try:
            members = self._find_members(kept)
            extras += self._adopt_extras()
            to_keep = {os.path.abspath(os.fsdecode(path)) for path in keep_replaced}
            for extra in extras:
                path = os.path.abspath(extra.destination.path)
                if any(paths.is_in(path, each) for each in to_keep) and (where := _keep_old_beside(extra)):
                    kept_extras[extra.destination.path] = where
            members.update(dict.fromkeys(extras))
            for entry, member in members.items():
                self._transaction.complete(entry, member)
            # Links last: what they lead to is there, then.
            members = dict(sorted(members.items(), key=lambda pair: pair[0].kind == "symlink"))
        except BaseException as error:
            if isinstance(error, OSError):
                self._keep_all(error)
            self._drop(error)
            raise
        try:
            self._transaction.commit(members)
        finally:
            if self._transaction.end == "published":
                self._report.extras = tuple(_as_path(entry.destination.path) for entry in extras)
                self._report.kept = {key: _as_path(where) for key, where in kept.items()}
                self._report.kept_extras = {_as_path(path): _as_path(where) for path, where in kept_extras.items()}
                if warn:
                    self._warn_of_direct_writes()

    def keep(self) -> list[Path]:
        """Keep everything that was made so far, publish nothing, and end the stage; return the folders in which it is.

        They are called ``atomik-kept-…``, and no :func:`atomik.clean` touches them. What the stage put there itself is not kept.
        Of a stage that is not open nothing is kept.

        Raises:
            OSError: something could not be kept. It stays staged, and the error says where everything else is.
        """
        if self.state != "open" or self._transaction.is_foreign:
            return []
        kept: list[str] = []
        trouble: list[OSError] = []
        for place in self._places:
            try:
                place.remove_unchanged()
                where = place.wrapper.rescue()
            except OSError as error:
                trouble.append(error)
            else:
                kept += [] if where is None else [where]
        self._drop(trouble[0] if trouble else None)
        if trouble:
            msg = f"Not everything could be kept ({trouble[0].strerror}); what could is in {', '.join(map(repr, kept)) or 'no folder'}"
            raise OSError(trouble[0].errno, msg) from trouble[0]
        return [_as_path(where) for where in kept]

    def _require_open(self, what: str) -> None:
        if self.state != "open":
            msg = f"the stage cannot be {what}: it is {self.state}"
            raise ValueError(msg)

    def __enter__(self) -> Self:
        return self.open()

    def _entries(self) -> Members:
        return {output.entry: output.member for output in self._outputs.values() if output.member is not None}

    # What the program has made.

    def _find_members(self, kept: dict[Hashable, str]) -> Members:
        """Find out what has become of each output; return those that are to be published.

        Args:
            kept: receives where the version of each destination that a program wrote to, too, will be kept.

        Raises:
            OSError: what is wrong with what was made.
        """
        self._report.outputs = outcomes = self._look(kept)
        self._refuse_missing()
        if self._strict:
            self._refuse_direct_writes(kept)
        members: Members = {}
        for output in self._outputs.values():
            if output.member is None:
                continue
            if outcomes[output.key] == "published":
                if self._place(output).is_link(output):
                    output.entry.leads_to_folder = stat.S_ISDIR(_mode(self._resolve(output.key)))
                members[output.entry] = output.member
            else:
                self._transaction.drop(output.entry, output.member, None)
        for output in [self._outputs[key] for key in kept]:
            self._keep_direct(output, kept)
        return members

    def _keep_direct(self, output: _Output, kept: dict[Hashable, str]) -> None:
        """See that what the program wrote to the destination is kept when the staged version replaces it."""
        if not self._options.overwrite:
            msg = (
                "Something stands at the destination that was not there when the stage was opened, and it was made at the "
                "staged path, too; nothing is published; pass overwrite=True to replace what is there"
            )
            raise FileAlreadyExistsError(errno.EEXIST, msg, output.destination)
        if self._options.backup is not None:
            kept[output.key] = self._options.backup  # where what is replaced goes in any case
            return
        if where := _keep_old_beside(output.entry):
            kept[output.key] = where
        else:
            del kept[output.key]

    def _look(self, kept: dict[Hashable, str]) -> dict[Hashable, Outcome]:
        """Find out what has become of each output; `kept` receives the keys of those that were made twice."""
        outcomes: dict[Hashable, Outcome] = {}
        for output in self._outputs.values():
            if output.outer is None:
                outcomes[output.key] = self._outcome(output, kept)
        for output in self._outputs.values():
            if output.outer is not None:
                outcomes[output.key] = self._inner_outcome(output, outcomes[output.top.key])
        return {key: outcomes[key] for key in self._outputs}

    def _outcome(self, output: _Output, kept: dict[Hashable, str]) -> Outcome:
        """Say what has become of an output that lies in no other one."""
        entry, place = output.entry, self._place(output)
        found = place.find(output)
        if output.followed is not None and found == "work" and place.is_link(output):
            return "published"  # it takes the place of the link, whatever has become of that; what that led to stays
        change = work.change_of(entry.destination, entry.old, output.opened_at)
        if output.followed is not None and _followed_link(entry) != output.followed:
            if found == "work":
                msg = (
                    "The symbolic link at the destination was replaced by itself, and something was made at the staged path, too; "
                    "nothing is published, and the link stays as it is now"
                )
                raise DirectWriteError(errno.EEXIST, msg, output.destination)
            return "direct"
        if found == "work":
            if change == "written" and not place.is_same(output):
                kept[output.key] = ""
            return "published"
        if change == "written" or (change == "replaced" and found == "nothing"):
            return "direct"
        return "unchanged" if found == "copy" else "missing"

    def _inner_outcome(self, output: _Output, fate: Outcome) -> Outcome:
        """Say what has become of an output that lies in another: it shares its fate, if it is there."""
        if fate == "published":
            is_there = rename.identity(self._place(output).wrapper.fd, output.inner) is not None
        else:
            is_there = os.path.lexists(output.path)
        return fate if is_there else "missing"

    def _refuse_missing(self) -> None:
        missing = [output for output in self._outputs.values() if self._report.outputs[output.key] == "missing"]
        if missing:
            names = ", ".join(repr(output.destination) for output in missing)
            written = ", ".join(map(repr, self._direct()))
            rest = f"{written} was written by the program itself, and stays; nothing else" if written else "nothing"
            msg = f"Not made where it was to be: {names}; {rest} is published"
            raise NothingStagedError(errno.ENOENT, msg, missing[0].destination)

    def _refuse_direct_writes(self, kept: Iterable[Hashable]) -> None:
        direct = [*self._direct(), *(self._outputs[key].destination for key in kept)]
        if direct:
            msg = (
                f"A program wrote to a destination itself, which was not atomic: {', '.join(map(repr, direct))}; it stays as "
                "the program left it, and nothing is published"
            )
            raise DirectWriteError(errno.EEXIST, msg, direct[0])

    def _direct(self) -> list[str]:
        return [output.destination for output in self._outputs.values() if self._report.outputs[output.key] == "direct"]

    def _warn_of_direct_writes(self) -> None:
        direct = self._direct()
        if not direct and not self._report.kept:
            return
        import logging

        logger = logging.getLogger("atomik")
        if direct:
            names = ", ".join(direct)
            logger.warning(
                "%s: a program wrote to it itself; it stays as it is, and was not published atomically", names
            )
        for key, where in self._report.kept.items():
            logger.warning(
                "%s: a program wrote to it itself, which was not atomic, and to the staged path, too: that is published, and "
                "what it has replaced is kept as %s",
                self._outputs[key].destination,
                where,
            )

    def _keep_all(self, error: OSError) -> None:
        """Keep everything that the program has made; `error` then says where."""
        for place in self._places:
            place.remove_unchanged()
        self._transaction.keep_staged(error)

    def _adopt_extras(self) -> Iterator[Entry]:
        """Make entries of what was made beside the outputs.

        Raises:
            ExtrasError: there is something, and that is refused.
            OSError: what is wrong with where one is to be.
        """
        found = self._made_beside()
        if not found:
            return
        if self._extras == "refuse":
            made = [
                place_of_extra(place.wrapper, inner, place.entry) for place, extras in found.items() for inner in extras
            ]
            msg = (
                f"More was made than the outputs, and nothing is published: {', '.join(map(repr, made))}; "
                "pass extras='publish' to publish it beside them, or extras='discard' to drop it"
            )
            raise ExtrasError(errno.EEXIST, msg, made[0])
        for place, extras in found.items():
            # As a direct run would have, which nobody asks whether it may.
            yield from self._transaction.adopt(place.wrapper, extras, place.entry, overwrite=True)

    def _made_beside(self) -> dict[_Place, list[str]]:
        """Return the paths of what was made beside the outputs, unless that is to be dropped, by staging folder."""
        outputs = {place: set[str]() for place in self._places if self._extras != "discard"}
        for output in self._outputs.values() if outputs else ():
            outputs[self._place(output)].add(output.inner)
        return {place: made for place, inner in outputs.items() if (made := list(place.extras(inner)))}


def _as_path(path: str) -> Path:
    # Imported here: `atomik run` takes a tenth less time without it.
    from pathlib import Path

    return Path(path)


def _real(path: str) -> str:
    """Return a path without symbolic links on the way; its last component may be one, or nothing yet."""
    folder, name = os.path.split(os.path.normpath(path) if os.path.basename(path) in {"", ".", ".."} else path)
    return os.path.join(os.path.realpath(folder), name)


def _keep_old_beside(entry: Entry) -> str | None:
    """Have the version that is replaced kept beside its path; return where, None if there is none."""
    where = os.path.join(os.path.dirname(entry.destination.path.rstrip("/")), kept_name())
    return where if entry.keep_old_at(where) else None


def _mode(path: str) -> int:
    """Return the mode of what stands at a path, a symbolic link itself; 0 if nothing does, or if we may not look."""
    try:
        return os.lstat(path).st_mode
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return 0


def _followed_link(entry: Entry) -> tuple[int, int] | None:
    """Return which symbolic link stands at the path that was given, if one was followed from there."""
    destination = entry.destination
    if not destination.is_followed:
        return None
    return rename.identity(destination.given_directory.fd, destination.given_name)


def stage(
    outputs: Mapping[Any, StrPath] | Sequence[StrPath],
    *,
    overwrite: bool = True,
    sync: Sync | None = None,
    tmp_dir: StrPath | None = None,
    parents: bool = True,
    permissions: int | None = None,
    backup: StrPath | None = None,
    follow_symlinks: bool = True,
    inherit: bool = True,
    root: StrPath | None = None,
    root_tmp_dir: StrPath | None = None,
    allow_gap: bool = False,
    extras: Extras = "publish",
    strict: bool = False,
) -> Stage:
    """Publish what somebody else's program makes: all of its outputs, or none. None of its work is thrown away.

    ::

        with atomik.stage({"bam": "out/a.bam", "parts": "out/parts/"}) as out:
            subprocess.run(["tool", "-o", out["bam"], "--parts", out["parts"]], check=True)

    Give the program the staged path of each output. That path has the destination's own name. Outputs of one directory are in
    one directory, and an output that lies in another one is at the same place in it. At the end of the block all of them
    appear, one after the other, microseconds apart; if the block raises, or one cannot be published, none of them does.

    What the program makes *beside* its outputs (an index, a sidecar, a log in the same directory) belongs to its work, and is
    published with them: see `extras`. A program that ignores the staged path and writes to the destination itself is not
    atomic: what it wrote stays, and a warning in the log (logger ``atomik``) and ``stage.report`` say so. If it made
    something at the staged path, too, that is published, and what it replaces is kept beside it. (Where the filesystem says
    when a file was made, a rival's publication can be told from such a write; then the last one wins.)

    Args:
        outputs: the destinations, by keys of your choice or as a sequence. One that ends with a slash must be a folder; any
            other is whatever the program makes: a file, a folder or a symbolic link.
        overwrite: replace what exists, a file by a file, a folder by a folder. True by default.
        sync: as for :func:`atomik.file`, for all outputs.
        tmp_dir: a directory to stage in; beside each destination by default.
        parents: make missing parent directories (on discard, those that were made are removed again if they are empty).
        permissions: as for :func:`atomik.path`, for all outputs, but not for what is made beside them.
        backup: as for :func:`atomik.path`, for a stage with one output.
        follow_symlinks: as for :func:`atomik.path`, for all outputs.
        inherit: a new version takes over the mode, owner, group, ACL and other extended attributes of the one that it replaces.
            False: it stays as the program made it, as if nothing had been there.
        root: a directory. Outputs that lie in it, at any depth, are staged in one folder, each at the place that it has in
            `root`: relative paths from one to another hold between directories, too, and a thousand directories need no descriptor
            each. That folder is in `root` (or in `tmp_dir`), and if the process is killed, :func:`atomik.clean` finds it there,
            and all else that the stage has left. Outputs on another mount have such a folder there, in the topmost directory
            between `root` and them that is on that mount and may be written to: relative paths hold among them, up to that
            directory. An output that does not lie in `root` is staged beside its destination.
        root_tmp_dir: a directory to make that folder in; nothing else is staged there. Outputs on another mount than this are
            staged as said, at the topmost in `root` itself.
        allow_gap: where a filesystem cannot exchange two names (NFS), replace a folder all the same: the old one is taken away, in
            one instant, just before the new one takes its place, and in between nothing is there. So, on every filesystem, does a
            symbolic link that leads to a folder replace a folder.
        extras: what to do with what is made beside the outputs. ``"publish"``: publish it beside the destinations, where it
            replaces what a direct run would have replaced; ``"refuse"``: raise an error and keep everything; ``"discard"``:
            drop it.
        strict: raise an error if the program writes to a destination itself; nothing is then published, and everything is
            kept.

    Returns:
        a stage; its ``with`` yields it.

    Raises:
        ValueError: an argument makes no sense; two outputs have one destination; `root_tmp_dir` without `root`, or with `tmp_dir`,
            or inside an output.
        TypeError: `outputs` is a single path.

    Where a filesystem cannot exchange two names (NFS), outputs that exist are replaced one after the other, each file in one
    instant, and cannot be taken back if a later one fails; a folder that exists is refused when the stage is opened, unless
    `allow_gap` is true.
    """
    options = Options(
        overwrite=overwrite,
        sync=resolve_level(sync),
        tmp_dir=tmp_dir,
        parents=parents,
        permissions=permissions,
        follow_symlinks=follow_symlinks,
        inherit=inherit,
        allow_gap=allow_gap,
        backup=backup,
    )
    if backup is not None and len(outputs) > 1:
        msg = f"backup keeps one version, and there are {len(outputs)} outputs; stage without it, or publish one folder"
        raise ValueError(msg)
    if root is None and root_tmp_dir is not None:
        msg = "root_tmp_dir says where the staging folder of the root is, and there is no root"
        raise ValueError(msg)
    if tmp_dir is not None and root_tmp_dir is not None:
        msg = "tmp_dir says where everything is staged, root_tmp_dir where the root's folder is; pass one of them"
        raise ValueError(msg)
    above, beside = (None if path is None else os.path.abspath(os.fsdecode(path)) for path in (root, root_tmp_dir))
    return Stage(outputs, options, extras, root=above, root_tmp_dir=beside, strict=strict)
