"""A user's test file for `atomic_tmp_factory`, run with each pytest: the beginning of a test's name says how it has to end."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from pytest_atomik import AtomicTmpFactory

HERE = Path(__file__).parent


def called(name: str) -> int:
    """Write down a call of a builder; how many there were before."""
    with (HERE / "calls").open("a") as file:
        file.write(f"{name}\n")
    return (HERE / "calls").read_text().split().count(name) - 1


def make(folder: Path) -> None:
    """Build a folder, slowly."""
    called("made")
    (folder / "below").mkdir()
    time.sleep(0.3)
    (folder / "below" / "x").write_text("x")


@pytest.fixture(scope="session")
def kept(atomic_tmp_factory: AtomicTmpFactory) -> Path:
    """What is there between runs."""
    return atomic_tmp_factory.folder("kept", make, key={"input": Path(__file__), "version": [1, 2.5, None]})


@pytest.fixture(scope="session")
def fails_once(atomic_tmp_factory: AtomicTmpFactory) -> int:
    """What comes with the first rerun."""

    def build() -> int:
        if called("failed") == 0:
            msg = "not yet"
            raise OSError(msg)
        return 42

    return atomic_tmp_factory.value("failed", build)


@pytest.mark.parametrize("number", range(4))
def test_passed_with_what_is_kept(kept, number):
    """Each test sees all of it."""
    assert (kept / "below" / "x").read_text() == "x"


@pytest.mark.parametrize("number", range(4))
def test_passed_with_what_is_built_for_this_run(atomic_tmp_factory, number):
    """A file and a value."""
    assert atomic_tmp_factory.file("file", lambda file: file.write("text")).read_text() == "text"
    assert atomic_tmp_factory.value("value", lambda: {"pid": [os.getpid()]})["pid"] != []


def test_passed_when_a_change_is_refused(kept):
    """Root's, too."""
    with pytest.raises(PermissionError):
        (kept / "below" / "x").write_text("y")
    with pytest.raises(PermissionError):
        shutil.rmtree(kept)


def test_passed_with_a_copy(atomic_tmp_factory, kept, tmp_path):
    """It is in the test's directory, and writable."""
    copied = atomic_tmp_factory.copy(kept)
    assert copied == tmp_path / "kept"
    (copied / "below" / "x").write_text("y")


@pytest.mark.parametrize("number", range(4))
def test_passed_when_it_was_tried_again(fails_once, number):
    """Once for each rerun."""
    assert fails_once == 42


def test_failed_for_two_builders_of_one_name(atomic_tmp_factory):
    """One of them has to have another one."""
    atomic_tmp_factory.value("two", lambda: 1)
    atomic_tmp_factory.value("two", lambda: 2)
