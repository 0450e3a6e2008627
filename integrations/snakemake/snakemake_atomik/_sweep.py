"""Removing what killed jobs left staged, by Atomik's rule for locks: never what is alive, however old it is."""

from __future__ import annotations

import contextlib
import os

import atomik

from ._staging import RECORD

#: Where this process has swept already.
_swept: set[str] = set()


def sweep(base: str) -> None:
    """Remove what killed jobs left in `base`, and beside their destinations; once in each process.

    Trouble is no reason not to run: what cannot be removed stays, and does no harm.
    """
    if base in _swept:
        return
    _swept.add(base)
    with contextlib.suppress(OSError):
        for leftover in atomik.leftovers(base):
            if not leftover.live:
                for directory in _noted(os.fspath(leftover.path)):
                    with contextlib.suppress(OSError):
                        atomik.clean(directory)
        atomik.clean(base)


def _noted(staging: str) -> set[str]:
    """Return the directories in which the job of a dead staging folder may have left something, too."""
    with contextlib.suppress(OSError):
        links = [name for name in os.listdir(staging) if name.startswith(RECORD)]
        return {os.readlink(os.path.join(staging, name)) for name in links}
    return set()
