"""Killed with -9 at each system call: old or new, nothing of a new file left, the rest found and removed."""

from __future__ import annotations

import pytest

from faults.conftest import Fresh
from faults.kills import check_kills
from faults.scenarios import Scenario, scenarios
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]


@pytest.mark.parametrize("scenario", list(scenarios()), ids=str)
def test_killed_at_each_call(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Old or new, whatever call a kill falls on; a cleaner finds all that is left, and the next publication succeeds.

    A file leaves nothing even before that, unless it overwrites and is killed between its link and its rename.
    """
    check_kills(traced, fresh, scenario, leaves_nothing=scenario.call == "file")


@pytest.mark.parametrize("call", ["file", "folder"])
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("fresh", ["btrfs"], indirect=True)
def test_killed_on_btrfs(traced: Traced, fresh: Fresh, call: str, overwrite: bool) -> None:
    """The same where a file gets its staging name before it is synced."""
    check_kills(traced, fresh, Scenario(call, call == "folder", overwrite))


@pytest.mark.parametrize(
    "scenario",
    [Scenario("file", False, False), Scenario("file", False, True), Scenario("folder", True, False)],
    ids=str,
)
@pytest.mark.parametrize("fresh", ["bindfs"], indirect=True)
def test_killed_on_lower_rungs(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """The same on FUSE without O_TMPFILE and without renameat2's flags; there a cleaner has to be forced."""
    check_kills(traced, fresh, scenario, locks=False)
