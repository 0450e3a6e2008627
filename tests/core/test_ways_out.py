"""Ways out of the block: whatever leaves it early discards, whatever reaches its end publishes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import traceback

import pytest

import atomik
import atomik_core.testing


class Unusual(BaseException):
    """An exception that `except Exception` does not catch."""


@pytest.fixture(params=[None, "old"])
def before(request, tmp_path, shape):
    """What is at the destination at first: nothing, or an old version."""
    if request.param is not None:
        shape.lay(tmp_path / "a", request.param)
    return request.param


@pytest.mark.parametrize(
    "error", [ValueError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, Unusual]
)
def test_exception(tmp_path, shape, before, error):
    """Any exception discards, BaseException included, and is raised unchanged: the same object, with nothing added."""
    raised = error("mine")
    publication = shape.call(tmp_path / "a", overwrite=True)

    with pytest.raises(error) as caught, publication as handle:
        shape.fill(handle, "new")
        raise raised

    assert caught.value is raised
    assert raised.args == ("mine",)
    assert raised.__context__ is None
    assert not hasattr(raised, "__notes__")
    assert publication.state == "discarded"
    assert shape.read(tmp_path / "a") == before
    assert os.listdir(tmp_path) == ([] if before is None else ["a"])


def test_exception_with_nothing_made(tmp_path, shape):
    """An exception before anything was made is the caller's, not an error about nothing made."""
    with pytest.raises(ZeroDivisionError), shape.call(tmp_path / "a"):
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []


def test_trouble_while_discarding(tmp_path, shape):
    """Trouble while discarding becomes a note of the block's exception, which is raised all the same."""

    def watcher(_, step):
        if step == "discarded":
            raise OSError(5, "the disk is on fire")

    with atomik_core.testing.watching(watcher), pytest.raises(ZeroDivisionError) as caught:
        with shape.call(tmp_path / "a"):
            raise ZeroDivisionError

    [note] = caught.value.__notes__
    assert "the disk is on fire" in note
    assert str(tmp_path / "a") in note


def test_return(tmp_path, shape):
    """`return` reaches the end of the block: it publishes."""

    def function():
        with shape.call(tmp_path / "a", overwrite=True) as handle:
            shape.fill(handle, "new")
            return "returned"

    assert function() == "returned"
    assert shape.read(tmp_path / "a") == "new"


def test_break_and_continue(tmp_path, shape):
    """`break` and `continue` reach the end of the block: they publish."""
    for number in range(5):
        with shape.call(tmp_path / str(number)) as handle:
            shape.fill(handle, "new")
            if number == 0:
                continue
            break

    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


def test_generator_that_ends(tmp_path, shape):
    """A block in a generator publishes when the generator has run to its end."""

    def generator():
        with shape.call(tmp_path / "a") as handle:
            yield
            shape.fill(handle, "new")

    for _ in generator():
        assert shape.read(tmp_path / "a") is None

    assert shape.read(tmp_path / "a") == "new"


@pytest.mark.parametrize("way", ["close", "collect"])
def test_generator_that_is_left(tmp_path, shape, before, way):
    """A generator that is closed or collected in its block discards."""

    def generator():
        with shape.call(tmp_path / "a", overwrite=True) as handle:
            shape.fill(handle, "new")
            yield

    running = generator()
    next(running)
    if way == "close":
        running.close()
    del running
    gc.collect()

    assert shape.read(tmp_path / "a") == before
    assert os.listdir(tmp_path) == ([] if before is None else ["a"])


def test_cancelled_task(tmp_path, shape):
    """A task that is cancelled in its block discards."""

    async def task():
        with shape.call(tmp_path / "a") as handle:
            shape.fill(handle, "new")
            await asyncio.sleep(60)

    async def main():
        running = asyncio.create_task(task())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())

    assert os.listdir(tmp_path) == []


def test_exception_that_is_suppressed_outside(tmp_path, shape):
    """Who suppresses the exception around the block has discarded."""
    with contextlib.suppress(ZeroDivisionError), shape.call(tmp_path / "a") as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []


def test_exception_that_is_handled_inside(tmp_path, shape):
    """Who handles an exception inside the block publishes."""
    with shape.call(tmp_path / "a") as handle:
        with contextlib.suppress(ZeroDivisionError):
            raise ZeroDivisionError
        shape.fill(handle, "new")

    assert shape.read(tmp_path / "a") == "new"


def test_exit_stack(tmp_path, shape):
    """Publications in an ExitStack are published, the last one first; an exception discards all that are still open."""
    with contextlib.ExitStack() as stack:
        for name in "ab":
            shape.fill(stack.enter_context(shape.call(tmp_path / name)), "new")
    with pytest.raises(ZeroDivisionError), contextlib.ExitStack() as stack:
        for name in "cd":
            shape.fill(stack.enter_context(shape.call(tmp_path / name)), "new")
        raise ZeroDivisionError

    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_nested(tmp_path, shape):
    """Publications can be nested; an inner one that has ended stays published whatever becomes of the outer one."""
    with pytest.raises(ZeroDivisionError), shape.call(tmp_path / "outer") as outer:
        shape.publish(tmp_path / "inner", "inner")
        shape.fill(outer, "outer")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == ["inner"]
    assert shape.read(tmp_path / "inner") == "inner"


def test_nested_for_the_same_destination(tmp_path, shape):
    """Of two publications for one destination, one in the other, the inner one is first: the outer one loses."""
    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(tmp_path / "a") as outer:
        shape.publish(tmp_path / "a", "inner")
        shape.fill(outer, "outer")

    assert shape.read(tmp_path / "a") == "inner"


def test_nested_in_a_staged_folder(tmp_path, shape):
    """What is published into a staged folder appears with it, or goes with it."""
    with atomik.folder(tmp_path / "a") as d:
        shape.publish(d / "one", "new")
        shape.publish(d / "one", "newer", overwrite=True)
        with contextlib.suppress(ZeroDivisionError), shape.call(d / "two"):
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), atomik.folder(tmp_path / "b") as d:
        shape.publish(d / "one", "new")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["one"]
    assert shape.read(tmp_path / "a" / "one") == "newer"


def test_outer_ends_first(tmp_path, shape):
    """Publications may end in any order."""
    publications = [shape.call(tmp_path / name) for name in "abc"]
    for publication in publications:
        shape.fill(publication.open(), "new")

    publications[1].publish()
    publications[0].discard()
    publications[2].publish()

    assert sorted(os.listdir(tmp_path)) == ["b", "c"]


def test_error_at_the_end(tmp_path, shape):
    """What goes wrong at the end of the block is raised from there, with the caller's line in the traceback."""
    with pytest.raises(atomik.FileAlreadyExistsError) as caught, shape.call(tmp_path / "a") as handle:
        shape.fill(handle, "new")
        shape.lay(tmp_path / "a", "rival")

    assert any(frame.name == "test_error_at_the_end" for frame in traceback.extract_tb(caught.value.__traceback__))
