"""The one rule for publishers, readers and cleaners, without which a cleaner deletes what has just been published.

Who needs a tree or a linked file holds a shared flock(2) on its inode; who removes it needs the exclusive one. After
every flock the descriptor is compared with the name: a cleaner may have opened `.atomik-x` before it was renamed onto
its destination, and flock succeeds on a directory that is removed already. Nobody ever waits.
"""

from __future__ import annotations

import errno
import fcntl
import os

from .calls import GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal, TypeAlias

    #: The lock is ours; somebody else has one that excludes it; there are no locks here.
    Lock: TypeAlias = Literal["held", "busy", "unsupported"]

#: EBADF is NFS's, for an exclusive lock on what is open for reading only (flock(2),
#: "NFS details").
_NO_LOCKS: Final = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}


def try_lock_shared(fd: int) -> Lock:
    """Take the shared lock; busy if somebody is about to remove this inode."""
    return _try_lock(fd, fcntl.LOCK_SH)


def try_lock_exclusive(fd: int) -> Lock:
    """Take the exclusive lock, or turn our shared one into it; busy if anybody else needs this inode.

    A conversion that fails has given up the shared lock (flock(2)): whoever still holds one then tidies.
    """
    return _try_lock(fd, fcntl.LOCK_EX)


def unlock(fd: int) -> None:
    """Give up whatever lock is held."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def _try_lock(fd: int, kind: int) -> Lock:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return "busy"
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return "unsupported"
        raise
    return "held"


def is_named(fd: int, directory: int, name: str) -> bool:
    """Say whether `name` in `directory` is the inode that `fd` holds open."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        here = os.fstat(fd)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return False
    return here.st_ino == there.st_ino and here.st_dev == there.st_dev
