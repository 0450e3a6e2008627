"""The project's own tests on an older kernel, and on another processor: those that depend on either."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.kernels("6.1")


def run(*arguments):
    """Run pytest on some of the project's tests; what it says is this test's to show, its reports say that it goes on."""
    # As a program of its own: a test run in a test run would share its plugins.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "lab.guest.report", "-p", "no:cacheprovider", "-q"),
            *("-o", "timeout=180", *arguments),
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def run_in(place, *arguments):
    """Run them in this place; open the folders that some of them close, so that they can be removed."""
    try:
        run(*arguments, f"--basetemp={place / 'tests'}")
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", place.path], check=True)


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
    run_in(place, "tests/core/test_file.py", "tests/core/test_destinations.py", "-m", "not system")


@pytest.mark.timeout(1800)
@pytest.mark.kernels("arm64-6.1", "arm64-newest")
@pytest.mark.places("ext4")
def test_crashes_on_arm64(kernel, user, place):
    """The crashes of any code are seen where its system calls have other numbers, and some are missing; power cuts need root."""
    if user == "root":
        subprocess.run(["modprobe", "xfs"], check=True)  # a test looks whether this kernel has it
    run_in(
        place,
        *("tests/integration_pytest/test_crashes.py", "tests/integration_pytest/test_crashes_publications.py"),
        *(["tests/integration_pytest/test_crashes_powercut.py"] if user == "root" else ["-m", "not system"]),
    )


@pytest.mark.timeout(1800)
@pytest.mark.kernels("arm64-6.1")
@pytest.mark.users("user")
@pytest.mark.places("ext4")
def test_core_on_arm64(kernel, user, place):
    """The core's own system calls, by ctypes."""
    run_in(place, "tests/core", "-m", "not system")
