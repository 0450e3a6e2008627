"""What the guide for Luigi shows, run as a reader would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import luigi
import pytest

import luigi_atomik
from support.watch import litter

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/how-to/luigi.md"
REFERENCE = ROOT / "docs/reference/luigi.md"
PIPELINE = ROOT / "examples/luigi_stdlib.py"
BLOCK = re.compile(r"^:::\{code-block\} python\n(.*?)^:::$", re.DOTALL | re.MULTILINE)


@pytest.mark.system
def test_the_guides_tasks_run(tmp_path, monkeypatch):
    """The tasks of the guide, from top to bottom, make what the guide says."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "guide"}
    for source in BLOCK.findall(GUIDE.read_text()):
        exec(compile(source, GUIDE, "exec"), names)
    tasks = [names[name]() for name in ("Sorted", "Parts", "Split", "Anew", "WithManifest")]

    assert luigi.build(tasks, local_scheduler=True, log_level="ERROR")
    made = ["anew.csv", "data.csv", "manifest.json", "parts", "report.csv", "sorted.csv", "test.csv", "train.csv"]
    assert made == sorted(os.listdir(tmp_path))
    assert "a,1\nname,total\n" == (tmp_path / "sorted.csv").read_text()


@pytest.mark.parametrize("name", luigi_atomik.__all__)
def test_everything_public_is_in_the_reference(name):
    """What can be imported is described."""
    assert f"`{name}" in REFERENCE.read_text()


@pytest.mark.system
@pytest.mark.slow
def test_the_example_goes_on_from_where_it_was_killed(tmp_path):
    """The pipeline over the standard library, killed with -9 in its first task, has made nothing; run again, it makes all."""
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, PIPELINE, out, "--without-tests"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert "running what is missing\n" == process.stdout.readline()
        process.kill()
        assert -signal.SIGKILL == process.wait()
    assert not out.exists() or [] == [name for name in os.listdir(out) if not name.startswith(".atomik-")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert (0, "") == (done.returncode, done.stderr)
    assert ["by_package", "imported.csv", "largest.csv", "modules.csv"] == sorted(os.listdir(out))
    assert [] == litter(out)
