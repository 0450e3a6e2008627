"""Copying content from one filesystem to another: reflinks, then copy_file_range, then bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from . import metadata
from .calls import UNSUPPORTED
from .descriptors import Descriptors
from .walk import Level, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

    #: Told how many files and bytes have been copied so far.
    Progress: TypeAlias = Callable[[int, int], object]

#: ioctl_ficlone(2): the copy shares the blocks of the original (btrfs, xfs, bcachefs).
FICLONE: Final = 0x40049409
_CHUNK: Final = 8 << 20
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN_BITS: Final = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
#: Not here, or not between these two files: ioctl_ficlone(2), copy_file_range(2). EPERM and EACCES come from containers.
_FALLBACK_ERRNOS: Final = UNSUPPORTED | {
    errno.EXDEV,
    errno.ENOTTY,
    errno.EPERM,
    errno.EACCES,
    errno.EBADF,
    errno.ETXTBSY,
}


class Transfer:
    """One copy of a file or tree: what it has found out of the two filesystems, and how far it is."""

    def __init__(self, progress: Progress | None = None, origin: str = "") -> None:
        """Prepare to copy.

        Args:
            progress: told how far it is, as it goes on; what it raises ends the copy.
            origin: what the source is called, for the errors.
        """
        self._progress = progress
        self._origin = origin
        self._reflinks = True
        self._in_kernel = hasattr(os, "copy_file_range")
        self._files = 0
        self._bytes = 0
        self._links: dict[tuple[int, int], str] = {}
        self._passes_acl_on = True

    def file(self, source: int, target: int) -> None:
        """Copy the data of the open file `source` into the empty open file `target`; holes stay holes.

        Raises:
            OSError: what reading or writing says; `target` is then incomplete.
        """
        self._data(source, target, os.fstat(source))
        self._count(1, 0)

    def _data(self, source: int, target: int, status: os.stat_result) -> None:
        size = status.st_size
        if self._reflink(source, target, size):
            return
        if size == 0:
            self._bytes_to_the_end(source, target)  # files of /proc and /sys say 0 and have content
        elif status.st_blocks * 512 >= size:  # st_blocks counts in units of 512 bytes (stat(3type)): there is no hole
            self._range(source, target, 0, size)
        else:
            self._extents(source, target, size)

    def tree(self, source: int, target: int) -> None:
        """Copy everything in the open folder `source` into the empty open folder `target`, with its metadata.

        Hard links within the tree stay hard links; symbolic links, FIFOs, sockets and devices are made anew.

        Raises:
            OSError: the same, naming what could not be read; PermissionError for a device that this process may not make.
            ValueError: `target` lies inside `source`, which a bind mount can bring about.
        """
        # All in it comes from this folder, and would have its default ACL from it.
        self._passes_acl_on = metadata.passes_acl_on(target)
        for level, done in Walk(source, "read", copy=target, origin=self._origin):
            if level.identities[0] == level.top_copy:
                msg = f"The destination lies inside {self._origin!r}, through a mount: a copy cannot contain itself"
                raise ValueError(msg)
            if done:
                metadata.clone(level.copy, os.fstat(level.fd), level.fd)
                continue
            for name in level.files:
                try:
                    self._entry(level, name, target)
                except OSError as error:
                    if error.filename == name:
                        error.filename = os.path.join(self._origin, level.path, name)
                    raise

    def _entry(self, level: Level, name: str, top: int) -> None:
        if name in level.special:
            _special(level, name, os.stat(name, dir_fd=level.fd, follow_symlinks=False))
            return
        fds = Descriptors()
        try:
            source = fds.open(name, _READ_FLAGS, dir_fd=level.fd)
            status = os.fstat(source)
            identity = (status.st_dev, status.st_ino)
            if not stat.S_ISREG(status.st_mode):
                _special(level, name, status)
            elif identity not in self._links or not self._link(level, name, top, self._links[identity]):
                # Mostly the mode that it keeps; nobody else can reach it yet.
                copy = fds.open(name, _CREATE_FLAGS, stat.S_IMODE(status.st_mode) & _PLAIN_BITS, dir_fd=level.copy)
                self._data(source, copy, status)
                metadata.clone(copy, status, source, may_have_acl=self._passes_acl_on)
                fds.close(copy)  # NFS may say only now that it did not take all
                if status.st_nlink > 1:
                    self._links[identity] = level.path + name
                self._count(1, 0)
        finally:
            fds.close_all()

    def _link(self, level: Level, name: str, top: int, first: str) -> bool:
        try:
            os.link(first, name, src_dir_fd=top, dst_dir_fd=level.copy, follow_symlinks=False)
        except OSError:
            return False  # no links here, too many, or too deep for a path: a second copy holds the same
        self._count(1, 0)
        return True

    def _reflink(self, source: int, target: int, size: int) -> bool:
        if not self._reflinks:
            return False
        try:
            fcntl.ioctl(target, FICLONE, source)
        except OSError as error:
            if error.errno not in _FALLBACK_ERRNOS:
                raise
            self._reflinks = False
            return False
        self._count(0, size)
        return True

    def _extents(self, source: int, target: int, size: int) -> None:
        """Copy the parts that hold data; what lies between them becomes a hole.

        A file that is shorter than it said (cut meanwhile, or one of /sys) gives as much as there is.
        """
        offset = 0
        while offset < size:
            try:
                start = os.lseek(source, offset, os.SEEK_DATA)
                end = os.lseek(source, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break  # nothing but a hole to the end
                start, end = offset, size
            offset = self._range(source, target, start, end)
            if offset < end:
                size = offset
        os.ftruncate(target, size)

    def _range(self, source: int, target: int, start: int, end: int) -> int:
        while start < end:
            count = self._copy_chunk(source, target, start, min(end - start, _CHUNK))
            if count == 0:
                break
            start += count
            self._count(0, count)
        return start

    def _copy_chunk(self, source: int, target: int, offset: int, count: int) -> int:
        if self._in_kernel:
            try:
                copied = os.copy_file_range(source, target, count, offset, offset)
            except OSError as error:
                if error.errno not in _FALLBACK_ERRNOS:
                    raise
                self._in_kernel = False
            else:
                # 0 before the end is a filesystem that cannot, and does not say so (Linux 5.3 to 5.18).
                if copied:
                    return copied
        return _write(target, os.pread(source, min(count, 1 << 20), offset), offset)

    def _bytes_to_the_end(self, source: int, target: int) -> None:
        offset = 0
        while data := os.read(source, 1 << 20):
            offset += _write(target, data, offset)
            self._count(0, len(data))

    def _count(self, files: int, data: int) -> None:
        self._files += files
        self._bytes += data
        if self._progress is not None:
            self._progress(self._files, self._bytes)


def _write(target: int, data: bytes, offset: int) -> int:
    """Write all of `data` at `offset`: a call may write less than it was given (write(2))."""
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, offset)
        view, offset = view[count:], offset + count
    return len(data)


def _special(level: Level, name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=level.fd), name, dir_fd=level.copy)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=level.copy)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=level.copy)
    metadata.clone_status(name, level.copy, status)
