"""A killed run leaves staged folders behind; the next worker that writes to the same directory removes them.

Sweeping a directory takes time in proportion to its entries, and every task may run in a process of its own. So a worker
sweeps a directory once, together with all the processes that it forks.
"""

from __future__ import annotations

import logging
import mmap
import os
from typing import Final

import atomik

logger = logging.getLogger("luigi-interface")

_SLOTS: Final = 1 << 16
#: Whether a directory was swept, by its hash: anonymous shared memory, so that forked processes see it. Where two
#: directories share a slot one of them has to wait for the next worker, whose hashes are others.
_swept: Final = mmap.mmap(-1, _SLOTS)


def sweep(directory: str) -> None:
    """Remove what dead processes have left in `directory`, if this worker has not done so yet. Never fails."""
    slot = hash(directory if directory.startswith("/") else os.path.abspath(directory)) % _SLOTS
    if _swept[slot]:
        return
    _swept[slot] = 1
    try:
        removed = atomik.clean(directory)
    except OSError as error:
        logger.debug("%s: could not be searched for what killed runs left: %s", directory, error)
    else:
        for leftover in removed:
            logger.info("%s: removed, a killed run left it (%d bytes)", leftover.path, leftover.size)
