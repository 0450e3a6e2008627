"""The project's own tests on an older kernel: those of the filesystems as root, those of the core as an ordinary user."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.kernels("6.1")


def run(*arguments):
    """Run pytest on some of the project's tests; what it says is this test's to show."""
    # As a program of its own: a test run in a test run would share its plugins.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-o", "timeout=180", *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.timeout(900)
@pytest.mark.users("root")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay"])
@pytest.mark.parametrize("file", ["test_promises.py", "test_leftovers.py", "test_rungs.py"])
def test_filesystems(kernel, user, kind, file):
    """What is promised of each filesystem that has every primitive."""
    run(f"tests/filesystems/{file}", "-k", f"{kind} and not overlay-" if kind != "overlay" else kind)


@pytest.mark.timeout(900)
@pytest.mark.users("user")
@pytest.mark.places("ext4", "xfs", "btrfs", "f2fs", "overlay")
def test_core(kernel, user, place):
    """What an ordinary user can do, who has no AT_EMPTY_PATH on this kernel."""
    run(
        "tests/core/test_file.py",
        "tests/core/test_destinations.py",
        "-m",
        "not system",
        f"--basetemp={place / 'tests'}",
    )
