"""Tidying that does not give up: without descriptors, and however often it is interrupted; what has to stay is said in a note."""

from __future__ import annotations

import json
import os
import resource

import pytest

import atomik
from atomik_core._os import walk
from support.processes import run
from support.watch import descriptors, litter, no_leaks


def spread(folder, depth=3, width=3):
    """Make a tree in FOLDER."""
    for number in range(width):
        (folder / f"file{number}").write_text("x")
        if depth:
            (folder / f"folder{number}").mkdir()
            spread(folder / f"folder{number}", depth - 1, width)


class NoDescriptors:
    """Let this process open no more descriptors, from `take` on, than those that it gives up itself."""

    def __init__(self):
        self.taken = []
        self.before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def take(self):
        """Take all that are to be had."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 8, self.before[1]))
        try:
            while True:
                self.taken.append(os.open("/", os.O_RDONLY))
        except OSError:
            pass

    def release(self):
        """Give them back."""
        for each in self.taken:
            os.close(each)
        self.taken.clear()
        resource.setrlimit(resource.RLIMIT_NOFILE, self.before)


@pytest.fixture
def none_left():
    """A way to run out of descriptors."""
    none = NoDescriptors()
    yield none
    none.release()


@pytest.mark.parametrize("call", ["folder", "path"])
@pytest.mark.parametrize("parents", [False, True])
def test_discarding_without_descriptors(tmp_path, none_left, call, parents):
    """A tree is discarded though no descriptor is to be had, and nothing of it is left; no note is needed."""
    with pytest.raises(ZeroDivisionError) as caught:
        with getattr(atomik, call)(tmp_path / ("p/a" if parents else "a"), parents=parents) as path:
            path.mkdir(exist_ok=True)
            spread(path)
            none_left.take()
            raise ZeroDivisionError
    none_left.release()

    assert os.listdir(tmp_path) == []
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("sync", ["full", "off"])
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("call", ["folder", "path"])
def test_publishing_without_descriptors(tmp_path, none_left, call, overwrite, sync):
    """It is published, too, and the old version removed."""
    if overwrite:
        (tmp_path / "a").mkdir()
        spread(tmp_path / "a")

    with getattr(atomik, call)(tmp_path / "a", overwrite=overwrite, sync=sync) as path:
        path.mkdir(exist_ok=True)
        (path / "new").mkdir()
        spread(path / "new")
        none_left.take()
    none_left.release()

    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["new"]


def test_group_without_descriptors(tmp_path, none_left):
    """A group is discarded without one, too."""
    with pytest.raises(ZeroDivisionError) as caught, atomik.group() as group:
        for number in range(5):
            with group.folder(tmp_path / str(number)) as path:
                spread(path, depth=2)
        none_left.take()
        raise ZeroDivisionError
    none_left.release()

    assert os.listdir(tmp_path) == []
    assert not hasattr(caught.value, "__notes__")


def test_no_descriptors_at_the_start(tmp_path, none_left):
    """Where not even those in reserve are to be had, the error comes before the block, and names the destination."""
    none_left.take()
    for each in none_left.taken[:4]:
        os.close(each)
    del none_left.taken[:4]

    with pytest.raises(OSError, match="Too many open files") as caught:
        atomik.folder(tmp_path / "a").open()
    none_left.release()

    assert caught.value.filename == str(tmp_path / "a")
    assert litter(tmp_path) == []


@pytest.mark.leaves_litter
def test_what_has_to_stay_is_noted(tmp_path, monkeypatch):
    """What cannot be removed is named in a note, whatever the reason."""

    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    with pytest.raises(ZeroDivisionError) as caught, atomik.folder(tmp_path / "a") as path:
        spread(path)
        monkeypatch.setattr(walk.Walk, "_open_level", refuse)
        raise ZeroDivisionError

    (left,) = litter(tmp_path)[:1]
    assert any(str(tmp_path / os.path.basename(str(left))) in note for note in caught.value.__notes__)


def test_walk_with_few_descriptors(tmp_path, none_left):
    """A tree is read to its end with four descriptors, whatever its depth."""
    spread(tmp_path, depth=4)
    top = os.open(tmp_path, os.O_RDONLY)
    spare = [os.dup(top) for _ in range(4)]
    none_left.take()
    for each in spare:
        os.close(each)

    files = sum(len(level.files) for level, done in walk.Walk(top, "read") if not done)
    none_left.release()
    os.close(top)

    assert files == sum(len(names) for _, _, names in os.walk(tmp_path))


INTERRUPTED = """
import contextlib, gc, itertools, json, os, sys
import atomik
from core import shapes

