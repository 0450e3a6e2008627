"""What makes content and names survive a power cut, in the order that the crash tests proved.

Content is synced before it gets its name, the directory after it, and only then may the old version go: exchanging and
removing without the first sync loses the old *and* the new (ext4 and xfs, on the next commit of the journal).
"""

from __future__ import annotations

import errno
import os
import stat

from . import calls
from .descriptors import Descriptors
from .filesystems import Filesystem
from .walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from .levels import Sync

#: Up to so many files and folders are fsynced each: syncfs flushes everybody else's data, too.
HANDFUL: Final = 8

_LEVELS: Final[tuple[Sync, ...]] = ("full", "normal", "off")


def resolve_level(sync: str | None) -> Sync:
    """Return the level that is meant: `sync`, else what ATOMIK_SYNC says now, else "full".

    Raises:
        ValueError: for any other word.
    """
    word = sync if sync is not None else os.environ.get("ATOMIK_SYNC") or "full"
    for level in _LEVELS:
        if word == level:
            return level
    where = "sync" if sync is not None else "the environment variable ATOMIK_SYNC"
    msg = f"{where} is {word!r}; it takes {', '.join(map(repr, _LEVELS))}"
    raise ValueError(msg)


def flush_to_server(fd: int) -> None:
    """Have a network filesystem say now whether it took what was written: it does at each close, not only the last."""
    os.close(os.dup(fd))


def fsync_directories(directories: Iterable[int]) -> None:
    """Make names durable that were made or changed in these directories.

    Raises:
        OSError: they may not be durable. EIO also where the filesystem has stopped meanwhile, which xfs's fsync of a directory
            answers with success, and its fstat does not (xfs_dir_fsync; seen, with the names gone after the next mount).
    """
    for directory in directories:
        os.fsync(directory)
        os.fstat(directory)


def sync_data(fds: Sequence[int], oldest: int, filesystem: Filesystem) -> None:
    """Make files and folders durable: fsync for a handful, syncfs where it tells the truth, else a walk.

    Args:
        fds: the files and folders, all on one filesystem.
        oldest: a descriptor on it, opened before anything was made: syncfs reports the write-back errors since then,
            where a late fsync of a file says success after an earlier failure (ext4, xfs; seen).
        filesystem: that one.

    Raises:
        OSError: something may not have reached the disk; a second try would only say so no more.
    """
    reliable = filesystem.has_reliable_syncfs
    try:
        if not reliable or _are_a_handful(fds):
            for fd in fds:
                sync_tree(fd)
            return
    except PermissionError:  # a file or folder in it that even its owner may not read
        if not reliable:
            raise
    calls.syncfs(oldest)


def _are_a_handful(fds: Sequence[int]) -> bool:
    count = len(fds)
    for fd in fds:
        if count > HANDFUL:
            return False
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            continue
        for inner, done in Walk(fd, "read"):
            if not done:
                count += len(inner.files) + len(inner.folders)
                if count > HANDFUL:
                    return False
    return count <= HANDFUL


def sync_tree(fd: int) -> None:
    """Fsync a file, or every file and folder in a folder."""
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        os.fsync(fd)
        return
    for inner, done in Walk(fd, "read"):
        if done:
            os.fsync(inner.fd)
        else:
            for name in inner.files:
                _fsync_entry(inner.fd, name)


def _fsync_entry(directory: int, name: str) -> None:
    fds = Descriptors()
    try:
        # O_NONBLOCK: a FIFO in the folder must not wait for a writer.
        fd = fds.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.fsync(fd)
    except OSError as error:
        # A symbolic link or a socket is in its folder's blocks; fsync says neither.
        if error.errno not in {errno.ELOOP, errno.ENXIO}:
            raise
    finally:
        fds.close_all()
