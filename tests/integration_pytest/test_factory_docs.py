"""The guide "Build test data once", followed to the letter, and the reference."""

from __future__ import annotations

import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_atomik import AtomicTmpFactory
from support.needs import require
from support.pytest_runs import Project

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^:::\{code-block\} \w+\n:caption: (.*?)\n\n(.*?)^:::$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def blocks():
    """What stands in the guide, by its caption."""
    return dict(BLOCK.findall((DOCS / "how-to" / "test-data.md").read_text()))


def summary(output):
    """The last section of a run, without times and the numbers of workers."""
    lines = output.partition("= atomic_tmp_factory =")[2].splitlines()[1:]
    text = "\n".join(line for line in lines if line.startswith("shop"))
    return re.sub(r"gw\d", "gwN", re.sub(r"\d+\.\d\d s|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text))


@pytest.mark.system
@pytest.mark.slow
def test_the_guide_does_what_it_says(blocks, tmp_path):
    """Its tests pass, and the summary of two runs is the one that is printed."""
    project = Project(tmp_path)
    for name in ("conftest.py", "schema.sql", "test_shop.py"):
        project.write(name, blocks[name])

    for options in ("-v -n 2", "-v"):
        run = project.run(*options.split(), f"--basetemp={tmp_path / 'base'}", env={"COLUMNS": "80"})

        assert run.outcomes() == {"passed": 3}, run.out
        assert summary(run.out) == summary(blocks[f"pytest {options}"])


@pytest.mark.system
@pytest.mark.slow
def test_the_usual_recipe_is_printed_as_it_works(blocks, tmp_path):
    """Where nothing goes wrong."""
    require(find_spec("filelock") is not None, "needs filelock")
    project = Project(tmp_path)
    project.write("conftest.py", blocks["conftest.py, with FileLock"])
    project.write("fill.py", "def fill(folder):\n    (folder / 'x').touch()\n")
    project.write("test_it.py", "def test_one(shop):\n    assert (shop / 'x').exists()\n\ntest_two = test_one\n")

    run = project.run("-n", "2", f"--basetemp={tmp_path / 'base'}")

    assert run.outcomes() == {"passed": 2}, run.out


def test_the_reference_has_everything_with_its_exact_signature():
    """Whatever is public in the fixture's type; a change of a default is a change of the documentation."""
    reference = (DOCS / "reference" / "pytest-factory.md").read_text()
    members = [name for name in dir(AtomicTmpFactory) if not name.startswith("_")]
    assert members == ["copy", "file", "folder", "value"]
    for name in members:
        parameters = list(inspect.signature(getattr(AtomicTmpFactory, name)).parameters.values())[1:]
        bare = inspect.Signature([parameter.replace(annotation=parameter.empty) for parameter in parameters])
        assert f"\n`{name}{bare}`\n" in reference, f"{name}{bare}"
