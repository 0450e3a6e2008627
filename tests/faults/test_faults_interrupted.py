"""Ctrl-C at each system call: it is raised, nothing is left open, and nothing is left behind unless published."""

from __future__ import annotations

import pytest

from faults.conftest import Fresh
from faults.interrupts import check_interrupts
from faults.scenarios import Scenario, scenarios
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]


#: Where a copy on the way from another filesystem is interrupted, and everything that stays on one.
SCENARIOS = [Scenario("folder", is_folder=True, overwrite=True, tmp_dir="other")]
SCENARIOS += [each for each in scenarios() if each.sync == "full" and each.tmp_dir is None and not each.big]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_interrupted_at_each_call(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Old or new, whatever call the interrupt falls on; only the old version may be left to a cleaner."""
    check_interrupts(traced, fresh, scenario)
