"""The fixture in real test runs: each pytest that is supported, each Python, with xdist and without, all warnings errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.environments import ROOT, environment, interpreter, wheels

pytestmark = [pytest.mark.system, pytest.mark.slow]

SAMPLE = Path(__file__).with_name("sample.py")

UNUSED = """
import sys

def test_nothing_but_the_plugin_is_imported_where_it_is_not_used():
    ours = {name for name in sys.modules if name.startswith(("atomik", "pytest_atomik"))}
    assert ours == {"pytest_atomik", "pytest_atomik._stash", "pytest_atomik.plugin"}
"""

WITHOUT = """
import sys

def test_asks_for_it(atomic_tmp): ...

def test_it_is_not_imported():
    assert not [name for name in sys.modules if name.startswith(("atomik", "pytest_atomik"))]
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((None, "7.4"), id="pytest 7.4"),
        pytest.param((None, "8.4"), id="pytest 8.4"),
        *(pytest.param((python, "9"), id=f"pytest 9, Python {python}") for python in ("3.11", "3.12", "3.13")),
    ],
)
def installed(request):
    """An environment with a pytest and pytest-atomik, and what says "strict" to this pytest."""
    python, version = request.param
    ours = [*wheels(ROOT), *wheels(ROOT / "integrations/pytest")]
    base = {} if python is None else {"base": interpreter(python)}
    strict = "strict = true" if version == "9" else "addopts = --strict-markers --strict-config"
    return environment(
        *ours, f"pytest=={version}.*", "pytest-xdist>=3.5", **base
    ), f"[pytest]\nxfail_strict = true\n{strict}\n"


@pytest.fixture
def project(installed, tmp_path):
    """Run pytest in a fresh project of one file; what it prints."""
    env, ini = installed
    (tmp_path / "pytest.ini").write_text(ini)

    def run(source, *options):
        (tmp_path / "test_it.py").write_text(source)
        done = env.run("-m", "pytest", "-rA", "-W", "error", f"--basetemp={tmp_path / 'base'}", *options, cwd=tmp_path)
        assert done.stderr == ""
        return done.stdout

    return run


def outcomes(output):
    """What the summary says of each test: {name: {"PASSED", ...}}."""
    found: dict[str, set[str]] = {}
    for line in output.splitlines():
        outcome, _, rest = line.partition(" test_it.py::")
        if outcome in {"PASSED", "FAILED", "ERROR", "SKIPPED"}:
            found.setdefault(rest.partition(" - ")[0], set()).add(outcome)
    return found


@pytest.mark.leaves_litter
@pytest.mark.parametrize("options", [[], ["-n", "4"]], ids=["alone", "xdist"])
def test_every_test_of_the_sample_ends_as_it_should(project, options):
    """Tests that are to pass do; those that leave litter, miss a fault or are not crash-safe do not."""
    output = project(SAMPLE.read_text(), *options)

    found = outcomes(output)
    assert len(found) > 15, output
    for name, outcome in found.items():
        expected = {"passed": {"PASSED"}, "failed": {"FAILED"}, "error": {"PASSED", "ERROR"}}[name.split("_")[1]]
        assert outcome == expected, output


def test_unused_it_is_silent(project):
    """It prints nothing, and imports nothing but its hooks."""
    output = project(UNUSED)

    assert set(*outcomes(output).values()) == {"PASSED"}, output
    assert "atomic_tmp" not in output


def test_it_can_be_switched_off(project):
    """With `-p no:atomik` there is no fixture and no option, and nothing is imported."""
    output = project(WITHOUT, "-p", "no:atomik")

    assert outcomes(output) == {"test_asks_for_it": {"ERROR"}, "test_it_is_not_imported": {"PASSED"}}
    assert "fixture 'atomic_tmp' not found" in output
