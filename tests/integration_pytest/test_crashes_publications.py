"""`atomic_tmp.crashes(engine="publications")`: a function is killed at each step of what it publishes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import atomik
from support.waiting import wait_until

Failed = pytest.fail.Exception
STEPS = ["opened", "sealed", "synced", "published", "durable", "tidied"]


def test_it_is_killed_at_each_step_and_all_is_as_the_kill_left_it(atomic_tmp):
    """Neither an exception handler nor a `finally` of it runs, and staging litter is there to be dealt with."""
    pid = os.getpid()

    def func():
        assert os.getpid() != pid
        try:
            with atomik.folder(atomic_tmp / "new") as d:
                (d / "a").write_text("a")
        finally:
            (atomic_tmp / "finally").write_text("")

    seen = []
    for crash in atomic_tmp.crashes(func, engine="publications"):
        seen.append((crash.step, crash.kind, crash.path))
        is_visible = crash.step.split()[0] in STEPS[3:]
        assert not (atomic_tmp / "finally").exists()
        assert is_visible == (atomic_tmp / "new" / "a").exists()
        assert bool(atomik.leftovers(atomic_tmp)) != is_visible

    assert seen == [(f"{step} new", "kill", atomic_tmp / "new") for step in STEPS]
    assert os.listdir(atomic_tmp) == []
    assert (atomic_tmp.published, atomic_tmp.discarded) == ([], [])


def test_the_next_one_finds_the_directory_as_the_first_one_did(atomic_tmp):
    """Contents, permissions, times, links and folders, whatever the function or the loop has done to them."""
    (atomic_tmp / "file").write_text("old")
    (atomic_tmp / "file").chmod(0o640)
    os.utime(atomic_tmp / "file", (1, 1))
    (atomic_tmp / "link").symlink_to("file")
    (atomic_tmp / "folder").mkdir(0o750)
    (atomic_tmp / "folder" / "inner").write_text("old")
    os.utime(atomic_tmp, (2, 2))

    def look():
        return {
            str(path): (path.lstat().st_mode, path.lstat().st_mtime, path.read_bytes() if path.is_file() else None)
            for path in (atomic_tmp.path, *atomic_tmp.path.rglob("*"))
        }

    before = look()

    def func():
        assert look() == before
        (atomic_tmp / "file").unlink()
        (atomic_tmp / "link").unlink()
        (atomic_tmp / "folder" / "inner").write_text("new")
        (atomic_tmp / "folder").chmod(0)
        with atomik.file(atomic_tmp / "new") as f:
            f.write("new")

    count = 0
    for _ in atomic_tmp.crashes(func, engine="publications"):
        count += 1
        (atomic_tmp / "litter of the loop").mkdir()

    assert count == len(STEPS)
    assert look() == before
    assert not [name for name in os.listdir(atomic_tmp.path.parent) if "-before-" in name]


def test_what_is_put_back_is_what_it_was(atomic_tmp):
    """Hard links, FIFOs, and files that are open."""
    (atomic_tmp / "x").write_text("1")
    os.link(atomic_tmp / "x", atomic_tmp / "y")
    os.mkfifo(atomic_tmp / "fifo")
    number = (atomic_tmp / "x").stat().st_ino

    for _ in atomic_tmp.crashes(lambda: _publish(atomic_tmp / "a"), engine="publications"):
        assert ((atomic_tmp / "x").stat().st_nlink, (atomic_tmp / "x").stat().st_ino) == (2, number)
        (atomic_tmp / "y").write_text("spoiled")

    assert (atomic_tmp / "x").read_text() == "1"


def test_who_leaves_the_loop_keeps_the_crash(atomic_tmp):
    """After a `break` the directory is as the kill left it, to go on with."""
    for crash in atomic_tmp.crashes(lambda: _publish(atomic_tmp / "a"), engine="publications"):
        if crash.step == "published a":
            break

    assert os.listdir(atomic_tmp) == ["a"]
    assert (atomic_tmp / "a").read_text() == "new"


def test_a_publication_that_is_discarded_has_its_crash_too(atomic_tmp):
    """A function that copes with an error is killed while it does; faults of the test hold in the child."""

    def func():
        try:
            _publish(atomic_tmp / "a")
        except OSError:
            _publish(atomic_tmp / "b")

    with atomic_tmp.fail(at="sync", path="a"):
        crashes = [crash.step for crash in atomic_tmp.crashes(func, engine="publications")]

    assert crashes == ["opened a", "sealed a", "discarded a", *(f"{step} b" for step in STEPS)]


def test_what_the_function_publishes_elsewhere_is_no_step(atomic_tmp, tmp_path_factory):
    """Only this directory is put back, so only in it is anything killed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def func():
        _publish(elsewhere / "log", overwrite=True)
        _publish(atomic_tmp / "a")

    assert [crash.path.name for crash in atomic_tmp.crashes(func, engine="publications")] == ["a"] * len(STEPS)


def test_a_function_that_raises_fails_the_test_with_its_traceback(atomic_tmp):
    """Otherwise nobody would know why there were so few crashes."""

    def func():
        sys.stdout.write("so far so good\n")
        _publish(atomic_tmp / "a")
        os.rmdir(atomic_tmp / "a")

    with pytest.raises(Failed) as failure:
        list(atomic_tmp.crashes(func, engine="publications"))

    message = str(failure.value)
    assert message.startswith("atomic_tmp.crashes: in the forked child the function raised:\nso far so good\nTraceback")
    assert message.rpartition("\n")[2].startswith("NotADirectoryError: ")
    assert "_run_in_child" not in message


def test_a_function_that_ends_its_process_fails_the_test(atomic_tmp):
    """It takes the child with it, not the test run."""
    with pytest.raises(Failed, match="the function ended the process with status 3"):
        list(atomic_tmp.crashes(lambda: os._exit(3), engine="publications"))


def test_a_function_that_publishes_nothing_fails_the_test(atomic_tmp):
    """A loop without a crash would prove nothing."""
    with pytest.raises(Failed, match="published nothing in this directory"):
        list(atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("not atomic"), engine="publications"))


def test_what_it_prints_does_not_reach_the_output_of_the_test(atomic_tmp, capfd):
    """It would come once for each step."""

    def func():
        sys.stdout.write("on stdout\n")
        os.write(2, b"on stderr")
        _publish(atomic_tmp / "a")

    list(atomic_tmp.crashes(func, engine="publications"))

    assert capfd.readouterr() == ("", "")


@pytest.mark.system
def test_processes_that_it_has_started_die_with_it(atomic_tmp):
    """They could otherwise go on writing into a directory that is put back."""

    def func():
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (atomic_tmp / "pid").write_text(str(process.pid))
        _publish(atomic_tmp / "a")

    for _ in atomic_tmp.crashes(func, engine="publications"):
        pid = (atomic_tmp / "pid").read_text()
        # Killed, and soon reaped by whoever inherits it.
        wait_until(lambda pid=pid: not _is_alive(pid), "the end of the process", timeout=60)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _publish(path, **options):
    with atomik.file(path, **options) as f:
        f.write("new")
