"""The process from which workloads are forked, and a fresh place for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.scenarios import PREPARE, Scenario
from support.filesystems import Mounts, mount_point
from support.traced import Traced

#: Makes a fresh folder, laid out for a scenario, on a filesystem of this kind.
Fresh = Callable[[Scenario], Path]


@pytest.fixture(scope="session")
def traced() -> Iterator[Traced]:
    """A warm process that has published before; it sees the filesystems of the tests."""
    mount_point("tmpfs")
    with Traced(PREPARE) as warm:
        yield warm


@pytest.fixture
def fresh(mounts: Mounts, request: pytest.FixtureRequest) -> Fresh:
    """A maker of fresh places: on ext4, or on the kind of filesystem that the test is parametrized with."""
    kind = getattr(request, "param", "ext4")
    top, elsewhere = mounts(kind), mounts("tmpfs" if kind != "tmpfs" else "ext4")
    numbers = itertools.count()

    def make(scenario: Scenario) -> Path:
        number = str(next(numbers))
        for folder in (top, elsewhere):
            (folder / number).mkdir()
        scenario.lay(top / number, elsewhere / number)
        return top / number

    return make
