"""A killed run leaves staged folders behind; the next run that writes to the same directory removes them.

Sweeping a directory takes time in proportion to its entries, and every task may run in a process of its own. So all the
processes that a worker forks share one record of when which directory was swept, and sweep each at most once a minute.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
import time
from typing import Final

import atomik

logger = logging.getLogger("luigi-interface")

_INTERVAL: Final = 60.0
_RECORD: Final = struct.Struct("qd")
_SLOTS: Final = 4096
#: Which directory (its hash) was swept when (time.monotonic); anonymous and shared, so that forked processes see it.
_swept: Final = mmap.mmap(-1, _SLOTS * _RECORD.size)


def sweep(directory: str) -> None:
    """Remove what dead processes have left in `directory`, if that was not done lately. Never fails."""
    if not directory.startswith("/"):
        directory = os.path.abspath(directory)
    key, now = hash(directory), time.monotonic()
    slot = key % _SLOTS * _RECORD.size
    swept, when = _RECORD.unpack_from(_swept, slot)
    if swept == key and when and now - when < _INTERVAL:
        return
    _RECORD.pack_into(_swept, slot, key, now)
    try:
        removed = atomik.clean(directory)
    except OSError as error:
        logger.debug("%s: could not be searched for what killed runs left: %s", directory, error)
    else:
        for leftover in removed:
            logger.info("%s: removed, a killed run left it (%d bytes)", leftover.path, leftover.size)
