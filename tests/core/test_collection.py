"""Publications that nobody ends: collected, or still there when the interpreter exits. They are discarded."""

from __future__ import annotations

import gc
import os
import weakref

import pytest

import atomik
from support.processes import run


def test_collected(tmp_path, shape):
    """A publication that is collected unfinished is discarded, never published."""
    shape.lay(tmp_path / "a", "old")
    publication = shape.call(tmp_path / "a", overwrite=True)
    shape.fill(publication.open(), "new")

    del publication
    gc.collect()

    assert shape.read(tmp_path / "a") == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_collected_in_a_cycle(tmp_path, shape):
    """So it is in a cycle, together with its handle."""
    handle = [shape.call(tmp_path / "a")]
    shape.fill(handle[0].open(), "new")
    handle.append(handle)
    watched = weakref.ref(handle[0])

    del handle
    gc.collect()

    assert watched() is None
    assert os.listdir(tmp_path) == []


def test_handle_outlives_the_publication(tmp_path):
    """A handle whose publication is gone is closed: what is written to it goes nowhere, and nobody is told otherwise."""
    f = atomik.file(tmp_path / "a").open()
    gc.collect()

    with pytest.raises(ValueError, match="closed"):
        f.write("lost")
    assert os.listdir(tmp_path) == []


def test_published_and_collected(tmp_path, shape):
    """Collecting a publication that has ended changes nothing."""
    for end in ("publish", "discard"):
        publication = shape.call(tmp_path / end)
        shape.fill(publication.open(), "new")
        getattr(publication, end)()
        del publication
        gc.collect()

    assert os.listdir(tmp_path) == ["publish"]


LEFT_OPEN = """
import sys
import atomik

publications = [atomik.file("f"), atomik.folder("d"), atomik.path("p"), atomik.file("old", overwrite=True)]
handles = [each.open() for each in publications]
handles[0].write("half")
(handles[1] / "one").write_text("half")
handles[2].write_text("half")
handles[3].write("half")
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("end", "code"), [("", 0), ("sys.exit(3)", 3), ("del publications", 0), ("handles = None; raise ValueError", 1)]
)
def test_left_open_at_exit(tmp_path, end, code):
    """What is open when the interpreter exits is discarded, without a complaint."""
    (tmp_path / "old").write_text("old")

    finished = run(LEFT_OPEN + end, cwd=tmp_path)

    assert finished.code == code
    assert "Exception ignored" not in finished.err
    assert finished.err == "" or code == 1
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.system
def test_left_open_in_a_development_mode(tmp_path):
    """A discarded handle that nobody closed is no complaint either where the interpreter reports everything."""
    source = """
import gc, sys
import atomik

complaints = []
sys.unraisablehook = complaints.append
for mode in ("w", "wb", "w+", "wb+"):
    try:
        with atomik.file("a", mode) as f:
            f.write("half" if "b" not in mode else b"half")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    del f
    gc.collect()
print(complaints)
"""
    finished = run(source, cwd=tmp_path)

    assert finished == (0, "[]\n", "")
