"""Processes that publish at one destination in the same instant, round after round."""

from __future__ import annotations

import os

import pytest

from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER
from support.rivals import rivals

pytestmark = pytest.mark.system

RIVALS = 8

SOURCE = """
import os, sys
import atomik
from core import shapes

shape, overwrite, parents = getattr(shapes, sys.argv[1]), sys.argv[2] == "overwrite", sys.argv[3] == "parents"
text = f"{os.getpid()} " * 2000

def attempt(number):
    path = shapes.Path(f"{number}/a" if parents else "a" if overwrite else str(number))
    shape.publish(path, text, overwrite=overwrite, parents=parents, sync="off")
    return text
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FILE", "FOLDER"])
def test_one_new_destination(tmp_path, name):
    """Of 8 rivals for one new destination exactly one wins each round, and its version is there, whole."""
    shape = {"FILE": FILE, "FOLDER": FOLDER}[name]

    for number, answers in enumerate(rivals(RIVALS, SOURCE, name, "", "", cwd=tmp_path, rounds=250)):
        [winner] = [answer for answer in answers if answer != "FileAlreadyExistsError"]
        assert shape.read(tmp_path / str(number)) == winner
        assert len(os.listdir(tmp_path)) == number + 1


@pytest.mark.parametrize("name", ["PATH_TO_FILE", "PATH_TO_FOLDER"])
def test_one_new_destination_by_path(tmp_path, name):
    """So it is for what was made at a path."""
    shape = {"PATH_TO_FILE": PATH_TO_FILE, "PATH_TO_FOLDER": PATH_TO_FOLDER}[name]

    for number, answers in enumerate(rivals(RIVALS, SOURCE, name, "", "", cwd=tmp_path, rounds=30)):
        [winner] = [answer for answer in answers if answer != "FileAlreadyExistsError"]
        assert shape.read(tmp_path / str(number)) == winner


@pytest.mark.parametrize("name", ["FILE", "FOLDER", "PATH_TO_FILE", "PATH_TO_FOLDER"])
def test_one_destination_overwritten(tmp_path, name):
    """Rivals that overwrite one destination all succeed; one version stays, whole, and nothing else."""
    shape = {"FILE": FILE, "FOLDER": FOLDER, "PATH_TO_FILE": PATH_TO_FILE, "PATH_TO_FOLDER": PATH_TO_FOLDER}[name]

    for answers in rivals(RIVALS, SOURCE, name, "overwrite", "", cwd=tmp_path, rounds=40):
        assert len(set(answers)) == RIVALS
        assert shape.read(tmp_path / "a") in answers
        assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["FILE", "FOLDER"])
def test_rivals_make_the_parent(tmp_path, name):
    """Rivals that also make the missing parent do not get in each other's way: one wins, and the parent is there."""
    shape = {"FILE": FILE, "FOLDER": FOLDER}[name]

    for number, answers in enumerate(rivals(RIVALS, SOURCE, name, "", "parents", cwd=tmp_path, rounds=60)):
        [winner] = [answer for answer in answers if answer != "FileAlreadyExistsError"]
        assert shape.read(tmp_path / str(number) / "a") == winner
        assert os.listdir(tmp_path / str(number)) == ["a"]
