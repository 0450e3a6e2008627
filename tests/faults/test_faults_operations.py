"""rename, exchange, remove, copy, group and stage: killed, failed and interrupted at each system call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.operations import (
    GROUP,
    OPERATIONS,
    PARENTS,
    STAGE,
    STAGE_BELOW_ROOT,
    STAGE_WITH_GAP,
    Operation,
    check_failures,
    check_interrupts,
    check_kills,
)
from support.filesystems import Mounts
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]

#: Copies and groups are made of publications, which are tested by themselves: a folder is enough; some want directories.
CASES = [
    pytest.param(operation, is_folder, id=f"{name}-{'folder' if is_folder else 'file'}")
    for name, operation in {
        **OPERATIONS,
        "group": GROUP,
        "stage": STAGE,
        "stage-root": STAGE_BELOW_ROOT,
        "stage-gap": STAGE_WITH_GAP,
    }.items()
    for is_folder in (False, True)
    if is_folder or name not in {"copy", "copy-over", "group", "stage-root", "stage-gap"}
]


@pytest.fixture
def empty(mounts: Mounts) -> Callable[[], Path]:
    """A maker of empty folders."""
    top, numbers = mounts("ext4"), itertools.count()

    def make() -> Path:
        folder = top / str(next(numbers))
        folder.mkdir()
        return folder

    return make


@pytest.mark.parametrize(("operation", "is_folder"), CASES)
def test_killed_at_each_call(traced: Traced, empty: Callable[[], Path], operation: Operation, is_folder: bool) -> None:
    """Before or after, whatever call a kill falls on; what it leaves is found and removed."""
    check_kills(traced, empty, operation, is_folder=is_folder)


@pytest.mark.parametrize(("operation", "is_folder"), [*CASES, pytest.param(PARENTS, True, id="parents")])
def test_failed_at_each_call(traced: Traced, empty: Callable[[], Path], operation: Operation, is_folder: bool) -> None:
    """Done, or an error and all as before; NotDurableError if all is done but the sync; nothing is left open."""
    check_failures(traced, empty, operation, is_folder=is_folder)


@pytest.mark.parametrize(("operation", "is_folder"), CASES)
def test_interrupted_at_each_call(
    traced: Traced, empty: Callable[[], Path], operation: Operation, is_folder: bool
) -> None:
    """Before or after, whatever call a Ctrl-C falls on; only after it may something be left to a cleaner."""
    check_interrupts(traced, empty, operation, is_folder=is_folder)
