"""Under which keys what is known of a run, and of a test, is put into pytest's stashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._places import Places

#: In the run's: the test that is set up or run now; how many builds of each name are kept; where builds are; the summary.
current_test: pytest.StashKey[pytest.Item] = pytest.StashKey()
keep_builds: pytest.StashKey[int] = pytest.StashKey()
places: pytest.StashKey[Places] = pytest.StashKey()
summary: pytest.StashKey[list[str]] = pytest.StashKey()
#: In a test's: how often it has been set up.
attempts: pytest.StashKey[int] = pytest.StashKey()
