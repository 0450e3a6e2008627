"""Where content waits for its publication: made, locked, found again, removed. Three shapes, and the folder of the third."""

from __future__ import annotations

import errno
import os
import stat

from .._os import calls, locks, names, paths, remove, rename
from .._os.copying import Transfer
from .._os.descriptors import REAL_DIRECTORY, Descriptors
from .._os.walk import list_folder
from . import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final, Protocol, TypeAlias

    from .._os.filesystems import Filesystem
    from .._os.remove import Removal

    class Directory(Protocol):
        """What a staging needs of the directory that it is in."""

        @property
        def fd(self) -> int:
            """Its descriptor, to be used now."""

        @property
        def path(self) -> str:
            """An absolute path of it."""

        @property
        def filesystem(self) -> Filesystem:
            """The filesystem that it is on."""

    Staging: TypeAlias = "Unnamed | Sibling | Wrapped"
    #: What content that has a name is renamed from.
    Holder: TypeAlias = "Directory | Wrapper"

#: O_TMPFILE is refused by filesystems that lack it (EOPNOTSUPP: NFS, FUSE, vfat, 9p) and by old kernels (EISDIR, ENOENT,
#: EINVAL; open(2)).
_NO_UNNAMED: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
_HAS_UNNAMED: Final = hasattr(os, "O_TMPFILE")
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_CLOEXEC
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_AT_EMPTY_PATH_WORKS: Final = calls.KERNEL >= (6, 10)

#: How many random names are tried before the directory is called broken.
_ROUNDS: Final = 100


