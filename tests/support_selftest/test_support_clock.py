"""The kernel's clock for inodes, as tests wait for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from support.clock import coarse_time, wait_for_tick


def test_after_a_tick_what_was_changed_is_older(tmp_path: Path) -> None:
    """After the wait the clock says more than any time that a file got before, even one from a finer clock."""
    file = tmp_path / "file"
    file.touch()
    for _ in range(20):
        file.stat()  # a time that was looked at is followed by a finer one
        os.utime(file)
        wait_for_tick(time.time_ns())

        assert coarse_time() > file.stat().st_ctime_ns
