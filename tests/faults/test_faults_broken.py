"""The test of these tests: a core that lacks one precaution does not get past them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faults import variants
from faults.conftest import Fresh
from faults.cuts import check_cuts_at_each_call, check_random_cuts
from faults.failures import check_failures
from faults.interrupts import check_interrupts
from faults.kills import check_kills
from faults.races import check_cleaner, check_rivals
from faults.scenarios import PREPARE, Scenario
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]

NEW_FILE = Scenario("file", is_folder=False, overwrite=False)
FILE = Scenario("file", is_folder=False, overwrite=True)
NEW_FOLDER = Scenario("folder", is_folder=True, overwrite=False)
FOLDER = Scenario("folder", is_folder=True, overwrite=True)
BIG_FOLDER = Scenario("folder", is_folder=True, overwrite=True, big=True)


def on_ext4(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Cut the power after each call; ext4 shows mercy to files that are renamed over others (auto_da_alloc)."""
    check_cuts_at_each_call(traced, "ext4", scenario)


def on_xfs(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Cut the power after each call."""
    check_cuts_at_each_call(traced, "xfs", scenario)


def leaving_nothing(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Kill at each call, and look before anybody cleans."""
    check_kills(traced, fresh, scenario, leaves_nothing=True)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("variant", "check", "scenario", "complaint"),
    [
        ("NO_SYNC", on_xfs, FILE, "after a cut at renameat"),
        ("NO_SYNC", on_ext4, BIG_FOLDER, "mixed|after a cut at renameat2"),
        ("NO_DIRECTORY_SYNC", on_ext4, FOLDER, "acknowledged, and lost"),
        ("PUBLISHED_BEFORE_SYNC", on_xfs, FILE, "after a cut at renameat"),
        ("PUBLISHED_BEFORE_SYNC", on_ext4, FOLDER, "after a cut at renameat2"),
        ("PUBLISHED_BEFORE_SYNC", on_ext4, BIG_FOLDER, "after a cut at renameat2"),
        ("DEAF_SYNC", check_failures, FILE, "a sync failed, and success was reported"),
        ("NO_COMPARISON", check_cleaner, NEW_FOLDER, "the cleaner left"),
        ("NO_NOREPLACE", check_rivals, NEW_FOLDER, "was overwritten"),
        ("NO_EXCHANGE", check_kills, FOLDER, "the destination says None"),
        ("FORGETFUL_OPEN", check_interrupts, NEW_FILE, "left open"),
        ("NAMED_STAGING", leaving_nothing, NEW_FILE, "left behind"),
    ],
)
def test_caught(
    fresh: Fresh, variant: str, check: Callable[[Traced, Fresh, Scenario], None], scenario: Scenario, complaint: str
) -> None:
    """Each precaution that is taken away is missed by the very checks that the core passes."""
    with Traced(PREPARE + getattr(variants, variant)) as broken, pytest.raises(AssertionError, match=complaint):
        check(broken, fresh, scenario)


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [("NO_SYNC", "torn|durable as|mixed"), ("NO_DIRECTORY_SYNC", "durable as")],
)
def test_caught_by_random_cuts(variant: str, complaint: str) -> None:
    """A core that does not sync, or only the content, does not survive cuts at random moments, either."""
    with pytest.raises(AssertionError, match=complaint):
        check_random_cuts("xfs", "full", 10, getattr(variants, variant))