class Wrapper:
    """A staging folder `.atomik-…` in which content waits under its own name. It is locked for as long as it is needed.

    Attributes:
        directory: the directory that it is in.
        name: its name there, known before it is made; None if it was never made.
        fd: its descriptor, or -1.
        is_shared: whether several stagings may be in it.
        mirrors: the directory whose place it takes, if that is not the one that its content is published in.
        neighbours: the staging folders of the same stage, and the directory whose place each takes.
        taken: the names in it that are somebody's.
    """

    __slots__ = (
        "_fds",
        "_is_kept",
        "_lock",
        "_must_stay",
        "_notes",
        "directory",
        "fd",
        "is_shared",
        "mirrors",
        "name",
        "neighbours",
        "taken",
    )

    def __init__(self, fds: Descriptors, directory: Directory) -> None:
        self._fds = fds
        self._lock = -1
        self._is_kept = False
        self.directory = directory
        self.name: str | None = None
        self.fd = -1
        self.is_shared = False
        self.mirrors: str | None = None
        self.neighbours: Sequence[tuple[str, str]] = ()
        self._notes = 0
        self._must_stay = False
        self.taken: set[str] = set()

    def make(self) -> None:
        """Make it, and lock it before anybody may take it for a leftover."""
        has_lock_file = self.directory.filesystem.lock_scope == "files"
        for _ in range(_ROUNDS):
            self.fd = _make_locked_folder(self, self._fds, names.wrapper_name)
            if not has_lock_file or self._lock_file():
                return
            self._fds.close(self.fd)
            self.fd = -1
            _remove_unopened(self.directory, self.name or "")
        raise OSError(errno.EBUSY, "A hundred staging folders were removed by others", None)

    def _lock_file(self) -> bool:
        """Make its lock file, and lock that; False if a cleaner of another host, who does not see the folder's lock, came first."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._lock = self._fds.open(names.LOCK, flags, stat.S_IRUSR | stat.S_IWUSR, dir_fd=self.fd)
            lock = locks.try_lock_shared(self._lock)
        except OSError as error:
            if error.errno not in calls.GONE:
                raise
            lock = "busy"
        directory, name = self.directory.fd, self.name or ""
        if (
            lock != "busy"
            and locks.is_named(self._lock, self.fd, names.LOCK)
            and locks.is_named(self.fd, directory, name)
        ):
            return True
        self._close_lock()
        return False

    def _close_lock(self) -> None:
        if self._lock in self._fds:
            self._fds.close(self._lock)
        self._lock = -1

    def entries(self, folder: str = "") -> list[str]:
        """Return the names in it, or in a folder in it, but those that we have made ourselves."""
        if not folder:
            return [name for name in list_folder(self.fd) if not names.is_reserved(name)]
        fds = Descriptors()
        try:
            return os.listdir(fds.open(folder, REAL_DIRECTORY, dir_fd=self.fd))
        finally:
            fds.close_all()

    @property
    def path(self) -> str:
        """Its path, for people and child processes."""
        return os.path.join(self.directory.path, self.name or "")

    def touch(self) -> int:
        """Change it; return when that was, in nanoseconds by the filesystem's clock."""
        os.utime(self.fd)
        return os.fstat(self.fd).st_ctime_ns

    def note(self, directory: str) -> None:
        """Note a directory in which something else is staged. Where a link cannot be made, a cleaner has to be told of it."""
        try:
            os.symlink(directory, f"{names.NOTE}{self._notes}", dir_fd=self.fd)
        except OSError:
            return
        self._notes += 1

    def rescue(self) -> str | None:
        """Keep it with everything in it, if there is anything, under a name that no cleaner touches; return its path then.

        Repeated, it does nothing.

        Raises:
            OSError: it cannot be kept.
        """
        if self._is_kept or self.fd == -1 or not self.entries():
            return None
        self._is_kept = True
        for number in range(self._notes):
            try:
                os.unlink(f"{names.NOTE}{number}", dir_fd=self.fd)
            except OSError:
                pass  # a note too many does no harm
        for name in self.entries():
            if names.is_staging_name(name) and os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_nlink > 1:
                os.unlink(name, dir_fd=self.fd)  # a second name of what is kept under its own
        kept = names.kept_name()
        try:
            rename.new_folder(self.directory.fd, self.name or "", self.directory.fd, kept)
        except OSError as first:
            self._must_stay = True
            where = self._keep_above(kept, first)
            self._must_stay = False
            return where
        return os.path.join(self.directory.path, kept)

    def _keep_above(self, kept: str, first: OSError) -> str:
        """Move everything to a folder in the nearest directory that takes one; copy what cannot be moved there."""
        fds = Descriptors()
        try:
            for folder in paths.above(self.directory.path):
                where = os.path.join(folder, kept)
                try:
                    os.mkdir(where, stat.S_IRWXU)
                except OSError:
                    continue
                target = fds.open(where, REAL_DIRECTORY)
                for name in self.entries():
                    try:
                        os.rename(name, name, src_dir_fd=self.fd, dst_dir_fd=target)
                    except OSError:
                        self._copy_up(fds, target, name, where)
                return where
        finally:
            fds.close_all()
        raise first

    def _copy_up(self, fds: Descriptors, target: int, name: str, where: str) -> None:
        try:
            _copy_entry(fds, self.fd, target, name)
        except OSError as error:
            remove.remove_if_unlocked(target, name)  # a part is not to be taken for the whole
            msg = f"{error.strerror}; what there was room for is kept in {where!r}"
            raise OSError(error.errno, msg) from error

    def remove(self) -> Removal:
        """Remove it with everything in it, if it is still ours. The lock is ours, so nobody else is at it."""
        if self._must_stay:
            return "left"  # finished work that could not be kept elsewhere
        if self.name is None:
            return "removed"
        try:
            self.directory.fd  # noqa: B018 - one of very many may have been moved away while it was closed
        except OSError:
            return "left"
        if self.fd == -1:
            return _remove_unopened(self.directory, self.name)
        if not _is_still(self.fd, self.directory, self.name):
            return "removed"
        release = None if self._lock == -1 else self._close_lock
        return remove.remove_tree(self.directory.fd, self.name, self.fd, release=release)


def keep(wrappers: Iterable[Wrapper], error: OSError) -> None:
    """Keep everything that is in these staging folders; `error` then says where."""
    where: list[str] = []
    for wrapper in wrappers:
        try:
            kept = wrapper.rescue()
        except OSError as trouble:
            explain.add_outcome(error, f"what is in {wrapper.path!r} could not be kept ({trouble.strerror})")
        else:
            where += [] if kept is None else [repr(kept)]
    if where:
        explain.add_outcome(error, f"everything is kept in {' and '.join(where)}")


