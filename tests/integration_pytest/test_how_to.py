"""The guide "Prove that your code is crash-safe", followed to the letter."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_atomik import AtomicTmp, Crash

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^:::\{code-block\} \w+\n:caption: (.*?)\n\n(.*?)^:::$", re.DOTALL | re.MULTILINE)


def blocks():
    """What stands in the guide, by its caption."""
    return dict(BLOCK.findall((DOCS / "how-to" / "crash-safe.md").read_text()))


def run_pytest(folder, *tests):
    """Run pytest, as a reader would; what it prints, without what differs from run to run."""
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"}}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=line",
            "-p",
            "no:cacheprovider",
            f"--basetemp={folder / 'base'}",
            *tests,
        ],
        cwd=folder,
        env={**env, "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.returncode, normalized(done.stdout.replace(f"{folder}/", ""))


def normalized(output):
    """Pytest's output without times, the spaces at the ends of lines, and where Python is installed."""
    lines = [re.sub(r"in \d+\.\d+s$", "in some time", line.rstrip()) for line in output.strip().splitlines()]
    return [re.sub(r"^/.*/lib/python[\d.]+/(.*):\d+: ", r"…/\1: ", line) for line in lines]


def write(folder, blocks_, *, repaired):
    """Write the files of the guide."""
    for name, text in blocks_.items():
        module, _, rest = name.partition(", ")
        if module.endswith(".py") and (not rest or repaired):
            (folder / module).write_text(text)


@pytest.mark.system
@pytest.mark.parametrize("example", ["settings", "scores", "site", "report", "bank"])
def test_the_code_that_is_not_crash_safe_fails_as_it_is_printed(tmp_path, example):
    """The output in the guide is the real one; that of SQLite as far as it is the same for all its versions."""
    said = blocks()
    write(tmp_path, said, repaired=False)

    code, output = run_pytest(tmp_path, f"test_{example}.py")

    assert code == 1
    expected = normalized(said[f"pytest -q --tb=line test_{example}.py"])
    if example == "bank":
        expected, output = (
            [line for line in lines if "(state" not in line and " bank.db " not in line] for lines in (expected, output)
        )
    assert output == expected


@pytest.mark.system
@pytest.mark.leaves_litter  # kept work, on purpose
def test_the_repaired_code_passes_all_the_tests_of_the_guide(tmp_path):
    """Those that failed, and those for a full disk and a rival."""
    said = blocks()
    write(tmp_path, said, repaired=True)

    code, output = run_pytest(tmp_path)

    assert code == 0, output
    assert output[-1] == "10 passed in some time"


def test_the_reference_has_everything_with_its_exact_signature():
    """Whatever is public in the fixture's types; a change of a default is a change of the documentation."""
    reference = (DOCS / "reference" / "pytest.md").read_text()
    for name, member in inspect.getmembers(AtomicTmp, inspect.isfunction):
        if name.startswith("_"):
            continue
        parameters = list(inspect.signature(member).parameters.values())[1:]
        bare = inspect.Signature([parameter.replace(annotation=parameter.empty) for parameter in parameters])
        assert f"\n`{name}{bare}`\n" in reference, f"{name}{bare}"
    for name in ("path", "published", "discarded", "publications"):
        assert f"\n`{name}: " in reference
    for name in Crash._fields:
        assert f"\n`{name}`\n" in reference
