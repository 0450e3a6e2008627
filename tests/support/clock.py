"""The clock that the kernel stamps inodes by, which ticks once in some milliseconds only."""

from __future__ import annotations

import time

#: clock_gettime(2); the time module does not name it.
_CLOCK_REALTIME_COARSE = 5


def coarse_time() -> int:
    """What it says now, in nanoseconds."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


def wait_for_tick(since: int) -> None:
    """Wait until it says more than SINCE, a time by `time.time_ns()`, which may be more than a tick ahead of it.

    What was changed before SINCE is then older than what it says, even if its time is from the finer clock (Linux 6.13,
    multigrain timestamps).
    """
    while coarse_time() <= since:
        time.sleep(0.0005)
