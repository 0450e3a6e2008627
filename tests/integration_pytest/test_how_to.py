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


def run_pytest(folder, **files):
    """Write the files and run pytest, as a reader would; what it prints, without what differs from run to run."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"}}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'base'}"],
        cwd=folder,
        env={**env, "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.returncode, normalized(done.stdout.replace(str(folder / "base"), "/tmp/pytest-of-you/pytest-0"))


def normalized(output):
    """Pytest's output without times and the spaces at the ends of lines."""
    return [re.sub(r"in \d+\.\d+s$", "in some time", line.rstrip()) for line in output.strip().splitlines()]


@pytest.mark.system
def test_the_code_that_is_not_crash_safe_fails_as_it_is_printed(tmp_path):
    """The output in the guide is the real one."""
    said = blocks()

    code, output = run_pytest(tmp_path, report=said["report.py"], test_report=said["test_report.py"])

    assert code == 1
    assert output == normalized(said["pytest -q"])


@pytest.mark.system
@pytest.mark.leaves_litter  # kept work, on purpose
def test_the_repaired_code_passes_all_the_tests_of_the_guide(tmp_path):
    """The one that failed, and those for a full disk and a rival."""
    said = blocks()
    tests = {name.removesuffix(".py"): text for name, text in said.items() if name.startswith("test_")}

    code, output = run_pytest(tmp_path, report=said["report.py, repaired"], **tests)

    assert (code, len(tests)) == (0, 3), output
    assert output[-1] == "6 passed in some time"


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
