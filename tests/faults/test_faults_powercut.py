"""Power cuts: nothing acknowledged is lost with "full", nothing is torn with "normal"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import atomik
import atomik_core.testing
from faults.cuts import Filesystem, check_cuts_at_each_call, check_random_cuts
from faults.scenarios import Scenario
from support.powercut import PowerCut
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]

FILE = Scenario("file", is_folder=False, overwrite=True)
NEW_FILE = Scenario("file", is_folder=False, overwrite=False)
FOLDER = Scenario("folder", is_folder=True, overwrite=True)
BIG_FOLDER = Scenario("path", is_folder=True, overwrite=True, big=True)
LINK = Scenario("symlink", is_folder=False, overwrite=True)
STAGE = Scenario("stage", is_folder=True, overwrite=True)
NEW_STAGE = Scenario("stage", is_folder=False, overwrite=False)
NORMAL = Scenario("folder", is_folder=True, overwrite=True, sync="normal")


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
@pytest.mark.parametrize("sync", ["full", "normal"])
def test_cut_under_a_busy_process(filesystem: Filesystem, sync: str) -> None:
    """Every version on the disk is whole, and with "full" it is the one last acknowledged, or a later one."""
    check_random_cuts(filesystem, sync, cuts=10)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
@pytest.mark.parametrize("publish", [atomik.file, atomik.folder, atomik.path])
def test_disk_that_stops_between_the_rename_and_its_sync(filesystem: Filesystem, publish: Callable[..., Any]) -> None:
    """It is an error, never a success: xfs's fsync of a directory says nothing of it."""
    with PowerCut(filesystem) as disk:

        def cut(_: object, step: str) -> None:
            if step == "published":
                disk.cut()

        with pytest.raises(atomik.NotDurableError), atomik_core.testing.watching(cut), publish(disk.path / "a") as made:
            if publish is atomik.path:
                made.write_text("new")
        disk.remount()

        assert not (disk.path / "a").exists()


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
@pytest.mark.parametrize("scenario", [FILE, NEW_FILE, FOLDER, BIG_FOLDER, NORMAL, LINK, STAGE, NEW_STAGE], ids=str)
def test_cut_at_each_call(traced: Traced, filesystem: Filesystem, scenario: Scenario) -> None:
    """Old or new, whatever call the cut follows, even if all names have reached the disk; new, once it is done."""
    check_cuts_at_each_call(traced, filesystem, scenario)
