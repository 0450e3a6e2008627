"""A user's test file, run with each pytest: the beginning of a test's name says how it has to end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

import atomik
from pytest_atomik import AtomicTmp, Crash


def save(folder, text="new"):
    """Publish a file and a folder, one after the other."""
    with atomik.file(folder / "a.txt", overwrite=True) as f:
        f.write(text)
    with atomik.folder(folder / "b", overwrite=True) as d:
        (d / "c.txt").write_text(text)


def test_passed_when_it_is_used_as_the_path_that_it_is(atomic_tmp: AtomicTmp, tmp_path):
    """It is the tmp_path, and behaves like one."""
    assert atomic_tmp.path == tmp_path
    assert atomic_tmp / "x" == tmp_path / "x"
    assert str(atomic_tmp) == os.fspath(atomic_tmp) == str(tmp_path)
    assert os.listdir(atomic_tmp) == []


def test_passed_when_it_has_seen_what_was_published(atomic_tmp):
    """Names and publications are there, in order."""
    save(atomic_tmp)

    assert atomic_tmp.published == ["a.txt", "b"]
    assert atomic_tmp.discarded == []
    assert [publication.state for publication in atomic_tmp.publications] == ["published", "published"]


@pytest.mark.parametrize("at", ["open", "write", "sync", "publish"])
def test_passed_when_a_member_of_a_group_fails(atomic_tmp, at):
    """Members are seen, failed and discarded like others."""
    with atomic_tmp.unchanged(), pytest.raises(OSError, match="No space left"), atomic_tmp.fail(at=at):
        with atomik.group() as group, group.file(atomic_tmp / "a.txt") as f:
            f.write("new")

    assert (atomic_tmp.published, atomic_tmp.discarded) == ([], ["a.txt"])


@pytest.mark.parametrize("at", ["open", "write", "sync", "publish", "durable"])
def test_passed_when_a_publication_fails(atomic_tmp, at):
    """Each fault is the error of a full disk, and tells whether anything is visible."""
    with pytest.raises(OSError, match="No space left") as failure, atomic_tmp.fail(at=at):
        save(atomic_tmp)

    assert failure.value.errno == errno.ENOSPC
    assert (atomic_tmp.published, atomic_tmp.discarded) == ((["a.txt"], []) if at == "durable" else ([], ["a.txt"]))


def test_passed_when_a_race_is_lost(atomic_tmp):
    """The rival's version is there."""
    with pytest.raises(FileExistsError), atomic_tmp.lose_race("theirs"), atomik.file(atomic_tmp / "a.txt") as f:
        f.write("ours")

    assert (atomic_tmp / "a.txt").read_text() == "theirs"


def test_passed_when_nothing_changed(atomic_tmp):
    """A failed publication leaves the old version."""
    save(atomic_tmp, "old")

    with atomic_tmp.unchanged(), pytest.raises(OSError), atomic_tmp.fail():
        save(atomic_tmp)


@pytest.mark.parametrize("engine", ["syscalls", "publications"])
def test_passed_after_each_crash(atomic_tmp, engine):
    """Every step of both publications is crashed at, and the directory put back."""
    (atomic_tmp / "a.txt").write_text("old")

    crashes: list[Crash] = []
    for crash in atomic_tmp.crashes(lambda: save(atomic_tmp), engine=engine):
        crashes.append(crash)
        assert (atomic_tmp / "a.txt").read_text() in {"old", "new"}
        assert not (atomic_tmp / "b").exists() or (atomic_tmp / "b" / "c.txt").read_text() == "new"

    if engine == "publications":
        steps = ["opened", "sealed", "synced", "published", "durable", "tidied"]
        assert [crash.step for crash in crashes] == [f"{step} {name}" for name in ("a.txt", "b") for step in steps]
    else:
        assert len(crashes) > 6
        assert (crashes[-1].step, crashes[-1].path) == ("the end", atomic_tmp / "b")
    assert os.listdir(atomic_tmp) == ["a.txt"]
    assert (atomic_tmp / "a.txt").read_text() == "old"


def test_passed_after_each_crash_of_other_code(atomic_tmp):
    """A file that is written by hand, and right."""

    def replace():
        with (atomic_tmp / "tmp").open("w") as f:
            f.write("new")
            f.flush()
            os.fsync(f.fileno())
        os.replace(atomic_tmp / "tmp", atomic_tmp / "a")

    (atomic_tmp / "a").write_text("old")
    for _ in atomic_tmp.crashes(replace, power_cuts=True):
        assert (atomic_tmp / "a").read_text() in {"old", "new"}


def test_failed_for_code_that_is_not_crash_safe(atomic_tmp):
    """Written in place."""
    (atomic_tmp / "a").write_text("old")
    for _ in atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("new")):
        assert (atomic_tmp / "a").read_text() in {"old", "new"}


@pytest.mark.parametrize("engine", ["syscalls", "publications"])
def test_passed_after_crashes_beside_a_thread(atomic_tmp, engine):
    """Python's warning of forks beside threads is no error."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert len(list(atomic_tmp.crashes(lambda: save(atomic_tmp), engine=engine))) > 6
    finally:
        done.set()
        thread.join()


def test_passed_on_another_filesystem(atomic_tmp):
    """What is published there is seen."""
    other = atomic_tmp.other_filesystem()
    assert other.stat().st_dev != os.stat(atomic_tmp).st_dev

    with atomik.file(other / "x") as f:
        f.write("there")

    assert atomic_tmp.published == [str(other / "x")]


@pytest.mark.atomic_tmp(leftovers=True)
def test_passed_with_leftovers_that_are_allowed(atomic_tmp):
    """The marker allows the litter of a killed process."""
    leave_litter(atomic_tmp)


def leave_litter(folder):
    """Have a child process killed in the middle of a publication."""
    program = "import atomik, os, sys; p = atomik.folder(sys.argv[1]); p.open(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program, folder / "killed"])
    assert len(atomik.leftovers(folder)) == 1


def test_error_for_litter(atomic_tmp):
    """The litter of a child process is found at the end."""
    leave_litter(atomic_tmp)


def test_failed_once_with_litter(atomic_tmp):
    """A test that has failed does not fail again for its litter."""
    leave_litter(atomic_tmp)
    assert atomic_tmp.published == ["something"]


def test_failed_for_a_fault_that_is_never_reached(atomic_tmp):
    """A fault that does not happen proves nothing."""
    with atomic_tmp.fail(path="*.csv"):
        save(atomic_tmp)


def test_failed_for_a_change(atomic_tmp):
    """Something has changed."""
    with atomic_tmp.unchanged():
        save(atomic_tmp)


def test_failed_for_a_crash_between_two(atomic_tmp):
    """Two publications are not one."""
    for _ in atomic_tmp.crashes(lambda: save(atomic_tmp)):
        assert (atomic_tmp / "a.txt").exists() == (atomic_tmp / "b").exists()


def test_failed_for_crashes_of_nothing(atomic_tmp):
    """Nothing to crash at is no proof."""
    for _ in atomic_tmp.crashes(lambda: None):
        pytest.fail("there is no crash")


def test_passed_without_it():
    """A test that does not ask for it has nothing of it."""
    assert "atomic_tmp" not in globals()
