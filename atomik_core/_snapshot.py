"""`atomik.snapshot`: one version of a folder or file, held still while it is read."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Final

from . import _explain, _filesystems, _locks, _remove
from ._descriptors import Descriptors
from ._destination import StrPath

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

#: How often a folder may be replaced while it is being opened; each round takes microseconds.
_ROUNDS: Final = 10_000


class _Snapshot(AbstractContextManager[Path]):
    """A version that is held from `__enter__` to `__exit__`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fds = Descriptors()
        self._pid = -1

    def __enter__(self) -> Path:
        if self._pid != -1:
            msg = f"the snapshot of {self._path!r} was taken before; call atomik.snapshot again for another"
            raise ValueError(msg)
        self._pid = os.getpid()
        try:
            return self._readable(self._hold())
        except BaseException:
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._pid == os.getpid():
            self._leave()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            self._leave()

    def _hold(self) -> int:
        for _ in range(_ROUNDS):
            fd = self._fds.open(self._path, _READ)
            mode = os.fstat(fd).st_mode
            if stat.S_ISREG(mode):
                return fd  # an open descriptor holds it
            if not stat.S_ISDIR(mode):
                msg = "Only files and folders have versions, and this is a device, FIFO or socket"
                raise OSError(errno.EINVAL, msg, self._path)
            held = _locks.share(fd) if _filesystems.reach_of_locks(fd) == "exact" else None
            if held is None:
                raise _explain.unsupported(fd, self._path, "flock", errno.ENOLCK)
            # By the rule: it may have been replaced, and be about to be removed, since it was opened.
            if held and os.path.samestat(os.fstat(fd), os.stat(self._path)):
                return fd
            # Whoever replaced it may have left it to us, seeing our lock.
            _remove.leave(fd)
            self._fds.close_one(fd)
        msg = "The folder is replaced faster than it can be opened; try again"
        raise OSError(errno.EBUSY, msg, self._path)

    def _readable(self, fd: int) -> Path:
        path = Path(f"/proc/{self._pid}/fd/{fd}")
        if not path.exists():
            msg = "A snapshot is read through /proc, which is not mounted here"
            raise OSError(errno.ENOSYS, msg, self._path)
        return path

    def _leave(self) -> None:
        for fd in self._fds:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                _remove.leave(fd)
        self._fds.close()


def snapshot(path: StrPath) -> AbstractContextManager[Path]:
    """Hold one version of a folder or file still, for as long as the block lasts, whoever replaces it meanwhile.

    ::

        with atomik.snapshot("results") as results:
            names = sorted(results.iterdir())
            tables = [read(name) for name in names]

    Writers never wait: an old version that is replaced by :func:`atomik.folder` is removed when its last reader has left.
    What is yielded is a path through a descriptor (``/proc/<pid>/fd/<n>``), good in child processes of the same user and pid
    namespace, too. ``Path.resolve()`` leads out of the snapshot: it gives the name, under which the new version stands after
    a replacement.

    Args:
        path: a folder or a file; symbolic links are followed.

    Returns:
        a context manager that yields the path to read.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        UnsupportedFilesystemError: the filesystem has no locks that every writer would see, which a folder needs.
        OSError: whatever else opening it says; EINVAL for a device, FIFO or socket.

    All are raised when the block begins. Programs that write or delete inside the folder by themselves are not kept out.
    """
    return _Snapshot(os.fsdecode(path))