shape, together = getattr(shapes, sys.argv[1]), sys.argv[2] == "group"

def in_collector(frame):
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None

def attempt(first, second):
    seen = itertools.count()

    def interrupt(frame, event, argument):
        if "atomik_core" not in frame.f_code.co_filename or in_collector(frame):
            return None
        # Where an interrupt can come: at the beginning of a function, and between two lines.
        if event in ("call", "line") and next(seen) in (first, second):
            raise KeyboardInterrupt
        return interrupt

    def discard():
        with atomik.group() if together else contextlib.nullcontext() as group:
            with (group.folder if shape.is_folder else group.file if shape.call is atomik.file else group.path)("b") if together \\
                    else shape.call("a") as handle:
                shape.fill(handle, "new")
                sys.settrace(interrupt)
                raise ZeroDivisionError

    notes = None
    try:
        discard()
    except (ZeroDivisionError, KeyboardInterrupt) as error:
        sys.settrace(None)
        notes = getattr(error, "__notes__", [])
    finally:
        sys.settrace(None)
    gc.collect()
    left = os.listdir(".")
    atomik.clean(".")
    return next(seen), left, notes

wrong, number = [], 0
shape.publish(shapes.Path("warm"), "warm")
atomik.remove("warm")
length = attempt(-1, -1)[0]
for number in range(length):
    for distance in (None, (1, 7, 40)[number % 3]):
        _, left, notes = attempt(number, -1 if distance is None else number + distance)
        if left:
            wrong.append([number, distance, left, notes])
print(json.dumps([length, wrong]))
"""


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.parametrize("together", ["alone", "group"])
@pytest.mark.parametrize("name", ["FILE", "FOLDER", "PATH_TO_FILE", "PATH_TO_FOLDER"])
def test_interrupted_while_discarding(tmp_path, name, together):
    """One Ctrl-C, or two, at any line of discarding: all of it is done in the end."""
    done = run(INTERRUPTED, name, together, cwd=tmp_path)

    assert done.code == 0, done.err
    length, wrong = json.loads(done.out)
    assert length > 20
    assert wrong == []


@pytest.mark.parametrize("text", ["alone", "in a group"])
def test_interrupt_while_discarding_is_noted(tmp_path, monkeypatch, text):
    """The interrupt is a note of the block's exception, and what it fell into is done again."""
    remove, calls = os.rmdir, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(*arguments, **options)

    with pytest.raises(ZeroDivisionError) as caught, atomik.group() as group:
        with group.folder(tmp_path / "a") if text != "alone" else atomik.folder(tmp_path / "a") as path:
            (path / "x").write_text("x")
            if text == "alone":
                monkeypatch.setattr(os, "rmdir", interrupted)
                raise ZeroDivisionError
        monkeypatch.setattr(os, "rmdir", interrupted)
        raise ZeroDivisionError

    monkeypatch.undo()
    assert len(calls) > 1
    assert any("KeyboardInterrupt" in note for note in caught.value.__notes__)
    assert os.listdir(tmp_path) == []


@pytest.mark.system
@pytest.mark.parametrize(("overwrite", "count"), [(False, 1500), (True, 900)], ids=["new", "over"])
def test_more_folders_than_descriptors(mounts, overwrite, count):
    """1,500 new folders are published together with 1,024 descriptors; of those that are replaced each takes one."""
    here = mounts("ext4")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if overwrite:
        for number in range(count):
            (here / str(number)).mkdir()
            (here / str(number) / "old").touch()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        with no_leaks(), atomik.group() as group:
            for number in range(count):
                with group.folder(here / str(number), overwrite=overwrite) as path:
                    (path / "new").touch()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert len(os.listdir(here)) == count
    assert all(os.listdir(here / str(number)) == ["new"] for number in range(count))
