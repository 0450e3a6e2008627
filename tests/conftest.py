"""What holds for every test: a plain umask, and nothing left open or lying around."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.watch import descriptors, litter

pytest_plugins = ["support.filesystems"]

#: The laboratory takes an hour, and half of one more where aarch64 can be emulated; it runs if it is named: `tox run -e lab`.
collect_ignore = ["lab"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers by which a test says that it leaves something on purpose; let signals be heard.

    A run that nohup or a script's `&` has started ignores some, and so would every process that a test starts; a handler is not
    inherited. The cache is this run's own: pytest processes that a test starts would find it by tox's variable.
    """
    os.environ.pop("TOX_ENV_DIR", None)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _ignore)
    config.addinivalue_line("markers", "leaves_litter: leaves staging entries or kept work behind, on purpose")
    config.addinivalue_line("markers", "leaks_descriptors: leaves descriptors open, on purpose")


def _ignore(number: int, frame: object) -> None:
    """Do nothing: what nohup is for is this run's, not that of the processes that it starts."""


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Let this process have no more than 256 descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(autouse=True)
def plain_umask() -> Iterator[None]:
    """Run each test with the umask 0o022, whatever it is outside, and whatever a test before it has set."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves descriptors open, unless it is marked `leaks_descriptors`."""
    before = descriptors()
    yield
    if request.node.get_closest_marker("leaks_descriptors"):
        return
    if descriptors().items() - before.items():
        gc.collect()
    left = dict(sorted(descriptors().items() - before.items()))
    if left:
        pytest.fail(f"the test left descriptors open: {left}")


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves litter in its tmp_path, unless it is marked `leaves_litter`."""
    directory: Path | None = None
    if "tmp_path" in request.fixturenames:
        directory = request.getfixturevalue("tmp_path")
    yield
    if directory is None or request.node.get_closest_marker("leaves_litter"):
        return
    left = litter(directory)
    if left:
        pytest.fail(f"the test left behind: {left}")
