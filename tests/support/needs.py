"""What a test needs from the machine it runs on.

Where it is missing, the test is skipped with the reason, so that the suite runs for everybody. With ATOMIK_NO_SKIP=1,
as CI sets it, it fails instead: a promise that nobody checks is not kept.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def require(condition: bool, reason: str) -> None:
    """Go on only if CONDITION holds: skip the test with REASON, or fail it where nothing may be skipped."""
    __tracebackhide__ = True
    if condition:
        return
    if os.environ.get("ATOMIK_NO_SKIP") == "1":
        pytest.fail(f"{reason} (and ATOMIK_NO_SKIP=1 forbids to skip)")
    pytest.skip(reason)


def need_root() -> None:
    """Go on only as root."""
    __tracebackhide__ = True
    require(os.geteuid() == 0, "needs root")


def need_tool(*names: str) -> None:
    """Go on only if every program in NAMES is installed."""
    __tracebackhide__ = True
    missing = [name for name in names if shutil.which(name) is None]
    require(not missing, f"needs {', '.join(missing)}, which is not installed")


def need_module(*names: str) -> None:
    """Go on only if every Python module in NAMES is installed."""
    __tracebackhide__ = True
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    require(not missing, f"needs the Python module {', '.join(missing)}, which is not installed")


def need_kernel(*filesystems: str) -> None:
    """Go on only if the kernel has each of FILESYSTEMS, built in or loaded."""
    __tracebackhide__ = True
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    missing = [name for name in filesystems if name not in known]
    require(not missing, f"needs a kernel with {', '.join(missing)}")
