"""An error at each system call: the caller hears of it, or is done; nothing is leaked and nothing left."""

from __future__ import annotations

import pytest

from faults.conftest import Fresh
from faults.failures import check_failures
from faults.scenarios import Scenario, scenarios
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]


@pytest.mark.parametrize("scenario", list(scenarios()), ids=str)
def test_failed_at_each_call(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Success means published and durable; an error is the one that happened, and NotDurableError only then."""
    check_failures(traced, fresh, scenario)
