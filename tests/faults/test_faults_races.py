"""Somebody else acts right after a system call, whichever: no version is overwritten unasked, none is cleaned away."""

from __future__ import annotations

import pytest

from faults.conftest import Fresh
from faults.races import check_cleaner, check_rivals
from faults.scenarios import SHAPES, Scenario
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]


@pytest.mark.parametrize("scenario", [Scenario(*shape, overwrite=False, sync="off") for shape in SHAPES], ids=str)
def test_rival_after_each_call(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Whenever a rival makes the destination first, its version stays, and the publication says so."""
    check_rivals(traced, fresh, scenario)


def test_publication_under_a_cleaner(traced: Traced, fresh: Fresh) -> None:
    """Whatever a cleaner has looked at or opened, it removes nothing that has been published meanwhile."""
    check_cleaner(traced, fresh, Scenario("folder", is_folder=True, overwrite=False))
