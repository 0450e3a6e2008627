"""Ctrl-C at any moment: the destination is old or new, whole, and no descriptor and no staging entry is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import threading

import pytest

import atomik
from core import shapes
from support.processes import Program
from support.traced import Traced
from support.watch import litter

pytestmark = pytest.mark.system

PREPARE = """
import os, atomik
from core import shapes
for shape in (shapes.FILE, shapes.FOLDER, shapes.PATH_TO_FILE, shapes.PATH_TO_FOLDER):
    for text in ("old", "new"):
        shape.publish(shapes.Path("warm" + str(id(shape))), text, overwrite=True)
"""

STATE = """
from core import shapes
publication = shapes.{name}.call(shapes.Path("a"), overwrite={overwrite})
try:
    with publication as handle:
        shapes.{name}.fill(handle, "new")
finally:
    say(publication.state)
"""


@pytest.fixture(scope="module")
def traced():
    """A warm process for interrupted publications."""
    with Traced(PREPARE) as warm:
        yield warm


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["FILE", "FOLDER", "PATH_TO_FILE", "PATH_TO_FOLDER"])
def test_after_each_call(tmp_path, traced, name, overwrite):
    """Interrupted right after any of its system calls, a publication is not or all done, says which, and leaves nothing at all.

    But the old version of a folder, if it comes after publication and before the removal: that `clean` removes.
    """
    shape = getattr(shapes, name)
    source = STATE.format(name=name, overwrite=overwrite)
    numbers = iter(range(1000))

    def fresh():
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        if overwrite:
            shape.lay(directory / "a", "old")
        return directory

    for call in traced.calls(source, fresh()):
        directory = fresh()
        outcome = traced.signalled_at(call, signal.SIGINT, source, directory)

        assert outcome.raised is not None, call
        assert outcome.raised.types[0] == "KeyboardInterrupt", call
        found = shape.read(directory / "a")
        assert found in {"new", "old" if overwrite else None}, call
        assert ("published" in outcome.said) == (found == "new"), call
        assert outcome.leaked == (), call
        if shape.is_folder and overwrite and found == "new":
            atomik.clean(directory)
        assert litter(directory) == [], call


STORM = """
import gc, json, os, signal, sys
import atomik
from core import shapes

def interrupt(number, frame):
    # As the default handler does, but only within a publication: this script is not what is tested.
    inner = frame
    while frame is not None and frame.f_code is not attempt.__code__:
        frame = frame.f_back
    if frame is not None and frame is not inner:
        counts["interrupts"] += 1
        raise KeyboardInterrupt

def attempt(text):
    try:
        shape.publish(path, text, overwrite=True, sync="off")
    except KeyboardInterrupt:
        return False
    return True

shape, wanted = getattr(shapes, sys.argv[1]), int(sys.argv[2])
path, old, number = shapes.Path("a"), "0", 0
counts = {"interrupts": 0, "publications": 0, "wrong": []}
shape.publish(path, old, overwrite=True)
before = os.listdir("/proc/self/fd")
signal.signal(signal.SIGINT, interrupt)
print("ready", flush=True)
while counts["interrupts"] < wanted:
    number += 1
    published = attempt(str(number))
    counts["publications"] += published
    found = shape.read(path)
    if found != str(number) and (published or found != old):
        counts["wrong"].append([number, published, old, found])
    old = found
gc.collect()
counts["descriptors"] = len(os.listdir("/proc/self/fd")) - len(before)
print(json.dumps(counts), flush=True)
"""


@pytest.mark.slow
@pytest.mark.leaves_litter
@pytest.mark.parametrize("name", ["FILE", "FOLDER", "PATH_TO_FILE", "PATH_TO_FOLDER"])
def test_storm(tmp_path, name):
    """In a storm of Ctrl-C, which hits publications and the clean-up after them, none is torn and no descriptor is lost.

    What a second one leaves behind that hits the clean-up after the first, `clean` finds and removes.
    """
    stop = threading.Event()
    noise = random.Random(name)
    with Program(STORM, name, "300", cwd=tmp_path) as program:
        program.line()

        def storm():
            while not stop.wait(noise.random() * 0.006):
                os.kill(program.pid, signal.SIGINT)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            counts = json.loads(program.line(120))
        finally:
            stop.set()
            thread.join()
        program.finish()

    assert counts["wrong"] == []
    assert counts["descriptors"] == 0
    atomik.clean(tmp_path)
    assert os.listdir(tmp_path) == ["a"]
