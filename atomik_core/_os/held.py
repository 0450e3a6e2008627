"""One version of a folder, held still while it is read: who replaces it leaves the old tree to its last reader."""

from __future__ import annotations

import errno
import os
import stat
import time

from . import locks, remove
from .calls import GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .descriptors import Descriptors

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

#: How often a folder may be replaced while it is being opened; each round takes microseconds.
_ROUNDS: Final = 10_000

#: How often, and for how many seconds each, an exclusive lock is waited for: a cleaner's is gone at once.
_BUSY_ROUNDS: Final = 100
_BUSY_PAUSE: Final = 0.001


def open_held(fds: Descriptors, path: str) -> tuple[int, locks.Lock]:
    """Open a file or folder, and hold the version that stands there; say whether there is a lock that holds a folder.

    A file needs none: an open descriptor holds it.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: EINVAL for a device, FIFO or socket; EBUSY for a folder that another program has locked exclusively.
    """
    busy = 0
    for _ in range(_ROUNDS):
        _require_plain(os.stat(path), path)  # opening a device may do something, and a socket cannot be opened
        fd = fds.open(path, _READ)
        try:
            status = os.fstat(fd)
        except OSError as error:
            if error.errno not in GONE:
                raise
            fds.close(fd)  # another host has replaced it since
            continue
        _require_plain(status, path)
        if stat.S_ISREG(status.st_mode):
            return fd, "held"
        lock = locks.try_lock_shared(fd)
        # By the rule: it may have been replaced, and be about to be removed, since it was opened.
        is_current = os.path.samestat(status, os.stat(path))
        if lock != "busy" and is_current:
            return fd, lock
        if lock == "busy" and is_current:
            busy += 1
            if busy == _BUSY_ROUNDS:
                msg = "Another program holds an exclusive lock (flock) on this folder; a version of it cannot be held meanwhile"
                raise OSError(errno.EBUSY, msg, path)
            time.sleep(_BUSY_PAUSE)
        # Whoever replaced it may have left it to us, seeing our lock.
        leave(fd)
        fds.close(fd)
    msg = "The folder is replaced faster than it can be opened; try again"
    raise OSError(errno.EBUSY, msg, path)


def _require_plain(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        msg = "Only files and folders have versions, and can be copied; this is a device, FIFO or socket"
        raise OSError(errno.EINVAL, msg, path)


def leave(fd: int) -> None:
    """Hold it no longer; the last reader of a version that was replaced removes it."""
    try:
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError:
        return  # what it holds stays a leftover
    if is_folder:
        remove.unlock_and_reap(fd)
