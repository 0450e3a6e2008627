"""On each filesystem that has everything: all is published, and nobody ever sees anything but whole versions."""

from __future__ import annotations

import os

import pytest

import atomik
from support.processes import NOBODY
from support.state import ABSENT, state
from support.watcher import Watcher

pytestmark = pytest.mark.system

#: More than one write, so that a torn version would show.
LONG = 300_000


def test_published(filesystem, shape):
    """New and overwritten, at each level of durability, and with nothing left."""
    for sync in ("full", "normal", "off"):
        shape.publish(filesystem / sync, "old", sync=sync)
        shape.publish(filesystem / sync, "new", sync=sync, overwrite=True)
        with pytest.raises(atomik.FileAlreadyExistsError):
            shape.publish(filesystem / sync, "newer", sync=sync)
        assert shape.read(filesystem / sync) == "new"

    assert sorted(os.listdir(filesystem.path)) == ["full", "normal", "off"]


def test_primitives(filesystem, shape):
    """`rename`, `exchange` and `remove` do their work."""
    for name in ("a", "b"):
        shape.lay(filesystem / name, name)

    atomik.exchange(filesystem / "a", filesystem / "b")
    atomik.rename(filesystem / "a", filesystem / "c")
    with pytest.raises(atomik.FileAlreadyExistsError):
        atomik.rename(filesystem / "c", filesystem / "b")
    atomik.rename(filesystem / "c", filesystem / "b", overwrite=True)

    assert os.listdir(filesystem.path) == ["b"]
    assert shape.read(filesystem / "b") == "b"
    atomik.remove(filesystem / "b")
    assert os.listdir(filesystem.path) == []


def test_appears_whole(filesystem, shape):
    """A reader that looks all the time sees nothing, and then the whole new version."""
    with Watcher(filesystem / "a") as watcher:
        shape.publish(filesystem / "a", "x" * LONG, sync="off")

    assert watcher.history in ([ABSENT], [ABSENT, state(filesystem / "a")])


def test_replaced_whole(filesystem, shape):
    """A reader that looks all the time while a version is replaced again and again sees whole versions only, and never none."""
    shape.publish(filesystem / "a", "0" * LONG)
    expected = {state(filesystem / "a")}

    with Watcher(filesystem / "a") as watcher:
        for number in range(1, 21):
            shape.publish(filesystem / "a", str(number) * LONG, overwrite=True, sync="off")
            expected.add(state(filesystem / "a"))

    assert watcher.states <= expected


def test_nobody_looks_into_what_is_staged(filesystem, folder_shape):
    """Another user cannot look into a staged folder, and sees the destination when it is published."""
    with folder_shape.call(filesystem / "a") as handle:
        folder_shape.fill(handle, "secret")
        [staged] = os.listdir(filesystem.path)
        with Watcher(filesystem / staged, user=NOBODY) as watcher:
            pass

    assert watcher.states == {"forbidden"}
    assert folder_shape.read(filesystem / "a") == "secret"


def test_discarded(filesystem, shape):
    """What is discarded was never there, and leaves nothing."""
    shape.lay(filesystem / "a", "old")
    before = state(filesystem / "a")

    with Watcher(filesystem / "a") as watcher, pytest.raises(ZeroDivisionError):
        with shape.call(filesystem / "a", overwrite=True) as handle:
            shape.fill(handle, "new")
            raise ZeroDivisionError

    assert watcher.states == {before}
    assert os.listdir(filesystem.path) == ["a"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_through_a_tmp_dir(filesystem, shape, overwrite):
    """Staged elsewhere on the same filesystem, it is published from there, and nothing is left there."""
    (filesystem / "staging").mkdir()
    if overwrite:
        shape.lay(filesystem / "a", "old")

    with shape.call(filesystem / "a", tmp_dir=filesystem / "staging", overwrite=overwrite) as handle:
        shape.fill(handle, "new")

    assert shape.read(filesystem / "a") == "new"
    assert sorted(os.listdir(filesystem.path)) == ["a", "staging"]
    assert os.listdir(filesystem / "staging") == []
