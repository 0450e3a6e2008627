"""The demo, which is also the README's first command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"

pytestmark = [pytest.mark.system, pytest.mark.slow]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the demo, with every warning an error in it and in what it starts."""
    return subprocess.run(
        [sys.executable, DEMO, *arguments],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
    )


def test_all_is_as_promised_and_the_index_is_left_where_it_was_asked_for(tmp_path):
    """The demo succeeds, says so at the end of its account, and leaves a file, a folder and nothing else."""
    done = run(tmp_path / "here")

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert done.stdout.endswith("\nAll was as promised.\n")
    assert "BROKEN" not in done.stdout
    assert ["index"] == os.listdir(tmp_path / "here")
    assert ["by_package", "modules.csv"] == sorted(os.listdir(tmp_path / "here" / "index"))
