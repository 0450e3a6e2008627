"""The one rule for publishers, readers and cleaners, without which a cleaner deletes what has just been published.

Who needs a tree or a linked file holds a shared flock(2) on its inode; who removes it needs the exclusive one. After
every flock the descriptor is compared with the name: a cleaner may have opened `.atomik-x` before it was renamed onto
its destination, and flock succeeds on a directory that is removed already. Nobody ever waits.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Final

#: NFS answers EBADF for an exclusive lock on what is open for reading only (flock(2), "NFS details").
_NO_LOCKS: Final = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}


def share(fd: int) -> bool | None:
    """Take the shared lock; False if somebody is about to remove this inode, None where there are no locks."""
    return _lock(fd, fcntl.LOCK_SH)


def claim(fd: int) -> bool | None:
    """Take the exclusive lock, or turn our shared one into it; False if anybody else needs this inode, None as above.

    A conversion that fails has given up the shared lock (flock(2)): whoever still holds one then tidies.
    """
    return _lock(fd, fcntl.LOCK_EX)


def release(fd: int) -> None:
    """Give up whatever lock is held."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def _lock(fd: int, kind: int) -> bool | None:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_named(fd: int, directory: int, name: str) -> bool:
    """Say whether `name` in `directory` is the inode that `fd` holds open."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)
