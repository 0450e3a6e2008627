"""The example of test data that is built once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.pytest_runs import Project

pytestmark = [pytest.mark.system, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples" / "pytest_shared"


def test_the_example_builds_once_for_two_runs(tmp_path):
    """With workers the first time, without the second time; all its tests pass."""
    project = Project(tmp_path)
    for source in EXAMPLE.glob("*.py"):
        shutil.copy(source, tmp_path)

    first, second = (project.run("-v", "-n", workers, f"--basetemp={tmp_path / 'base'}") for workers in "40")

    assert [run.outcomes() for run in (first, second)] == [{"passed": 5}] * 2, first.out + second.out
    assert re.search(r"^index: built by gw\d in ", first.out, re.MULTILINE), first.out
    assert re.search(r"^index: built by another run at .*, reused by main$", second.out, re.MULTILINE), second.out
