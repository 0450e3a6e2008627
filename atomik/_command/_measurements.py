"""What `atomik.probe` does not say of a filesystem, by trial: hard links, syncing a directory, and what a sync costs."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import atomik

#: How often a block is written and synced, and for how long at most (in seconds).
_ROUNDS: Final = 15
_LONG_ENOUGH: Final = 1.0


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was found.

    Attributes:
        links: a file can have a second name (link(2)).
        directory_fsync: a directory can be synced, so that new names survive a power cut.
        fsync_seconds: how long it takes to write 4 KiB into a file and sync it: the median of several.
    """

    links: bool
    directory_fsync: bool
    fsync_seconds: float


def measure(directory: str) -> Measurements:
    """Find it out, in a staged folder that is discarded; a kill leaves something that `atomik clean` knows.

    Raises:
        OSError: nothing can be written there.
    """
    publication = atomik.folder(Path(directory, f"atomik-probe-{os.urandom(8).hex()}"), sync="off")
    scratch = publication.open()
    try:
        file = scratch / "file"
        file.touch()
        return Measurements(_links(file), _syncs_directory(scratch), _cost_of_fsync(file))
    finally:
        publication.discard()


def _links(file: Path) -> bool:
    try:
        file.with_name("second").hardlink_to(file)
    except OSError:
        return False
    return True


def _syncs_directory(directory: Path) -> bool:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _cost_of_fsync(file: Path) -> float:
    taken: list[float] = []
    with file.open("wb", buffering=0) as target:
        while len(taken) < _ROUNDS and sum(taken) < _LONG_ENOUGH:
            start = time.perf_counter()
            target.write(os.urandom(4096))
            os.fsync(target.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)
