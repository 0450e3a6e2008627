"""`atomik.snapshot`: one version of a folder or file, held still while it is read."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path

from ._os.descriptors import Descriptors, process
from ._os.filesystems import Filesystem
from ._os.held import leave, open_held
from ._publish import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from ._publish.options import StrPath


class _Snapshot(AbstractContextManager[Path]):
    """A version that is held from `__enter__` to `__exit__`."""

    _pid = -1  # also if it is interrupted while it is made

    def __init__(self, path: str) -> None:
        self._path = path
        self._fds = Descriptors()

    def __enter__(self) -> Path:
        if self._pid != -1:
            msg = f"the snapshot of {self._path!r} was taken before; call atomik.snapshot again for another"
            raise ValueError(msg)
        self._pid = process.pid
        try:
            return self._readable(self._hold())
        except BaseException:
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._pid == process.pid:
            self._leave()

    def __del__(self) -> None:
        if self._pid == process.pid:
            self._leave()

    def _hold(self) -> int:
        fd, lock = open_held(self._fds, self._path)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            scope = Filesystem(fd).lock_scope
            if scope != "exact":
                raise explain.locks_stay_on_a_host(fd, self._path)
            if lock == "unsupported":
                raise explain.unsupported(fd, self._path, "flock", errno.ENOLCK)
        return fd

    def _readable(self, fd: int) -> Path:
        path = Path(f"/proc/{self._pid}/fd/{fd}")
        if not path.exists():
            msg = "A snapshot is read through /proc, which is not mounted here"
            raise OSError(errno.ENOSYS, msg, self._path)
        return path

    def _leave(self) -> None:
        for fd in self._fds:
            leave(fd)
        self._fds.close_all()


def snapshot(path: StrPath) -> AbstractContextManager[Path]:
    """Hold one version of a folder or file still, for as long as the block lasts, whoever replaces it meanwhile.

    ::

        with atomik.snapshot("results") as results:
            names = sorted(results.iterdir())
            tables = [read(name) for name in names]

    Writers never wait: an old version that is replaced by :func:`atomik.folder` is removed when its last reader has left.
    What is yielded is a path through a descriptor (``/proc/<pid>/fd/<n>``), which also works in child processes of the same
    user and pid namespace. ``Path.resolve()`` leads out of the snapshot: it gives the name of the folder, and after a
    replacement that name leads to the new version.

    Args:
        path: a folder or a file; symbolic links are followed.

    Returns:
        a context manager that yields the path to read.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        UnsupportedFilesystemError: the filesystem has no locks that every writer would see, which a folder needs.
        OSError: whatever else opening it says; EINVAL for a device, FIFO or socket.

    All are raised when the block begins. A snapshot does not stop programs that themselves write or delete inside the folder.
    """
    return _Snapshot(os.fsdecode(path))
