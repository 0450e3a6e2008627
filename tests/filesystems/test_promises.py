"""On every filesystem each promise is kept, and nothing is left. What a filesystem cannot do is in `test_refusals`."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

import atomik
from core.shapes import FILE, FOLDER, SHAPES, Shape
from support.filesystems import KINDS, Kind
from support.processes import Program
from support.rivals import rivals
from support.state import ABSENT, state
from support.watcher import Watcher


def takes_new(kind: Kind, shape: Shape) -> bool:
    """Say whether something new of this shape can be published: exFAT has no exclusive way for a file."""
    return shape.is_folder or kind.flags or kind.posix


def replaces(kind: Kind, shape: Shape) -> bool:
    """Say whether something of this shape can be replaced."""
    return not shape.is_folder or kind.flags


def combinations(able):
    """Every kind of filesystem with every shape that ABLE says it can publish."""
    return pytest.mark.parametrize(
        ("kind", "shape"),
        [
            pytest.param(kind.name, shape, id=f"{kind.name}-{name}")
            for kind in KINDS.values()
            for name, shape in SHAPES.items()
            if able(kind, shape)
        ],
    )


@combinations(takes_new)
def test_new(mounts, kind, shape):
    """Nothing is there before the block's end, and all of it after."""
    folder = mounts(kind)
    with shape.call(folder / "a") as handle:
        shape.fill(handle, "new")
        assert shape.read(folder / "a") is None

    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


@combinations(replaces)
def test_overwriting(mounts, kind, shape):
    """The old version is there until the block's end, and all of the new one after."""
    folder = mounts(kind)
    shape.lay(folder / "a", "old")
    with shape.call(folder / "a", overwrite=True) as handle:
        shape.fill(handle, "new")
        assert shape.read(folder / "a") == "old"

    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


@combinations(lambda kind, shape: replaces(kind, shape) and shape.call is not atomik.path)
def test_never_absent_or_mixed(mounts, kind, shape):
    """Who looks all the time while it is replaced sees one whole version after another, and never none.

    But for FUSE servers that hide a file which somebody has open before they rename over it (libfuse without hard_remove).
    """
    folder = mounts(kind)
    shape.lay(folder / "a", "0")
    expected = {state(folder / "a")} | (set() if KINDS[kind].flags else {ABSENT})
    with Watcher(folder / "a") as watcher:
        for number in range(1, 16):
            shape.publish(folder / "a", str(number), overwrite=True, sync="off")
            expected.add(state(folder / "a"))

    assert watcher.states <= expected


@combinations(takes_new)
def test_not_overwritten_unasked(mounts, kind, shape):
    """What appears at the destination during the block stays, and what was to be published is discarded."""
    folder = mounts(kind)
    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(folder / "a") as handle:
        shape.fill(handle, "new")
        shape.lay(folder / "a", "theirs")

    assert shape.read(folder / "a") == "theirs"
    assert os.listdir(folder) == ["a"]


RIVAL = """
import sys
import atomik
from core.shapes import FILE, FOLDER

def attempt(number):
    shape = FOLDER if sys.argv[2] == "folder" else FILE
    shape.publish(f"{sys.argv[1]}/{number}", sys.argv[0], sync="off")
    return "won"
"""


@combinations(lambda kind, shape: takes_new(kind, shape) and shape.call is not atomik.path)
def test_one_rival_wins(mounts, kind, shape):
    """Of rivals that publish the same new thing at once exactly one wins, and the others are told so."""
    folder = mounts(kind)
    for answers in rivals(3, RIVAL, folder, "folder" if shape.is_folder else "file", rounds=15):
        assert sorted(answers) == ["FileAlreadyExistsError", "FileAlreadyExistsError", "won"]

    assert len(os.listdir(folder)) == 15


@combinations(lambda kind, shape: takes_new(kind, shape) or replaces(kind, shape))
def test_an_exception_leaves_nothing(mounts, kind, shape):
    """An exception in the block discards, also a file that is still open, on a filesystem that hides instead of deletes."""
    folder = mounts(kind)
    overwrite = not takes_new(KINDS[kind], shape)

    with pytest.raises(ZeroDivisionError), shape.call(folder / "a", overwrite=overwrite) as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError

    assert os.listdir(folder) == []


KILLED = """
import sys
import atomik
import core.shapes

shape = getattr(core.shapes, sys.argv[2])
overwrite = sys.argv[3] == "overwrite"
with shape.call(f"{sys.argv[1]}/a", overwrite=overwrite) as handle:
    shape.fill(handle, "new")
    print("filled", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", ["FILE", "FOLDER"])
def test_killed(mounts, kind, name):
    """After kill -9 the destination is absent; a file leaves nothing at all, and `clean` finds what else is left."""
    folder = mounts(kind)
    shape = {"FILE": FILE, "FOLDER": FOLDER}[name]
    mode = "new" if takes_new(KINDS[kind], shape) else "overwrite"
    with ExitStack() as stack:
        program = stack.enter_context(Program(KILLED, folder, name, mode))
        assert program.line() == "filled"
        live = atomik.leftovers(folder)
        assert [found.live for found in live] == [True] * len(live)
        assert atomik.clean(folder, force=True) == []
        program.kill()

    assert state(folder / "a") == ABSENT
    left = atomik.leftovers(folder)
    if shape is FILE and KINDS[kind].unnamed:
        assert left == []
    assert len(left) <= 1
    assert [found.path for found in atomik.clean(folder, force=True)] == [found.path for found in left]
    assert os.listdir(folder) == []
