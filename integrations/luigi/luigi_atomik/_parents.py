"""The folders above a target: made when they are missing, durably, and never taken back, as Luigi has it.

Not by ``parents=True``, which removes on failure what it made: another task may be writing there by then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, get_args

from atomik import Sync

#: From the strongest to the weakest.
LEVELS: Final[tuple[str, ...]] = get_args(Sync)


def level_of(sync: Sync | None) -> str:
    """Return the level that `sync` means now: itself, or what ATOMIK_SYNC says, or "full".

    Raises:
        ValueError: it is no level.
    """
    if sync is not None and sync not in LEVELS:
        msg = f"sync is {sync!r}; it takes {', '.join(map(repr, LEVELS))}, or None for what ATOMIK_SYNC says"
        raise ValueError(msg)
    return sync or os.environ.get("ATOMIK_SYNC") or LEVELS[0]


@contextmanager
def durable(path: str, sync: Sync | None) -> Iterator[Sync | None]:
    """Yield the level to publish at `path` with, so that `sync` holds at the end of the block.

    The names in a directory that may be written to, but not listed, cannot be synced by themselves: there everything is.
    """
    if not needs_sync_of_all(path, sync):
        yield sync
        return
    yield "normal"
    os.sync()


def needs_sync_of_all(path: str, sync: Sync | None) -> bool:
    """Say whether what is published at `path` is durable only when the whole machine has been synced."""
    if level_of(sync) != "full":
        return False
    parent = os.path.dirname(path.rstrip("/")) or "."
    return not os.access(parent, os.R_OK) and os.path.isdir(parent)


def make_parents(path: str, sync: Sync | None) -> None:
    """Make the directories above `path` that are missing.

    Raises:
        OSError: what mkdir(2) says, such as NotADirectoryError for a file in the way.
    """
    parent = os.path.dirname(path.rstrip("/")) or "."
    if not os.path.isdir(parent):
        make_folder(parent, sync)


def make_folder(path: str, sync: Sync | None) -> None:
    """Make a directory and those above it, if they are missing; a rival may be making them, too."""
    above = os.path.dirname(path.rstrip("/")) or "."
    if not os.path.isdir(above):
        make_folder(above, sync)
    with suppress(FileExistsError):
        os.mkdir(path)
    if level_of(sync) == "full":
        sync_folder(above)


def sync_folder(path: str) -> None:
    """Make the names in a directory durable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        os.sync()  # names may be made where they may not be read
        return
    try:
        os.fsync(fd)
        os.fstat(fd)  # tells of an xfs that has stopped meanwhile, which the fsync of a directory does not
    finally:
        os.close(fd)