class Unnamed:
    """A file without a name: a killed process leaves nothing.

    Attributes:
        directory: the directory that it was made in.
        content: its descriptor.
        is_locked: whether the lock that it needs when it gets a name is held already.
    """

    __slots__ = ("content", "directory", "is_locked")

    def __init__(self, directory: Directory, content: int) -> None:
        self.directory = directory
        self.content = content
        self.is_locked = False

    @property
    def path(self) -> str:
        """A path at which it can be read."""
        return f"/proc/{os.getpid()}/fd/{self.content}"


class Sibling:
    """A folder or file that has a staging name of its own, beside its destination.

    Attributes:
        directory: the directory that it is in.
        name: its name there, known before anything is made under it.
        content: its descriptor, locked; -1 if it is not open.
    """

    __slots__ = ("content", "directory", "name")

    def __init__(self, directory: Directory, name: str | None = None) -> None:
        self.directory = directory
        self.name = name
        self.content = -1

    def make_folder(self, fds: Descriptors) -> int:
        """Make an empty folder, locked before anybody may take it for a leftover; return its descriptor."""
        self.content = _make_locked_folder(self, fds, names.staging_name)
        return self.content

    @property
    def holder(self) -> Directory:
        """What it is renamed from."""
        return self.directory

    @property
    def source(self) -> tuple[int, str]:
        """The directory and the name that it is renamed from."""
        return self.directory.fd, self.name or ""

    @property
    def path(self) -> str:
        """Its path, for people and child processes."""
        return os.path.join(self.directory.path, self.name or "")

    def remove(self) -> Removal:
        """Remove what stands under the staging name, if it is ours."""
        if self.name is None:
            return "removed"
        if self.content == -1:
            return _remove_unopened(self.directory, self.name)
        if not _is_still(self.content, self.directory, self.name):
            return "removed"
        if stat.S_ISDIR(os.fstat(self.content).st_mode):
            return remove.remove_tree(self.directory.fd, self.name, self.content)
        os.unlink(self.name, dir_fd=self.directory.fd)
        return "removed"


class Wrapped:
    """A file, folder or symbolic link under its own name in a staging folder.

    Attributes:
        wrapper: that folder.
        inner: its name there.
        content: its descriptor, -1 until it is known; a link has none.
    """

    __slots__ = ("content", "inner", "wrapper")

    def __init__(self, wrapper: Wrapper, inner: str) -> None:
        self.wrapper = wrapper
        self.inner = inner
        self.content = -1

    def make_file(self, fds: Descriptors, mode: int) -> int:
        """Make an empty file there; return its descriptor."""
        self.content = fds.open(self.inner, _CREATE, mode, dir_fd=self.wrapper.fd)
        return self.content

    def make_folder(self, fds: Descriptors) -> int:
        """Make an empty folder there; return its descriptor."""
        os.mkdir(self.inner, stat.S_IRWXU, dir_fd=self.wrapper.fd)
        self.content = fds.open(self.inner, REAL_DIRECTORY, dir_fd=self.wrapper.fd)
        return self.content

    @property
    def directory(self) -> Directory:
        """The directory that its wrapper is in."""
        return self.wrapper.directory

    @property
    def holder(self) -> Wrapper:
        """What it is renamed from."""
        return self.wrapper

    @property
    def source(self) -> tuple[int, str]:
        """The directory and the name that it is renamed from."""
        return self.wrapper.fd, self.inner

    @property
    def path(self) -> str:
        """Its path, for people and child processes."""
        return os.path.join(self.wrapper.path, self.inner)


def _copy_entry(fds: Descriptors, source: int, target: int, name: str) -> None:
    mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    elif stat.S_ISDIR(mode):
        os.mkdir(name, stat.S_IRWXU, dir_fd=target)
        Transfer().tree(fds.open(name, REAL_DIRECTORY, dir_fd=source), fds.open(name, REAL_DIRECTORY, dir_fd=target))
    elif stat.S_ISREG(mode):
        content = fds.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        Transfer().file(content, fds.open(name, _CREATE, stat.S_IRUSR | stat.S_IWUSR, dir_fd=target))


def stage_unnamed(fds: Descriptors, directory: Directory, mode: int) -> Unnamed | None:
    """Stage a file without a name; None where that cannot be done.

    Before Linux 6.10 it may only get a name through /proc, so it is opened through /proc: that proves it.
    """
    if not _HAS_UNNAMED:
        return None
    try:
        if _AT_EMPTY_PATH_WORKS:
            fd = fds.open(".", _UNNAMED, mode, dir_fd=directory.fd)
        else:
            fd = fds.open(f"/proc/self/fd/{directory.fd}", _UNNAMED, mode)
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
        return None
    return Unnamed(directory, fd)


