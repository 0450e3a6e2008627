"""A publication with a backup, killed, interrupted or failed at each of its system calls: the old version is somewhere."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, Shape, each_shape
from support.watch import litter
from together.faults import changes

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]


_FILL_FOLDER = """
    (handle / "sub").mkdir(parents=True)
    for name in ("one", "sub/two"): (handle / name).write_text("new")
"""


@pytest.fixture
def lay(fresh, shape):
    """A maker of fresh folders with an old version, and an older one where it is to be kept."""

    def make() -> Path:
        folder = fresh()
        shape.lay(folder / "a", "old")
        shape.lay(folder / "b", "older")
        return folder

    return make


def source(shape: Shape) -> str:
    """The workload."""
    fill = '    handle.write("new")\n' if shape is FILE else '    handle.write_text("new")\n'
    return (
        "import atomik\n"
        f"with atomik.{shape.call.__name__}('a', overwrite=True, backup='b') as handle:\n"
        f"{_FILL_FOLDER if shape.is_folder else fill}"
        "say('published')\n"
    )


def check(shape: Shape, folder: Path, trace: str) -> None:
    """Assert that the destination is whole, and the old version at it, at the backup, or kept; a cleaner changes none of it."""
    atomik.clean(folder)
    kept = [path for path in folder.iterdir() if path.name not in {"a", "b"}]
    assert all(path.name.startswith("atomik-kept-") for path in kept), trace
    assert shape.read(folder / "a") in {"old", "new"}, trace
    assert shape.read(folder / "b") in {"older", "old"}, trace
    assert "old" in {shape.read(path) for path in (folder / "a", folder / "b", *kept)}, trace


@each_shape
def test_killed_at_each_call(traced, lay, shape):
    """Killed with -9 at whatever call, the old version is at the destination, at the backup or kept beside it."""
    calls = traced.calls(source(shape), lay())
    seen = set()
    for call in [*filter(changes, calls), calls[-1]]:
        folder = lay()
        outcome = traced.killed_at(call, source(shape), folder)
        check(shape, folder, outcome.trace)
        versions = shape.read(folder / "a"), shape.read(folder / "b")
        assert versions == ("new", "old") or not outcome.said, outcome.trace
        seen.add(versions)
        shape.publish(folder / "a", "next", overwrite=True, backup=folder / "b")
        assert shape.read(folder / "b") == versions[0]
    assert seen == {("old", "older"), ("new", "older"), ("new", "old")}


@each_shape
def test_interrupted_at_each_call(traced, lay, shape):
    """Ctrl-C at whatever call loses no version and no descriptor."""
    for call in traced.calls(source(shape), lay()):
        folder = lay()
        outcome = traced.signalled_at(call, signal.SIGINT, source(shape), folder)
        assert outcome.raised is None or outcome.raised.types[0] == "KeyboardInterrupt", outcome.raised
        assert outcome.leaked == (), outcome.trace
        check(shape, folder, outcome.trace)


@each_shape
def test_failed_at_each_call(traced, lay, shape):
    """Whatever call fails: no version is lost, and the error says where an old one is that is at neither place."""
    for call in filter(changes, traced.calls(source(shape), lay())):
        folder = lay()
        outcome = traced.failing_at(call, errno.EIO, source(shape), folder)
        assert outcome.leaked == (), outcome.trace
        check(shape, folder, outcome.trace)
        for path in litter(folder):
            assert path.name in str(outcome.raised) or path.parent != folder, outcome.trace
