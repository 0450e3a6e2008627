"""The types of the interface, as a caller's type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.needs import require

ROOT = Path(__file__).parents[1]


@pytest.mark.system
@pytest.mark.slow
def test_mypy_proves_the_interface():
    """Every type in `tests/typing` is what mypy --strict finds, and so is every mistake in it."""
    require(find_spec("mypy") is not None, "needs mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "tests/typing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