def open_content(fds: Descriptors, staging: Sibling | Wrapped) -> os.stat_result | None:
    """Open what now stands at the staged name, made by whatever program; return its status, or None.

    It is locked, unless its wrapper's lock is enough. The descriptor of before is kept if it is still that. A symbolic link, and what can be neither file nor folder, is not
    opened.
    """
    directory, name = staging.source
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if staging.content != -1 and os.path.samestat(os.fstat(staging.content), status):
        return status
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        staging.content = _open_for_reading(fds, directory, name, status)
        if isinstance(staging, Sibling):
            locks.try_lock_shared(staging.content)
    return status


def _open_for_reading(fds: Descriptors, directory: int, name: str, status: os.stat_result) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return fds.open(name, flags, dir_fd=directory)
    except PermissionError:
        # Made unreadable by its maker; u+r for the time being, the mode proper comes last.
        os.chmod(name, stat.S_IMODE(status.st_mode) | stat.S_IRUSR, dir_fd=directory)
        fd = fds.open(name, flags, dir_fd=directory)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            os.fchmod(fd, stat.S_IMODE(status.st_mode))  # it has other names, and is copied
        return fd


def move(staging: Staging, target: Sibling | Wrapped, *, is_folder: bool) -> None:
    """Move content to another staging name; an unnamed file gets its first one, locked before it can be seen.

    It keeps that name whatever comes: a file that was linked and unlinked cannot be linked again. Moving a folder to another
    parent rewrites its "..", for which it needs u+w: it is given that for the time being.

    Raises:
        OSError: it is where it was.
    """
    target.content = content = staging.content
    if isinstance(staging, Unnamed):
        if not staging.is_locked:
            locks.try_lock_shared(content)
        rename.link_unnamed(content, *target.source)
        return
    if content != -1:
        locks.try_lock_shared(content)
    (source_dir, source), (target_dir, name) = staging.source, target.source
    if not is_folder:
        os.rename(source, name, src_dir_fd=source_dir, dst_dir_fd=target_dir)  # the name is random, so it is free
        return
    mode = stat.S_IMODE(os.fstat(content).st_mode)
    needs_write = not mode & stat.S_IWUSR
    if needs_write:
        os.fchmod(content, mode | stat.S_IWUSR)
    try:
        os.rename(source, name, src_dir_fd=source_dir, dst_dir_fd=target_dir)
    finally:
        if needs_write:
            os.fchmod(content, mode)


def _make_locked_folder(staging: Wrapper | Sibling, fds: Descriptors, new_name: Callable[[], str]) -> int:
    """Make a folder, and lock it before anybody may take it for a leftover. Return its descriptor.

    A cleaner may remove it between its making and its locking: then another is made under a new name.
    """
    directory = staging.directory.fd
    for _ in range(_ROUNDS):
        staging.name = name = new_name()
        try:
            os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
        except FileExistsError:
            continue
        try:
            fd = _open_new_folder(fds, directory, name)
        except OSError as error:
            if error.errno not in calls.GONE:
                raise
            continue
        if locks.try_lock_shared(fd) != "busy" and locks.is_named(fd, directory, name):
            return fd
        fds.close(fd)
    staging.name = None
    raise OSError(errno.EBUSY, "A hundred staging names were taken or removed by others", None)


def _open_new_folder(fds: Descriptors, directory: int, name: str) -> int:
    try:
        return fds.open(name, REAL_DIRECTORY, dir_fd=directory)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=directory)  # the umask has taken the owner's own bits
        return fds.open(name, REAL_DIRECTORY, dir_fd=directory)


def _is_still(fd: int, directory: Directory, name: str) -> bool:
    """Say whether a staging name is still ours; one that cannot be looked at is tried, and stays if it cannot be removed."""
    try:
        return locks.is_named(fd, directory.fd, name)
    except OSError:
        return True


def _remove_unopened(directory: Directory, name: str) -> Removal:
    """Remove what an interrupt left between its making and its opening: an empty folder, if anything."""
    try:
        os.rmdir(name, dir_fd=directory.fd)
    except OSError:
        pass
    return "removed"
