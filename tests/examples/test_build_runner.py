"""The runner of docs/how-to/integrate.md, as a program: it builds what is not up to date, and half builds nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "examples" / "build_runner.py"
PAGE = (ROOT / "docs" / "how-to" / "integrate.md").read_text()

pytestmark = pytest.mark.system


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the runner in a folder."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, RUNNER, "rules.toml"], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_page_shows_the_example():
    """What the page prints is what the example is, to the last line of its functions, and it has forty lines."""
    source = RUNNER.read_text()
    functions = source[source.index("def is_up_to_date") : source.index("\n\nif __name__")]

    assert functions in PAGE
    assert len(source.splitlines()) <= 45
    assert len([line for line in source.splitlines() if line.strip()]) <= 40


def test_it_builds_what_is_not_up_to_date(tmp_path):
    """The rules of the page: built, left alone, and built again when an input is newer."""
    [rules] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "rules.toml").write_text(rules)
    (tmp_path / "words.txt").write_text("b\na\n")

    first = build(tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "sort: sorted.txt published\nsplit: parts published\n"
    assert [(tmp_path / "parts" / name).read_text() for name in ("aa", "ab")] == ["a\n", "b\n"]

    assert build(tmp_path).stdout == ""

    (tmp_path / "words.txt").write_text("c\n")
    os.utime(tmp_path / "words.txt", (2**31 - 1, 2**31 - 1))
    assert build(tmp_path).stdout == "sort: sorted.txt published\nsplit: parts published\n"
    assert os.listdir(tmp_path / "parts") == ["aa"]


def test_a_rule_that_fails(tmp_path):
    """Its outputs stay what they were, and the runner fails."""
    (tmp_path / "rules.toml").write_text('[x]\noutputs = ["x"]\ncommand = ["sh", "-c", "echo half > {0}; exit 3"]\n')

    assert build(tmp_path).returncode == 1
    assert os.listdir(tmp_path) == ["rules.toml"]


def test_a_rule_that_updates(tmp_path):
    """It changes a copy; what it makes beside its output is published and told."""
    command = '["sh", "-c", "echo more >> {0}; echo index > {0}.idx"]'
    (tmp_path / "rules.toml").write_text(f'[x]\nupdate = true\ninputs = ["in"]\noutputs = ["x"]\ncommand = {command}\n')
    (tmp_path / "x").write_text("old\n")
    (tmp_path / "in").touch()
    os.utime(tmp_path / "x", (1, 1))

    assert build(tmp_path).stdout == "x: x published\nx: x.idx was made, too\n"
    assert (tmp_path / "x").read_text() == "old\nmore\n"
