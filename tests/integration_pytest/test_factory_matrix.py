"""`atomic_tmp_factory` with each pytest that is supported and each Python, with xdist and without, all warnings errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.environments import ROOT, environment, interpreter, wheels

pytestmark = [pytest.mark.system, pytest.mark.slow]

SAMPLE = Path(__file__).with_name("factory_sample.py").read_text()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((None, "7.4"), id="pytest 7.4"),
        pytest.param((None, "8.4"), id="pytest 8.4"),
        *(pytest.param((python, "9"), id=f"pytest 9, Python {python}") for python in ("3.11", "3.12", "3.13")),
    ],
)
def installed(request):
    """An environment with a pytest, xdist, rerunfailures and pytest-atomik; which pytest that is."""
    python, version = request.param
    ours = [*wheels(ROOT), *wheels(ROOT / "integrations/pytest")]
    base = {} if python is None else {"base": interpreter(python)}
    return environment(*ours, f"pytest=={version}.*", "pytest-xdist>=3.5", "pytest-rerunfailures", **base), version


@pytest.mark.parametrize("workers", ["0", "4"])
def test_the_sample_ends_as_it_should(installed, tmp_path, workers):
    """In a first run, and in a second one, which finds what was kept; the option is a number in each kind of configuration."""
    env, version = installed
    if version == "9":
        (tmp_path / "pytest.toml").write_text("[pytest]\natomik_keep_builds = 2\nstrict = true\n")
    else:
        (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\natomik_keep_builds = 2\n")
    (tmp_path / "test_it.py").write_text(SAMPLE)

    said = []
    for number in range(2):
        done = env.run(
            *("-m", "pytest", "-v", "-rA", "-W", "error", "-n", workers, "--reruns", "1"),
            f"--basetemp={tmp_path / f'base{number}'}",
            cwd=tmp_path,
        )
        tests = re.findall(r"^(PASSED|FAILED|ERROR) test_it\.py::test_(\w+?)_", done.stdout, re.MULTILINE)
        assert len(tests) == 15, done.stdout
        assert all(outcome == expected.upper() for outcome, expected in tests), done.stdout
        said.append(done.stdout)

    calls = (tmp_path / "calls").read_text().split()
    assert (calls.count("made"), calls.count("failed")) == (1, 3), calls
    assert re.search(r"^kept: built by (main|gw\d) in 0\.\d\d s", said[0], re.MULTILINE), said[0]
    assert re.search(r"^kept: built by another run at .* in 0\.\d\d s, reused by ", said[1], re.MULTILINE), said[1]
