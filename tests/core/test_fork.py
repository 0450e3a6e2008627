"""Forked children: what they inherit of a publication is dead, so nothing they do or end with touches the parent's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.processes import run

pytestmark = pytest.mark.system

SCRIPT = """
import gc, os, sys
import atomik

def fill(handle, text):
    if kind == "file":
        handle.write(text)
    elif kind == "folder":
        with open(handle / "one", "a") as f:
            f.write(text)
    else:
        with open(handle, "a") as f:
            f.write(text)

def child(publication, handle):
    if end == "exit":
        sys.exit(0)  # through the block's end
    elif end == "exit at once":
        os._exit(0)
    elif end == "exception":
        raise ZeroDivisionError
    elif end == "publish":
        publication.publish()
    elif end == "discard":
        publication.discard()
    elif end == "close" and kind == "file":
        handle.close()
    elif end == "write":
        if kind == "file":
            handle.write("child" * 10000)
            handle.flush()
    elif end == "close everything":
        os.closerange(3, 1000)
        with open("theirs", "w") as f:  # with one of the closed descriptors' numbers
            f.write("theirs, ")
            del publication, handle
            gc.collect()
            f.write("whole")

kind, end = sys.argv[1:]
publication = getattr(atomik, kind)("a", overwrite=True)
try:
    with publication as handle:
        fill(handle, "before, ")
        pid = os.fork()
        if pid == 0:
            child(publication, handle)  # and then on, to the block's end
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            fill(handle, "after")
except ZeroDivisionError:
    pass
if pid == 0:
    del publication, handle
    gc.collect()
    sys.exit(0)
print(status, publication.state)
"""


@pytest.mark.parametrize("kind", ["file", "folder", "path"])
@pytest.mark.parametrize(
    "end",
    [
        "the end of the block",
        "exit",
        "exit at once",
        "exception",
        "publish",
        "discard",
        "close",
        "write",
        "close everything",
    ],
)
def test_child_ends(tmp_path, kind, end):
    """However a forked child ends, the parent's publication goes on, and holds what the parent wrote, once."""
    finished = run(SCRIPT, kind, end, cwd=tmp_path)

    assert finished[:2] == (0, "0 published\n")
    if (kind, end) != ("file", "close everything"):  # a handle that was closed behind its back may complain (3.13)
        assert finished.err == ""
    path = tmp_path / "a" / "one" if kind == "folder" else tmp_path / "a"
    assert path.read_text() == "before, after"
    if end == "close everything":
        assert (tmp_path / "theirs").read_text() == "theirs, whole"
        (tmp_path / "theirs").unlink()
    assert os.listdir(tmp_path) == ["a"]


def test_child_outlives_the_parent(tmp_path):
    """A child that goes on after the parent has published changes nothing of it, nor of the one that follows."""
    source = """
import os, sys
import atomik

read, write = os.pipe()
with atomik.file("a") as f, atomik.folder("b") as d:
    f.write("new")
    (d / "one").write_text("new")
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)  # until the parent has published
        sys.exit(0)
atomik.file("a", overwrite=True).open()  # and is collected
os.close(write)
print(os.waitpid(pid, 0)[1])
"""
    finished = run(source, cwd=tmp_path)

    assert finished == (0, "0\n", "")
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "b" / "one").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_child_publishes_something_else(tmp_path):
    """In a forked child, publications of its own work as ever."""
    source = """
import os
import atomik

with atomik.file("parent") as f:
    pid = os.fork()
    if pid == 0:
        with atomik.folder("child") as d, atomik.file(d / "one") as g:
            g.write("child")
        os._exit(0)
    os.waitpid(pid, 0)
    f.write("parent")
"""
    assert run(source, cwd=tmp_path) == (0, "", "")

    assert (tmp_path / "parent").read_text() == "parent"
    assert (tmp_path / "child" / "one").read_text() == "child"


def test_child_does_not_free_the_lock(tmp_path):
    """A child that ends leaves the staged folder locked, so that nobody takes it for a leftover."""
    source = """
import fcntl, os
import atomik

with atomik.folder("a") as d:
    pid = os.fork()
    if pid == 0:
        raise SystemExit
    os.waitpid(pid, 0)
    fd = os.open(d, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("locked")
"""
    assert run(source, cwd=tmp_path) == (0, "locked\n", "")


def test_fork_in_a_thread(tmp_path):
    """A child forked by one thread writes nothing into what another thread publishes, and ends nothing of it."""
    source = """
import os, threading, warnings
import atomik

def fork():
    pid = os.fork()
    if pid == 0:
        f.write("child")
        f.flush()
        raise SystemExit
    os.waitpid(pid, 0)

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is the point
with atomik.file("a") as f, atomik.folder("b"):
    f.write("new")
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
"""
    assert run(source, cwd=tmp_path) == (0, "", "")

    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, method):
    """Workers fill a staged folder by its path, however they were started, and their end discards nothing."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing
import atomik

def work(task):
    d, number = task
    (d / str(number)).write_text(str(number))

if __name__ == "__main__":
    with atomik.folder("a") as d, atomik.file("b") as f:
        f.write("new")
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            pool.map(work, [(d, number) for number in range(10)])
            pool.close()
            pool.join()
""")
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path / "a")) == sorted(map(str, range(10)))
    assert (tmp_path / "b").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "script.py"]


def test_program_started_inside(tmp_path):
    """A program that is started in the block inherits no descriptor, even where its starter passes all on."""
    source = """
import os, subprocess, sys
import atomik

look = "import os; print([n for n in range(3, 1000) if os.path.lexists(f'/proc/self/fd/{n}')])"
with atomik.file("a") as f, atomik.folder("b"), atomik.path("c") as p:
    p.write_text("new")
    subprocess.run([sys.executable, "-I", "-S", "-c", look], close_fds=False, check=True)
"""
    assert run(source, cwd=tmp_path) == (0, "[]\n", "")


CLOSED_IN_THE_CHILD = """
import gc, os
from atomik_core._os.descriptors import Descriptors

held = Descriptors()
number = held.open(".", os.O_RDONLY)
child = os.fork()
if not child:
    os.close(number)
    assert os.open(".", os.O_RDONLY) == number
    del held
    gc.collect()
    os.fstat(number)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


def test_descriptors_that_the_child_has_closed():
    """What a child opens under a number that was its parent's stays open when the child's copy of the parent's is collected."""
    assert run(CLOSED_IN_THE_CHILD).out == "0\n"
