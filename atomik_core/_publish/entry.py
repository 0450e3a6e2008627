"""One destination with its content and its staging: what is done with it, one method a step.

In which order, and what is undone if a step fails, is :class:`atomik_core._publish.transaction.Transaction`'s.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from .._os import calls, locks, metadata, names, paths, remove, rename
from .._os import sync as _sync
from .._os.copying import Transfer
from .._os.descriptors import DIRECTORY, REAL_DIRECTORY, Descriptors
from ..errors import AtomikError, NothingStagedError, UnsupportedFilesystemError
from . import explain, placing, required, staging
from .backup import Backup
from .destination import Destination, Directories, OpenDirectory
from .staging import Sibling, Unnamed, Wrapped, Wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Literal, Protocol, TypeAlias

    from .._os.remove import Removal
    from .destination import DestinationDirectory
    from .options import Options
    from .placing import Identity, Kind
    from .staging import Holder, Staging

    State: TypeAlias = Literal["new", "open", "published", "discarded"]

    class Content(Protocol):
        """What every kind of content does: a file, a folder, what is made at a path, a symbolic link, a copy.

        Attributes:
            kind: what it is, if that is known from the start.
            accepts_slash: whether a destination may end with a slash.
            is_written_by_name: whether its user may open the destination by its name, taking that for the staged file.
        """

        @property
        def kind(self) -> Kind | None:
            """What it is, if that is known from the start."""

        @property
        def accepts_slash(self) -> bool:
            """Whether a destination may end with a slash."""

        @property
        def is_written_by_name(self) -> bool:
            """Whether its user may open the destination by its name, taking that for the staged file."""

        def begin(self, entry: Entry) -> Any:
            """Make the staging; return what the user fills."""

        def seal(self, entry: Entry) -> int | None:
            """Take the content as it is now, complete; return the mode that a new one gets, None for the one it has."""

        def set_metadata(self, entry: Entry, default_mode: int | None) -> None:
            """Give the content the metadata that it is published with."""

        def release(self) -> None:
            """Let go of what the user fills, without flushing it."""

    class Neighbours(Protocol):
        """What an entry is published with: a transaction."""

        @property
        def is_shared(self) -> bool:
            """Whether there may be others."""

        @property
        def must_exchange(self) -> bool:
            """Whether it must be possible to undo what it replaces."""

        def claim(self, entry: Entry) -> None:
            """See that no other entry has the same place."""


#: A link that is refused for other reasons than that there is something, or that it is another filesystem: by AppArmor, SELinux
#: (EACCES, EPERM), a filter; ENOENT: linkat goes by /proc, and that is not there.
_LINK_REFUSED: Final = calls.UNSUPPORTED | {errno.EACCES, errno.EPERM, errno.ENOENT, errno.EMLINK}

#: So many descriptors are held in reserve for the end of what is staged by a name: to look at it, to sync and to remove a tree
#: (four for a walk, one for what was made, one for the folder that is replaced).
_RESERVE: Final = 6

#: The clock that the kernel stamps inodes by (clock_gettime(2)); the time module does not name it.
_CLOCK_REALTIME_COARSE: Final = 5

#: How often parents that neighbours take back are made again.
_ROUNDS: Final = 100


class Entry:
    """A destination, its content and where that is staged.

    Attributes:
        destination: where it is to appear.
        options: how.
        content: what the user fills.
        kind: what it is; None as long as that is not known.
        state: how far it is.
        staging: where the content is now; None before it is staged.
        is_complete: whether the content is sealed, and beside its destination.
        extras: the names beside the content that are to be published with it.
        made_in: the wrapper that these, and the content, were made in.
        wrote_nothing: whether a file is as empty as it was opened.
        sealed: the content's status when it was sealed, if that was looked at.
        leads_to_folder: whether a symbolic link will lead to a folder, and counts as one.
    """

    __slots__ = (
        "_aside",
        "_backup",
        "_birth_time",
        "_commit_started",
        "_directories",
        "_displaced",
        "_emptied",
        "_is_shared",
        "_made_as",
        "_must_exchange",
        "_old",
        "_old_fd",
        "_old_handle",
        "_replaces_for_good",
        "_staged_in",
        "content",
        "destination",
        "extras",
        "fds",
        "identity",
        "is_complete",
        "kind",
        "leads_to_folder",
        "made_in",
        "options",
        "sealed",
        "staging",
        "state",
        "wrote_nothing",
    )

    def __init__(self, path: str, options: Options, content: Content) -> None:
        """Check what can be checked without looking at the disk.

        Raises:
            ValueError: `path` names nothing; the backup is the destination, or lies inside it or around it.
            IsADirectoryError: a file was asked for by a path that ends with a slash.
        """
        self.state: State = "new"
        self.destination = Destination(path, accepts_slash=content.accepts_slash)
        self.options = options
        self.content = content
        self.kind: Kind | None = content.kind
        self.staging: Staging | None = None
        self.identity: Identity | None = None
        self.is_complete = False
        self.extras: list[str] = []
        self.made_in: Wrapper | None = None
        self.wrote_nothing = False
        self.sealed: os.stat_result | None = None
        self.leads_to_folder = False
        self._aside: Sibling | None = None
        self._backup = None if options.backup is None else Backup(options.backup, self.destination)
        self._old: os.stat_result | None = None
        self._old_fd = -1
        self._old_handle: bytes | None = None
        self._birth_time: tuple[int, int] | None = None
        self._displaced = False
        self._emptied = False
        self._commit_started = False
        self._replaces_for_good = False
        self._made_as: Wrapped | None = None

    # Before the block.

    def open(self, neighbours: Neighbours, fds: Descriptors, directories: Directories) -> Any:
        """Check everything that can be checked, stage, and return what the user fills.

        Args:
            neighbours: what it is published with.
            fds: what owns every descriptor.
            directories: what opens directories.
        """
        self.fds = fds
        self._directories = directories
        self._is_shared = neighbours.is_shared
        self._must_exchange = neighbours.must_exchange
        self.destination.open(directories, parents=self.options.parents)
        return self._with_parents(lambda: self._begin(neighbours), follows_again=True)

    def _begin(self, neighbours: Neighbours) -> Any:
        destination, options = self.destination, self.options
        self._check_destination()
        if self._is_shared:
            neighbours.claim(self)
        if options.sync == "full":
            required.directory_sync(destination.directory, destination.path)
        if self.kind != "file" or self._is_shared:
            required.not_append_only(destination.directory, destination.path)
        self._staged_in = destination.directory if options.tmp_dir is None else self._open_tmp_dir(options.tmp_dir)
        return self.content.begin(self)

    def _with_parents(self, step: Callable[[], Any], *, follows_again: bool = False) -> Any:
        """Do a step; once more if a neighbour that discards has taken back the parents that we found, and they are to be made.

        What is not staged beside the destination by a name does not keep it from that. The kernel says ENOENT, or EPERM for a
        file without a name (ext4). Where a symbolic link was followed, the step has to follow it again, or fails.
        """
        destination = self.destination
        for _ in range(_ROUNDS):
            try:
                return step()
            except OSError:
                if not self.options.parents or not destination.directory.was_removed():
                    raise
                if destination.is_followed and not follows_again:
                    raise
                self._reopen_directory()
        msg = "The destination's parent directories are removed by others as fast as they are made"
        raise OSError(errno.EBUSY, msg, destination.path)

    def _reopen_directory(self) -> None:
        try:
            self.destination.reopen(self._directories)
        except OSError as error:
            # A file that stands there now is no rival's version of the destination, which would win.
            code = errno.ENOENT if error.errno == errno.ENOTDIR else error.errno
            msg = f"The destination's directory was removed, and cannot be made again ({os.strerror(error.errno or 0)})"
            raise OSError(code, msg, self.destination.path) from error

    def _check_destination(self) -> None:
        destination, options = self.destination, self.options
        now = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
        status = destination.stat()
        if status is not None:
            if not options.overwrite:
                raise explain.already_exists(destination.path, status, self.kind)
            if stat.S_ISLNK(status.st_mode) and options.follow_symlinks and self.kind != "symlink":
                status = destination.follow(self._directories, status)
            if status is not None:
                self._check_old(status)
                exchange = self._must_exchange or self._backup is not None
                required.replaceable(destination, status, exchange=exchange, allow_gap=options.allow_gap)
                if status.st_ctime_ns >= now and self.content.is_written_by_name:
                    self._old_handle = self._handle_of(status)
            self._old = status
        if self._backup is not None:
            self._backup.open(self._directories, destination, status)

    def _handle_of(self, status: os.stat_result) -> bytes | None:
        """Return the handle of the version that was looked at: one that nothing has, if another stands there by now."""
        handle = calls.file_handle(self.destination.directory.fd, self.destination.name)
        again = self.destination.stat()
        is_still_there = again is not None and (
            (again.st_dev, again.st_ino, again.st_ctime_ns, again.st_mtime_ns, again.st_size)
            == (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)
        )
        return handle if is_still_there else b""

    def _check_old(self, status: os.stat_result) -> None:
        """Raise if what stands at the destination is not to be replaced by this."""
        mode = status.st_mode
        if stat.S_ISLNK(mode):
            return
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise explain.is_special(self.destination.path, mode)
        kind = self.kind or ("folder" if self.destination.ends_with_slash else None)
        if self.leads_to_folder and self.options.allow_gap and stat.S_ISDIR(mode):
            return
        if kind is not None and stat.S_ISDIR(mode) != (kind == "folder"):
            raise explain.wrong_kind(self.destination.path, kind)

    def _open_tmp_dir(self, tmp_dir: str) -> DestinationDirectory:
        destination = self.destination
        if paths.is_in(os.path.realpath(tmp_dir), os.path.realpath(destination.path)):
            msg = f"tmp_dir {tmp_dir!r} lies inside the destination {destination.path!r}, which is replaced as a whole; choose another"
            raise ValueError(msg)
        required.writable(destination)
        try:
            return self._directories.open(tmp_dir)
        except OSError as error:
            msg = f"tmp_dir {tmp_dir!r} cannot be opened: {error.strerror}"
            raise OSError(error.errno, msg, destination.path) from error

    @property
    def old(self) -> os.stat_result | None:
        """What stood at the destination when it was looked at last."""
        return self._old

    def fits_old(self) -> bool:
        """Say whether what was made may replace what stood there from the start, as to its kind."""
        if self._old is None or stat.S_ISLNK(self._old.st_mode):
            return True
        if self.kind == "symlink" and self.destination.is_followed:
            return True
        return stat.S_ISDIR(self._old.st_mode) == (self.kind == "folder")

    def keep_old_at(self, path: str) -> bool:
        """Have the version that is replaced kept at a path; where it can be neither exchanged nor taken away, it is copied now.

        Returns:
            whether there is one.

        Raises:
            OSError: it cannot go there.
        """
        old = self.look_at_destination()
        if old is None:
            return False
        backup = Backup(path, self.destination)
        backup.open(self._directories, self.destination, old)
        try:
            required.replaceable(self.destination, old, exchange=True, allow_gap=self.options.allow_gap)
        except UnsupportedFilesystemError:
            if not stat.S_ISREG(old.st_mode):
                raise
            self._copy_old(path)
        else:
            self._backup = backup
        return True

    def _copy_old(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        destination = self.destination
        source = self.fds.open(destination.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=destination.directory.fd)
        copy = self.fds.open(os.path.basename(path), flags, 0o600, dir_fd=destination.directory.fd)
        Transfer().file(source, copy)
        metadata.clone(copy, os.fstat(source), source)
        self.fds.close(source)
        self.fds.close(copy)

    # What contents stage with.

    def stage_file(self, mode: int) -> int:
        """Stage an empty file; return its descriptor."""
        unnamed = None if self._is_shared else staging.stage_unnamed(self.fds, self._staged_in, mode)
        options = self.options
        if not options.overwrite and (options.tmp_dir is not None or unnamed is None):
            required.new_file(self.destination)
        if unnamed is None:
            self.staging = wrapped = Wrapped(self.shared_wrapper(), self.destination.given_name)
            content = wrapped.make_file(self.fds, mode)
        else:
            self.staging = unnamed
            content = unnamed.content
            if self._old is not None:
                # It will get a name before it is published; where a filter refuses locks, that is known now.
                locks.try_lock_shared(content)
                unnamed.is_locked = True
        status = os.fstat(content)
        self.identity = status.st_dev, status.st_ino
        wanted = options.permissions if options.permissions is not None or self._old is None else self._old.st_mode
        if wanted is not None and stat.S_IMODE(wanted) != stat.S_IMODE(status.st_mode):
            metadata.require_chmod(content)
        return content

    def stage_folder(self) -> int:
        """Stage an empty folder; return its descriptor.

        A sibling of the destination, unless it is moved later anyhow (from a tmp_dir, with others), or only files' locks travel.
        """
        if self.options.tmp_dir is None and not self._is_shared:
            if self._staged_in.filesystem.lock_scope != "files":
                self.staging = sibling = Sibling(self._staged_in)
                self.fds.reserve(self.destination.directory.fd, _RESERVE)
                return sibling.make_folder(self.fds)
            wrapper = self.new_wrapper()
        else:
            wrapper = self.shared_wrapper()
        self.staging = wrapped = Wrapped(wrapper, self.destination.given_name)
        return wrapped.make_folder(self.fds)

    def new_wrapper(self, directory: DestinationDirectory | None = None) -> Wrapper:
        """Make a staging folder for this entry alone.

        Args:
            directory: where to make it; in the tmp_dir, or else beside the destination, if it is not given.
        """
        place = directory or self._staged_in
        self._directories.note(place)
        return self._prepared(place.new_wrapper(self.fds))

    def open_directory(self, path: str) -> DestinationDirectory:
        """Open a directory to stage in.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            return self._directories.open(path)
        except OSError as error:
            msg = f"{path!r}, where to stage, cannot be opened: {error.strerror}"
            raise OSError(error.errno, msg, self.destination.path) from error

    def note_in(self, wrapper: Wrapper) -> None:
        """Have it noted in a staging folder in which other directories something is staged."""
        self._directories.note_in(wrapper)

    def shared_wrapper(self) -> Wrapper:
        """Return a staging folder in which the destination's name is free."""
        self._directories.note(self._staged_in)
        return self._prepared(self._staged_in.shared_wrapper(self.fds, self.destination.given_name))

    def _prepared(self, wrapper: Wrapper) -> Wrapper:
        self.fds.reserve(self.destination.directory.fd, _RESERVE)
        if self.options.tmp_dir is not None:
            self.prepare_like_destination(wrapper.fd)
        return wrapper

    def prepare_like_destination(self, folder: int) -> None:
        """Have what is made in a folder that is elsewhere inherit what it would in the destination's directory."""
        directory = self.destination.directory
        metadata.prepare_folder(folder, os.fstat(directory.fd), directory.read_attributes())

    def close_shared_content(self) -> None:
        """Close a folder that is staged in a wrapper, whose lock is enough: descriptors grow with directories only."""
        if isinstance(self.staging, Wrapped) and self._is_shared:
            self.fds.close(self.staging.content)
            self.staging.content = -1

    @property
    def staged_path(self) -> str:
        """A path at which the content is being made."""
        return self.staged.path

    @property
    def staged(self) -> Staging:
        """The staging, which is there."""
        assert self.staging is not None  # noqa: S101 - nobody asks before it is staged
        return self.staging

    @property
    def named(self) -> Sibling | Wrapped:
        """The staging, which has a name."""
        assert not isinstance(self.staging, Unnamed | None)  # noqa: S101 - who asks has staged it by name
        return self.staging

    # After the block.

    def require_same_content(self) -> os.stat_result:
        """See that the descriptor is still that of the staged file: who closed it may have had its number given to another.

        Returns:
            its status.

        Raises:
            OSError: it is not; whatever has the number now is not published.
        """
        try:
            status = os.fstat(self.staged.content)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            status = None
        if status is None or (status.st_dev, status.st_ino) != self.identity:
            self._disown_content()
            msg = (
                "The descriptor of the staged file was closed during the block, and its number may belong to another file now; "
                "nothing is published; close the file object, not its descriptor"
            )
            raise OSError(errno.EBADF, msg, self.destination.path)
        return status

    def _disown_content(self) -> None:
        """Leave the descriptor's number, which was closed behind our back, to whoever has it now."""
        self.fds.forget(self.staged.content)
        self.staged.content = -1

    def move_beside(self) -> None:
        """Bring content that was staged elsewhere, or a folder in its wrapper, to where it is published from."""
        if self.kind == "symlink":
            self.destination.replace_link()
        elif self._is_shared:
            if self.options.tmp_dir is not None:
                self._with_parents(lambda: self._relocate(self._wrapped_beside()))
        elif self.kind == "folder" and isinstance(self.staging, Wrapped) and not self._stays_wrapped():
            self._with_parents(lambda: self._relocate(Sibling(self.destination.directory, names.staging_name())))

    def _wrapped_beside(self) -> Wrapped:
        name = self.destination.given_name
        self._directories.note(self.destination.directory)
        return Wrapped(self.destination.directory.shared_wrapper(self.fds, name), name)

    def _relocate(self, target: Sibling | Wrapped) -> None:
        """Move the content to another staging name; copy it there from a tmp_dir on another filesystem."""
        try:
            self._move(target)
        except OSError as error:
            if error.errno != errno.EXDEV or self.options.tmp_dir is None:
                raise
            self._copy_beside(target if isinstance(target, Wrapped) else None)

    def _move(self, target: Sibling | Wrapped) -> None:
        """Move the content to another staging name, which is known before anything has it."""
        before, self.staging = self.staged, target
        try:
            staging.move(before, target, is_folder=self.kind == "folder")
        except OSError:
            self.staging = before
            raise

    def _copy_beside(self, target: Wrapped | None = None) -> None:
        """Move the content to a staging beside its destination by copying it."""
        before = self.staged
        try:
            if self.kind == "symlink":
                copy = target or self._wrapped_beside()
                source, name = self.named.source
                os.symlink(os.readlink(name, dir_fd=source), copy.inner, dir_fd=copy.wrapper.fd)
                self.staging = copy
            elif self.kind == "folder" and self._is_shared:
                self.staging = wrapped = target or self._wrapped_beside()
                Transfer().tree(before.content, wrapped.make_folder(self.fds))
            elif self.kind == "folder":
                self.staging = sibling = Sibling(self.destination.directory)
                Transfer().tree(before.content, sibling.make_folder(self.fds))
            else:
                self._copy_file(before.content, target)
        except OSError:
            if self.staging is not None and self.staging is not before:
                self._remove_incomplete(self.staging)
            self.staging = before
            raise
        finally:
            if self.staging is not before and before.content in self.fds:
                self._close_original(before.content)
        if isinstance(before, Wrapped):
            remove.remove_if_unlocked(*before.source)

    def _close_original(self, content: int) -> None:
        """Close what has been copied: its lock would keep us from removing it with its wrapper."""
        for let_go in (locks.unlock, self.fds.close):
            try:
                let_go(content)
            except OSError:
                continue  # the copy is complete

    def _remove_incomplete(self, copy: Staging) -> None:
        """Remove what was not copied as a whole: it must not be kept as if it were."""
        if isinstance(copy, Wrapped):
            if copy.content in self.fds:
                self.fds.close(copy.content)
            remove.remove_if_unlocked(*copy.source)
        elif isinstance(copy, Sibling):
            copy.remove()

    def _copy_file(self, content: int, target: Wrapped | None = None) -> None:
        """Copy a file to `target`, else to a staging beside its destination, without a name if that can be."""
        self.sealed = None
        place = self.destination.directory
        status = os.fstat(content)
        mode = stat.S_IRUSR | stat.S_IWUSR
        copy: Staging | None = None
        if not self._is_shared and target is None:
            copy = staging.stage_unnamed(self.fds, place, mode)
        if copy is None:
            copy = target or self._wrapped_beside()
            copy.make_file(self.fds, mode)
        self.staging = copy
        Transfer().file(content, copy.content)
        metadata.clone(copy.content, status, content)
        self.identify()

    def look_at_destination(self) -> os.stat_result | None:
        """Return what is about to be replaced, or None.

        Raises:
            FileAlreadyExistsError: it was written to in place since the block began; it stays as it is.
        """
        if not self.options.overwrite:
            return None
        before = self._old
        self._old = old = self.destination.stat()
        if old is not None and self.content.is_written_by_name and self._was_written_to(before, old):
            error = explain.changed_by_itself(self.destination.path)
            self.keep(error)
            raise error
        return old

    def _was_written_to(self, before: os.stat_result | None, old: os.stat_result) -> bool:
        """Say whether the destination itself was written to while the user had a file to write to.

        A rival's version is another inode. The old one's number may have been given to it, but it was made after we looked at
        the old one, and staged ours; the kernel's clock has ticks of some milliseconds, hence both comparisons, and the handle
        of an old version that was published in the very tick in which we looked at it.
        """
        if before is None:
            return self.wrote_nothing and old.st_size > 0 and stat.S_ISREG(old.st_mode)
        if old.st_mtime_ns == before.st_mtime_ns and old.st_size == before.st_size:
            return False
        if (old.st_dev, old.st_ino) != (before.st_dev, before.st_ino) or not stat.S_ISREG(old.st_mode):
            return False
        found = calls.birth(self.destination.directory.fd, self.destination.name)
        ours = calls.birth_time(self.staged.content)
        if found is None or ours is None:
            return True
        inode, theirs = found
        if inode != old.st_ino:
            return False  # another rival's, which may have been made before we looked, since `old` was looked at
        if theirs >= ours or theirs[0] * 10**9 + theirs[1] > before.st_ctime_ns:
            return False
        handle = self._old_handle
        return handle is None or handle == calls.file_handle(self.destination.directory.fd, self.destination.name)

    def inherit_metadata(self, default_mode: int | None) -> None:
        """Give the content the metadata of what it replaces, else the mode that was asked for, else the default one."""
        old = self.look_at_destination()
        if self.kind == "symlink":
            if old is not None:
                self._check_old(old)
            return
        mode = self.options.permissions
        if old is not None and not stat.S_ISLNK(old.st_mode):
            self._check_old(old)
            if self.options.inherit:
                if isinstance(self.staging, Wrapped):
                    self._separate_from_other_names(self.staging)
                attributes = self.destination.read_attributes(self.fds)
                metadata.inherit(self.staged.content, old, attributes, mode, new=self.sealed)
                return
        if isinstance(self.staging, Unnamed) and self.options.tmp_dir is not None:
            self._inherit_from_directory()
        if mode is None:
            mode = default_mode
        if mode is not None and mode != stat.S_IMODE(os.fstat(self.staged.content).st_mode):
            if isinstance(self.staging, Wrapped):
                self._separate_from_other_names(self.staging)
            os.fchmod(self.staged.content, mode)

    def _separate_from_other_names(self, staged: Wrapped) -> None:
        """Copy a file that has other names (a hard link to a cache, say): its inode is not ours to change."""
        if self.kind == "file" and os.fstat(staged.content).st_nlink > 1:
            self._copy_file(staged.content)

    def _inherit_from_directory(self) -> None:
        """Give an unnamed file of a tmp_dir the group and ACL that it would have got in the destination's directory."""
        place = self.destination.directory
        if not (os.fstat(place.fd).st_mode & stat.S_ISGID or metadata.passes_acl_on(place.fd)):
            return
        sample = staging.stage_unnamed(self.fds, place, 0o666)
        if sample is not None:
            metadata.inherit(
                self.staged.content, os.fstat(sample.content), metadata.read_attributes(sample.content), None
            )
            self.fds.close(sample.content)

    def identify(self) -> None:
        """Remember which inode the complete content is."""
        if self.kind == "symlink":
            self.identity = rename.identity(*self.named.source)
        else:
            status = os.fstat(self.staged.content)
            self.identity = status.st_dev, status.st_ino

    def name_before_sync(self) -> None:
        """Give an unnamed file its staging name where fsync ignores files without one (btrfs)."""
        if isinstance(self.staging, Unnamed) and self.staging.directory.filesystem.fsync_ignores_unlinked:
            try:
                self._move(Sibling(self.destination.directory, names.staging_name()))
            except OSError as error:
                # Where it cannot be linked, it is copied and synced when it is placed.
                if error.errno != errno.EXDEV and error.errno not in _LINK_REFUSED:
                    raise

    def return_to_wrapper(self) -> None:
        """Move a folder that was not published back to where it was made, where it has its own name."""
        if self._made_as is None or not isinstance(self.staging, Sibling):
            return
        try:
            self._move(self._made_as)
        except OSError:
            pass  # it is kept where it is

    # The one instant.

    def require_staged(self) -> None:
        """See that the complete content is still at its staging name: a program that works beside it may have moved it.

        Raises:
            NothingStagedError: it is not.
        """
        if not isinstance(self.staging, Unnamed) and rename.identity(*self.named.source) != self.identity:
            raise _nothing_staged(self.destination.path)

    def _is_gone(self) -> bool:
        """Whether nothing stands at the staging name any more."""
        return not isinstance(self.staging, Unnamed) and rename.identity(*self.named.source) is None

    def place(self, *, undoable: bool) -> None:
        """Publish: the one instant.

        Args:
            undoable: whether others are published with it, so that it may have to be undone.

        Raises:
            OSError: the kernel's; :meth:`explain` says what it means. What has happened is :meth:`was_placed`'s to say.
        """
        self._commit_started = True
        self._with_parents(lambda: self._climb(undoable=undoable))

    def _climb(self, *, undoable: bool) -> None:
        """Try one rung after the other; each changes the staging, so that none is tried twice."""
        while True:
            try:
                return self._place(undoable=undoable)
            except OSError as error:
                if not self._go_on_after(error):
                    raise

    def _go_on_after(self, error: OSError) -> bool:
        """Prepare the next rung, if there is one: content that cannot be moved or linked is copied beside its destination."""
        place = self.destination.directory
        if error.errno == errno.EXDEV and self.staged.directory is not place:
            self._copy_beside()
        elif error.errno in _LINK_REFUSED and isinstance(self.staging, Unnamed) and not place.was_removed():
            self._copy_file(self.staging.content, self._wrapped_beside())
        else:
            return False
        if self.kind == "file":
            self.content.set_metadata(self, None)  # where it was staged first, it may not have been kept
        if self.options.sync != "off" and self.kind != "symlink":
            self.name_before_sync()
            _sync.sync_tree(self.staged.content)
        return True

    def _place(self, *, undoable: bool) -> None:
        destination, options = self.destination, self.options
        kind = self.kind
        assert kind is not None  # noqa: S101 - known since the content was sealed
        if isinstance(self.staging, Wrapped):
            if kind == "folder":
                if not self._stays_wrapped():
                    self._leave_wrapper()
            elif undoable and options.overwrite:
                placing.pin_inode(self.staging)
        if self._backup is not None:
            if not self._is_kept():
                self._move(Sibling(destination.directory, names.kept_name()))
        elif isinstance(self.staging, Unnamed):
            if not options.overwrite:
                rename.link_unnamed(self.staging.content, destination.directory.fd, destination.name)
                return
            if self._old is None and self._became_new():
                return
            self._move(Sibling(destination.directory, names.staging_name()))
        if not options.overwrite:
            placing.place_new(self.named, destination, kind, undoable=undoable)
            return
        exchange = undoable or self._backup is not None
        if kind == "folder" or self.leads_to_folder:
            self._hold_old()
        if self.leads_to_folder and options.allow_gap and destination.is_folder():
            self._replace_in_two_steps(kind)  # an exchange would leave the old folder where no reader finds it
            return
        try:
            replaced = placing.place_over(
                self.named, destination, kind, exchange=exchange, replaces_links=not options.follow_symlinks
            )
            self._displaced, self._emptied = replaced == "old", replaced == "empty folder"
        except OSError as error:
            if (
                kind == "folder"
                and options.allow_gap
                and error.errno in placing.NO_EXCHANGE
                and destination.is_folder()
            ):
                self._replace_in_two_steps(kind)
                return
            if self._must_exchange or self._backup is not None or not exchange or kind == "folder":
                raise
            if error.errno not in placing.NO_LINKS:
                raise
            self._replaces_for_good = destination.stat() is not None
            rename.replace_file(*self.named.source, destination.directory.fd, destination.name)

    def _replace_in_two_steps(self, kind: Kind) -> None:
        """Take the old folder away, in one instant, then publish. In between it has a name that no cleaner touches."""
        destination = self.destination
        self._directories.note(destination.directory)
        self._aside = aside = Sibling(destination.directory, names.kept_name())
        rename.new_folder(destination.directory.fd, destination.name, *aside.source)
        try:
            if not rename.is_folder(*aside.source):  # a rival's file, which came between the look and the rename
                raise explain.wrong_kind(destination.path, kind)
            placing.place_new(self.named, destination, kind, undoable=False)
        except OSError as error:
            self._put_back(aside, error)
            raise
        self._displaced = True

    def _put_back(self, aside: Sibling, error: BaseException) -> None:
        """Put back what was taken away; `error` says where it is if it cannot go there."""
        if rename.identity(*aside.source) is None:
            return  # it had not been taken away yet, or is back
        try:
            # A file, too: FAT has no exclusive rename of those.
            rename.new_folder(*aside.source, self.destination.directory.fd, self.destination.name)
        except OSError as trouble:
            error.add_note(f"atomik: the old version is kept as {aside.path!r} ({trouble.strerror})")

    def _is_kept(self) -> bool:
        return isinstance(self.staging, Sibling) and names.is_kept_name(self.staging.name or "")

    def _stays_wrapped(self) -> bool:
        """Whether a folder is published out of its wrapper: where only files' locks travel, the wrapper's says that it is alive.

        A folder that its owner may not write to cannot be moved to another parent.
        """
        if self.destination.directory.filesystem.lock_scope != "files":
            return False
        if self.staged.content == -1:
            staging.open_content(self.fds, self.named)
        return bool(os.fstat(self.staged.content).st_mode & stat.S_IWUSR)

    def _leave_wrapper(self) -> None:
        """Move a folder to a name beside its destination, open and locked from here on."""
        if self.staged.content == -1:
            staging.open_content(self.fds, self.named)
        if isinstance(self.staging, Wrapped):
            self._made_as = self.staging
        self._directories.note(self.destination.directory)
        self._move(Sibling(self.destination.directory, names.staging_name()))

    def _became_new(self) -> bool:
        """Publish an unnamed file by one linkat, if nothing stands at the destination: there is nothing to replace then."""
        try:
            rename.link_unnamed(self.staged.content, self.destination.directory.fd, self.destination.name)
        except FileExistsError:
            return False
        return True

    def _hold_old(self) -> None:
        """Lock the folder that is to be replaced: out of sight, a cleaner or a leaving reader could take it for a leftover."""
        if self._old_fd in self.fds:  # of the rung before
            remove.unlock_and_reap(self._old_fd)
            self.fds.close(self._old_fd)
        try:
            if self._is_shared:  # of many not all are held, or no descriptor would be left to remove them with
                self.fds.reserve(self.destination.directory.fd, _RESERVE)
                self.fds.release_reserve()
            self._old_fd = self.fds.open(self.destination.name, REAL_DIRECTORY, dir_fd=self.destination.directory.fd)
            locks.try_lock_shared(self._old_fd)
        except OSError:
            self.fds.release_reserve()
            self._old_fd = -1  # there is none, it cannot be read (then nobody reads it), or too many are held

    def was_placed(self, error: BaseException) -> bool:
        """Say whether the content was published, though `place` has ended with `error`.

        The kernel's answer says so; but NFS repeats a request whose answer was lost, and then the destination holds our inode.
        Only an interrupt takes the answer away: then it was published, too, if our staging name is gone and somebody's newer
        version stands at the destination. A staging name that was merely taken away is no publication.
        """
        if not self._commit_started or self.identity is None or self.kind is None:
            return False
        here = rename.identity(self.destination.directory.fd, self.destination.name)
        if here != self.identity:
            if isinstance(error, OSError) or here is None or here == self._old_identity:
                return False
            if isinstance(self.staging, Unnamed):
                if os.fstat(self.staging.content).st_nlink == 0:
                    return False
            elif rename.identity(*self.named.source) == self.identity:
                return False
        if not isinstance(self.staging, Unnamed) and rename.identity(*self.named.source) not in {None, self.identity}:
            try:
                self._displaced = placing.displaced_entry(
                    self.named, self.destination, self.kind, replaces_links=not self.options.follow_symlinks
                )
            except OSError:
                return False
        return True

    @property
    def _old_identity(self) -> Identity | None:
        return None if self._old is None else (self._old.st_dev, self._old.st_ino)

    def undo(self, error: BaseException) -> None:
        """Undo `place`, if it took place; what could not be undone becomes a note of `error`."""
        path = self.destination.path
        try:
            assert self.identity is not None  # noqa: S101 - known since it was complete
            assert self.kind is not None  # noqa: S101
            if self._replaces_for_good and self.destination.holds(self.identity):
                error.add_note(
                    f"atomik: {path!r} is published, and stays: this filesystem cannot exchange it with the old version, which "
                    "is gone"
                )
                return
            done = self._is_ours() and placing.undo(self.named, self.destination, self.kind, self.identity)
            self._displaced = False
            if done and self._aside is not None:
                self._put_back(self._aside, error)
            if done and self._emptied:
                self._make_empty_folder_again()
            if self.kind == "folder":
                staging.open_content(self.fds, self.named)
        except OSError as trouble:
            error.add_note(f"atomik: {path!r} could not be undone: {trouble}")
            if self._aside is not None:
                self._put_back(self._aside, error)
        else:
            if not done:
                error.add_note(f"atomik: {path!r} was not undone: somebody else has replaced it meanwhile")
                if self._aside is not None:
                    error.add_note(f"atomik: the version before is kept as {self._aside.path!r}")

    def _make_empty_folder_again(self) -> None:
        """Make the empty folder again that plain rename has replaced, where EXCHANGE is missing: nothing is left of it."""
        self._emptied = False
        if self._old is None:
            return  # it had come since it was looked for
        directory, name = self.destination.directory.fd, self.destination.name
        os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
        fd = self.fds.open(name, REAL_DIRECTORY, dir_fd=directory)
        metadata.inherit(fd, self._old, None, None)
        self.fds.close(fd)

    def _is_ours(self) -> bool:
        """Say whether what stands at the destination, if it has our inode's number, is our inode."""
        if self._birth_time is None:
            return True
        return self._birth_time == calls.birth_time(self.destination.directory.fd, self.destination.name)

    def explain(self, error: OSError) -> OSError:
        """Return what an error of the kernel means to the caller; one of ours says it already."""
        if isinstance(error, AtomikError):
            return error
        if error.errno == errno.ENOENT and self._is_gone():
            return _nothing_staged(self.destination.path)
        try:
            self.destination.directory.fd  # noqa: B018 - one of very many may be gone: then nothing more can be found out
        except OSError as gone:
            return explain.at_destination(gone, self.destination.path)
        return placing.placement_error(error, self.destination, self.kind, overwrite=self.options.overwrite)

    # Once it is visible.

    def close_placed(self) -> None:
        """Let go of a new folder, whose descriptor nothing needs any more; more would not fit where there are many."""
        if self.kind != "folder" or self._backup is not None:
            return
        content = self.staged.content
        # Its number may be given to a rival's folder from now on, which is to be told from ours if it has to be undone.
        self._birth_time = calls.birth_time(content)
        if self._birth_time is not None:
            remove.unlock_and_reap(content)
            self.close()

    @property
    def has_backup(self) -> bool:
        """Whether the old version is to be kept."""
        return self._backup is not None and self._displaced

    def keep_old(self) -> list[Holder]:
        """Move the old version to its backup; return the directories to be synced.

        Raises:
            OSError: it could not be moved; the error says where it is.
        """
        assert self._backup is not None  # noqa: S101 - who calls has asked
        directories = self._backup.take(self._aside or self.named)
        self._displaced = False
        return directories

    def drop_older_backup(self) -> None:
        """Remove the backup that this one has replaced."""
        if self._backup is not None:
            self._backup.drop_older()

    def rescue_old(self, error: BaseException) -> None:
        """Move the old version to its backup though its replacement may not be durable, if that was not tried yet.

        One that was taken away stays where it is, which no cleaner touches; `error` then says where.
        """
        if self._backup is not None and self._displaced:
            self._displaced = not self._backup.rescue(self._aside or self.named)
        if self._aside is not None and self._displaced:
            error.add_note(f"atomik: the old version is kept as {self._aside.path!r}")

    @property
    def holds_something(self) -> bool:
        """Whether there is more to let go of than descriptors."""
        return self._displaced or self._old_fd != -1 or self.kind == "folder" or isinstance(self.staging, Wrapped)

    @property
    def holds_old(self) -> bool:
        """Whether the version that was replaced stands at the staging name."""
        return self._displaced and self._aside is None

    def remove_displaced(self) -> None:
        """Remove the old version. What must stay is a leftover, not a failure: it is logged."""
        old = self._aside or self.staging
        if not self._displaced or self._backup is not None or not isinstance(old, Sibling):
            return
        try:
            if self._aside is not None:
                self._hide(self._aside)
            directory, name = old.source
            is_held = self._old_fd != -1 and locks.is_named(self._old_fd, directory, name)
            removal = remove.remove_if_unlocked(directory, name, self._old_fd if is_held else -1)
        except OSError:
            removal = "left"
        self._displaced = False
        if removal == "left":
            import logging

            logging.getLogger("atomik").warning(
                "%s: published, but the old version could not be removed and stays at %s",
                self.destination.path,
                old.path,
            )

    def _hide(self, aside: Sibling) -> None:
        """Give the old version that was taken away a name by which readers and cleaners know that nobody needs it."""
        directory, name = aside.source
        aside.name = unneeded = names.staging_name()
        try:
            os.rename(name, unneeded, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            aside.name = name
            raise

    def leave(self) -> None:
        """Let go of everything: whoever has replaced a folder that we held meanwhile could not remove it.

        An old version that is at the staging name still is there to stay.
        """
        for fd in (-1 if self._displaced else self._old_fd, self.staged.content if self.kind == "folder" else -1):
            if fd in self.fds:
                remove.unlock_and_reap(fd)
        try:
            if self._old_fd in self.fds:
                locks.unlock(self._old_fd)
                self.fds.close(self._old_fd)
            self.close()
        except OSError:
            pass  # it was synced, or was not to be

    # If nothing is to be published.

    def keep(self, error: OSError) -> None:
        """Keep finished work that could not be published, under a name that no cleaner touches; `error` then says where."""
        if self._is_gone():
            return
        try:
            outcome = f"the finished content is kept as {self._keep()!r}"
        except OSError as trouble:
            outcome = f"the finished content could not be kept either ({trouble.strerror})"
        explain.add_outcome(error, outcome)

    def _keep(self) -> str:
        """Give the content a name that is kept, beside its destination or in the nearest directory that takes it."""
        staged = self.staged
        kept = Sibling(staged.directory, names.kept_name())
        if staged.content == -1 and self.kind != "symlink":
            staging.open_content(self.fds, self.named)
        try:
            staging.move(staged, kept, is_folder=self.kind == "folder")
        except OSError as error:
            first = error
        else:
            return kept.path
        for folder in paths.above(staged.directory.path):
            try:
                return self._keep_in(OpenDirectory(self.fds.open(folder, DIRECTORY), folder))
            except OSError:
                continue
        raise first

    def _keep_in(self, place: DestinationDirectory) -> str:
        staged, kept = self.staged, Sibling(place, names.kept_name())
        try:
            staging.move(staged, kept, is_folder=self.kind == "folder")
        except OSError:
            if self.kind == "symlink":
                raise
            directory, name = kept.source
            if self.kind == "folder":
                os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
                Transfer().tree(staged.content, self.fds.open(name, REAL_DIRECTORY, dir_fd=directory))
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                Transfer().file(staged.content, self.fds.open(name, flags, 0o600, dir_fd=directory))
        return kept.path

    def remove(self) -> str | None:
        """Remove what is staged; return where something of it had to stay."""
        staged = self.staging
        if self._aside is not None:
            self._put_back(self._aside, OSError())  # what was interrupted again and again
        if self.content.is_written_by_name and self.identity is not None and not self._is_open():
            self._disown_content()
        if self._old_fd != -1:
            remove.unlock_and_reap(self._old_fd)
        left = isinstance(staged, Sibling) and self._remove_sibling(staged) == "left"
        self.close()  # its lock would keep us from removing what is still in its wrapper
        return staged.path if staged is not None and left else None

    def _is_open(self) -> bool:
        """Whether nobody has closed the content's descriptor but us."""
        if self.staged.content == -1:
            return True  # closed by ourselves
        try:
            status = os.fstat(self.staged.content)
        except OSError as error:
            return error.errno != errno.EBADF
        return (status.st_dev, status.st_ino) == self.identity

    def _remove_sibling(self, sibling: Sibling) -> Removal:
        if sibling.content == -1 and self.identity is not None and rename.identity(*sibling.source) == self.identity:
            if self.kind != "folder":
                os.unlink(sibling.source[1], dir_fd=sibling.source[0])
                return "removed"
            staging.open_content(self.fds, sibling)
        return sibling.remove()

    def close(self) -> None:
        """Close the content's descriptor."""
        if self.staging is not None and self.staging.content in self.fds:
            self.fds.close(self.staging.content)
            self.staging.content = -1


def _nothing_staged(destination: str) -> NothingStagedError:
    msg = "The complete content was removed, moved or replaced by another program; there is nothing to publish"
    return NothingStagedError(errno.ENOENT, msg, destination)
