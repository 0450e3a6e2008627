"""What stands at an output when `run()` begins: `run()` finds a copy of it at the staged path, and may go on from that.

So what reads, appends to or updates its own output works by path, too, with programs and libraries that know nothing of
staging. What `run()` has left as it was is not published: the old one stays, which is the same, and its time, too.
"""

from __future__ import annotations

import logging
import os
import stat
from typing import Final, TypeAlias

import atomik

logger = logging.getLogger("luigi-interface")

#: What tells an entry from what it was before: of a folder, with all that is in it.
Fingerprint: TypeAlias = "tuple[object, ...]"


def fingerprint(path: str) -> Fingerprint | None:
    """Return what changes when anybody writes there; None if nothing is there."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    own = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)
    if not stat.S_ISDIR(status.st_mode):
        return own
    try:
        names = sorted(os.listdir(path))
    except PermissionError:
        return own
    return (*own, *((name, fingerprint(os.path.join(path, name))) for name in names))


def copy_old(path: str, staged: str) -> Fingerprint | None:
    """Copy what stands at `path`, if anything does, to `staged`, where nothing is yet; what the copy is known by, or None.

    What cannot be copied, such as a FIFO or a file that may not be read, is not there for `run()`.
    """
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
        if kind == stat.S_IFLNK:
            target = os.readlink(path)
            os.symlink(os.path.join(os.path.dirname(path), target), staged)
        elif kind in _COPIED:
            atomik.copy(path, staged, sync="off")
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s: run() does not see it, since it cannot be copied: %s", path, error)
    return fingerprint(staged)


_COPIED: Final = {stat.S_IFREG, stat.S_IFDIR}
