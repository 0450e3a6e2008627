"""Threads that publish at the same time."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import atomik
from core.shapes import FILE

THREADS = 8


def all_at_once(function):
    """Call `function(number)` in each of the threads, beginning together; give what each returned or raised."""
    barrier = threading.Barrier(THREADS)

    def run(number):
        barrier.wait()
        try:
            return function(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_different_destinations(tmp_path, shape):
    """Threads publish different things in one directory, and overwrite them, without disturbing each other."""

    def publish(number):
        for version in range(10):
            shape.publish(tmp_path / str(number), f"{number} {version}", overwrite=version > 0, sync="off")

    assert all_at_once(publish) == [None] * THREADS
    assert sorted(os.listdir(tmp_path)) == sorted(map(str, range(THREADS)))
    for number in range(THREADS):
        assert shape.read(tmp_path / str(number)) == f"{number} 9"


def test_one_new_destination(tmp_path, shape):
    """Of threads that publish at one new destination exactly one wins, and the others are told."""
    for attempt in range(10):
        path = tmp_path / str(attempt)

        answers = all_at_once(lambda number, path=path: shape.publish(path, str(number), sync="off"))

        [winner] = [number for number, answer in enumerate(answers) if answer is None]
        assert {type(answer) for answer in answers} == {type(None), atomik.FileAlreadyExistsError}
        assert shape.read(path) == str(winner)
    assert len(os.listdir(tmp_path)) == 10


def test_one_destination_overwritten(tmp_path, shape):
    """Threads that overwrite one destination all succeed, and one of the versions stays, whole."""
    answers = all_at_once(
        lambda number: [shape.publish(tmp_path / "a", str(number), overwrite=True, sync="off") for _ in range(10)]
    )

    assert answers == [[None] * 10] * THREADS
    assert shape.read(tmp_path / "a") in set(map(str, range(THREADS)))
    assert os.listdir(tmp_path) == ["a"]


def test_one_destination_overwritten_at_the_pace_of_the_clock(tmp_path):
    """A rival's file, made in the same tick of the kernel's clock and with the old one's inode number, is replaced.

    The number can come back while one thread is between its look at the old version and its staging.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        answers = all_at_once(
            lambda number: [
                FILE.publish(tmp_path / "a", "a" + number * "a", overwrite=True, sync="off") for _ in range(400)
            ]
        )
    finally:
        sys.setswitchinterval(before)

    assert [answer for answer in answers if isinstance(answer, Exception)] == []


def test_handed_over(tmp_path, shape):
    """A publication that one thread has opened may be ended by another."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(publication.publish).result()

    assert shape.read(tmp_path / "a") == "new"


def test_exception_in_a_thread(tmp_path, shape):
    """An exception in one thread discards that thread's publication only."""
    with shape.call(tmp_path / "mine") as handle:
        shape.fill(handle, "mine")
        with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
            pool.submit(fail_in_a_block, shape, tmp_path / "theirs").result()

    assert os.listdir(tmp_path) == ["mine"]


def fail_in_a_block(shape, path):
    """Begin to publish, and raise."""
    with shape.call(path):
        raise ZeroDivisionError
