"""Where content waits for its publication: made, locked, found again, removed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final, TypeAlias

from . import _filesystems, _locks, _metadata, _names, _remove, _rename, _syscalls
from ._descriptors import DIRECTORY, REAL_DIRECTORY, Descriptors
from ._destination import Destination
from ._transfer import Transfer

#: O_TMPFILE is refused by filesystems that lack it (EOPNOTSUPP: NFS, FUSE, vfat, 9p) and by old kernels (EISDIR, ENOENT,
#: EINVAL; open(2)).
_NO_UNNAMED: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_CLOEXEC

_AT_EMPTY_PATH_WORKS: Final = _syscalls.kernel() >= (6, 10)

#: How many random names are tried before the directory is called broken.
_ROUNDS: Final = 100

#: A way to bring content to a staging beside its destination.
Bring: TypeAlias = "Callable[[Staging], None]"


def elsewhere(fds: Descriptors, tmp_dir: str, target: Destination) -> Staging:
    """Return a staging in a directory that the caller chose.

    Raises:
        ValueError: it lies inside the destination.
        OSError: it cannot be opened.
    """
    if (os.path.realpath(tmp_dir) + "/").startswith(os.path.realpath(target.path) + "/"):
        msg = f"tmp_dir {tmp_dir!r} lies inside the destination {target.path!r}, which is replaced as a whole; choose another"
        raise ValueError(msg)
    try:
        return Staging(fds, fds.open(tmp_dir, DIRECTORY), os.path.join(os.getcwd(), tmp_dir))
    except OSError as error:
        msg = f"tmp_dir {tmp_dir!r} cannot be opened: {error.strerror}"
        raise OSError(error.errno, msg, target.path) from error


class Staging:
    """One piece of content on its way.

    It is one of: an unnamed file; a sibling, that is an entry `.atomik-…` (a folder, or a file that was linked there); a
    file or folder called `inner` in such a folder, its wrapper.

    Attributes:
        directory: the descriptor of the directory that it is staged in.
        folder: a path of that directory, for people and child processes.
        name: the name `.atomik-…` in it; None for an unnamed file. Known before anything is made under it.
        fd: the descriptor of what has that name (of the unnamed file), locked.
        inner: the content's name in the wrapper, or None.
        content: the descriptor of the content itself, -1 until it is known.
    """

    __slots__ = ("_fds", "_lock", "content", "directory", "fd", "folder", "inner", "name")

    def __init__(self, fds: Descriptors, directory: int, folder: str) -> None:
        self._fds = fds
        self.directory = directory
        self.folder = folder
        self.name: str | None = None
        self.fd = -1
        self.inner: str | None = None
        self.content = -1
        self._lock = -1

    def make_unnamed(self, mode: int) -> bool:
        """Stage a file without a name, so that a killed process leaves nothing; False where that cannot be done.

        Before Linux 6.10 it may only get a name through /proc, so it is opened through /proc: that proves it.
        """
        if not hasattr(os, "O_TMPFILE"):
            return False
        try:
            if _AT_EMPTY_PATH_WORKS:
                fd = self._fds.open(".", _UNNAMED, mode, dir_fd=self.directory)
            else:
                fd = self._fds.open(f"/proc/self/fd/{self.directory}", _UNNAMED, mode)
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
            return False
        self.content = self.fd = fd
        return True

    def make_folder(self, new_name: Callable[[], str] = _names.staging_name) -> int:
        """Stage a folder: a sibling, locked before anybody may take it for a leftover. Return its descriptor.

        A cleaner may remove it between its making and its locking: then another is made under a new name.
        """
        self.content = (
            self.fd
        ) = -1  # until then it can only be removed by its name, whatever was to be moved here before
        for _ in range(_ROUNDS):
            self.name = name = new_name()
            try:
                os.mkdir(name, 0o700, dir_fd=self.directory)
            except FileExistsError:
                continue
            try:
                fd = self._fds.open(name, REAL_DIRECTORY, dir_fd=self.directory)
            except FileNotFoundError:
                continue
            if _locks.share(fd) is not False and _locks.is_named(fd, self.directory, name):
                self.content = self.fd = fd
                return fd
            self._fds.close_one(fd)
        self.name = None
        raise OSError(errno.EBUSY, "A hundred staging names were taken or removed by others", None)

    def make_wrapper(self, inner: str) -> None:
        """Stage an empty folder in which the content is to be made under its own name."""
        self.make_folder(_names.wrapper_name)
        self.inner = inner
        self.content = -1
        if _filesystems.reach_of_locks(self.fd) == "files":
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._lock = self._fds.open(_names.LOCK, flags, stat.S_IRUSR | stat.S_IWUSR, dir_fd=self.fd)
            _locks.share(self._lock)

    def make_folder_to_fill(self, inner: str) -> int:
        """Stage a folder for the caller to fill: a sibling, or one in a wrapper where only files' locks travel."""
        if _filesystems.reach_of_locks(self.directory) != "files":
            return self.make_folder()
        self.make_wrapper(inner)
        os.mkdir(inner, stat.S_IRWXU, dir_fd=self.fd)
        self.content = self._fds.open(inner, REAL_DIRECTORY, dir_fd=self.fd)
        return self.content

    def make_file(self, inner: str, mode: int) -> None:
        """Stage a file by name, where it cannot be staged without one."""
        self.make_wrapper(inner)
        self._create(mode)

    def _create(self, mode: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        directory, name = self.source
        self.content = self._fds.open(name, flags, mode, dir_fd=directory)

    def find(self) -> os.stat_result | None:
        """Open and lock what now stands at the staged name, made by whatever program; return its status, or None.

        The descriptor of before is kept if it is still that.
        """
        directory, name = self.source
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if self.content != -1 and os.path.samestat(os.fstat(self.content), status):
            return status
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            return status
        self.content = self._open_whatever(directory, name, status)
        if self.inner is None:
            self.fd = self.content
        _locks.share(self.content)
        return status

    def _open_whatever(self, directory: int, name: str, status: os.stat_result) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return self._fds.open(name, flags, dir_fd=directory)
        except PermissionError:
            # Made unreadable by its maker; u+r for the time being, the mode proper comes last.
            os.chmod(name, stat.S_IMODE(status.st_mode) | stat.S_IRUSR, dir_fd=directory)
            return self._fds.open(name, flags, dir_fd=directory)

    def others(self) -> list[str]:
        """Return what was made in the wrapper under other names than the content's."""
        os.lseek(self.fd, 0, os.SEEK_SET)  # btrfs lists what was there when it was opened
        return [name for name in os.listdir(self.fd) if name not in {self.inner, _names.LOCK}]

    @property
    def source(self) -> tuple[int, str]:
        """The directory and the name that the content is renamed from."""
        if self.inner is not None:
            return self.fd, self.inner
        return self.directory, self.name or ""

    def link_beside(self, directory: int, folder: str) -> None:
        """Give the unnamed file a staging name in `directory`, locked before it can be seen.

        It keeps that name whatever comes: a file that was linked and unlinked cannot be linked again.

        Raises:
            OSError: it still has no name.
        """
        _locks.share(self.fd)
        before = self.directory, self.folder
        while True:
            self.directory, self.folder = directory, folder
            self.name = _names.staging_name()
            try:
                _rename.link_unnamed(self.fd, directory, self.name)
            except FileExistsError:
                continue
            except OSError:
                self.name = None
                self.directory, self.folder = before
                raise
            return

    def move_file(self, sibling: Staging) -> None:
        """Move the file to where `sibling` waits for it: a name in a wrapper."""
        sibling.content = self.content
        if self.name is None:
            _rename.link_unnamed(self.fd, *sibling.source)
        else:
            _rename.new_file(*self.source, *sibling.source)

    def put_aside(self, sibling: Staging) -> None:
        """Move the content beside its destination, to a name that no cleaner touches."""
        sibling.content = sibling.fd = self.content
        sibling.name = _names.kept_name()
        if self.name is None:
            _rename.link_unnamed(self.fd, sibling.directory, sibling.name)
        else:
            source_dir, source = self.source
            os.rename(source, sibling.name, src_dir_fd=source_dir, dst_dir_fd=sibling.directory)

    def move_folder(self, sibling: Staging) -> None:
        """Move the folder out of its wrapper or temporary directory, to a name beside its destination.

        Moving a folder to another parent rewrites its "..", for which it needs u+w; published from there, it does not.
        """
        sibling.content = sibling.fd = self.content
        sibling.name = _names.staging_name()
        mode = stat.S_IMODE(os.fstat(self.content).st_mode)
        if not mode & stat.S_IWUSR:
            os.fchmod(self.content, mode | stat.S_IWUSR)
        try:
            _rename.new_folder(*self.source, sibling.directory, sibling.name)
        finally:
            if not mode & stat.S_IWUSR:
                os.fchmod(self.content, mode)

    def copy(self, sibling: Staging) -> None:
        """Copy the content, from another filesystem, to a staging beside its destination."""
        status = os.fstat(self.content)
        transfer = Transfer()
        if stat.S_ISDIR(status.st_mode):
            sibling.make_folder()
            transfer.tree(self.content, sibling.content)
            return
        if not sibling.make_unnamed(stat.S_IMODE(status.st_mode)):
            sibling.make_file(_names.staging_name(), stat.S_IRUSR | stat.S_IWUSR)
        transfer.file(self.content, sibling.content)
        _metadata.clone(sibling.content, status, self.content)

    def holds(self) -> bool:
        """Say whether the content is still here, unpublished, whatever an interrupted call told Python."""
        if self.content == -1 or os.fstat(self.content).st_nlink == 0:
            return True
        return self.name is not None and _locks.is_named(self.content, *self.source)

    def remove(self) -> bool:
        """Remove what stands under the staging name, if it is ours; False if something had to stay.

        The lock is ours, so nobody else is at it. An unnamed file goes with its descriptor.
        """
        if self.name is None:
            return True
        if self.fd == -1:
            # Interrupted between its making and its opening: an empty folder, if anything.
            with contextlib.suppress(OSError):
                os.rmdir(self.name, dir_fd=self.directory)
            return True
        if not _locks.is_named(self.fd, self.directory, self.name):
            return True
        if stat.S_ISDIR(os.fstat(self.fd).st_mode):
            self._close_files()
            return _remove.tree(self.directory, self.name, self.fd)
        os.unlink(self.name, dir_fd=self.directory)
        return True

    def _close_files(self) -> None:
        """Close what is open in the wrapper: NFS and FUSE hide an open file instead of removing it (.nfs…, .fuse_hidden…)."""
        if self._lock in self._fds:
            self._fds.close_one(self._lock)
            self._lock = -1
        if self.inner is None:
            return
        with contextlib.suppress(FileNotFoundError):  # FUSE, of a folder that was moved out and removed
            if self.content in self._fds and not stat.S_ISDIR(os.fstat(self.content).st_mode):
                self._fds.close_one(self.content)
                self.content = -1
