"""`atomik.snapshot`: one version, whole and unchanging, for as long as it is read; writers never wait, nothing is left."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import threading
from contextlib import ExitStack

import pytest

import atomik
from core.shapes import FILE, FOLDER
from support.processes import Program, run
from support.watch import litter, no_leaks


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_the_version_stays_while_it_is_replaced(tmp_path, shape):
    """What is read in the block is the version of its beginning, however often it is replaced; afterwards it is gone."""
    shape.lay(tmp_path / "a", "old")

    with no_leaks(), atomik.snapshot(tmp_path / "a") as held:
        for text in ("one", "two"):
            shape.publish(tmp_path / "a", text, overwrite=True)
            assert shape.read(held) == "old"
            assert shape.read(tmp_path / "a") == text

    assert os.listdir(tmp_path) == ["a"]
    assert shape.read(tmp_path / "a") == "two"


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("how", ["remove", "rename", "exchange", "group"])
def test_however_it_is_replaced(tmp_path, shape, how):
    """The other ways to replace or remove leave a reader its version, too, and nothing behind."""
    shape.lay(tmp_path / "a", "old")
    shape.lay(tmp_path / "b", "other")

    with no_leaks(), atomik.snapshot(tmp_path / "a") as held:
        if how == "remove":
            atomik.remove(tmp_path / "a")
        elif how == "rename":
            atomik.rename(tmp_path / "b", tmp_path / "a", overwrite=True)
        elif how == "exchange":
            atomik.exchange(tmp_path / "b", tmp_path / "a")
            atomik.remove(tmp_path / "b")
        else:
            with atomik.group() as group, getattr(group, shape.call.__name__)(tmp_path / "a", overwrite=True) as handle:
                shape.fill(handle, "new")
        assert shape.read(held) == "old"

    assert litter(tmp_path) == []


def test_the_last_reader_tidies(tmp_path):
    """The old version is there as long as anybody reads it; the last one to leave removes it, in whatever order they go."""
    FOLDER.lay(tmp_path / "a", "old")
    first, second, third = (atomik.snapshot(tmp_path / "a") for _ in range(3))
    with no_leaks():
        one, two = first.__enter__(), second.__enter__()
        FOLDER.publish(tmp_path / "a", "new", overwrite=True)
        three = third.__enter__()
        assert [FOLDER.read(path) for path in (one, two, three)] == ["old", "old", "new"]
        assert len(litter(tmp_path)) == 1
        assert [leftover.live for leftover in atomik.leftovers(tmp_path)] == [True]
        assert atomik.clean(tmp_path) == []

        first.__exit__(None, None, None)
        assert FOLDER.read(two) == "old"
        second.__exit__(None, None, None)
        assert litter(tmp_path) == []
        third.__exit__(None, None, None)

    assert FOLDER.read(tmp_path / "a") == "new"


def test_collected_without_its_end(tmp_path):
    """A snapshot whose block never ended is let go when it is collected."""
    FOLDER.lay(tmp_path / "a", "old")
    with no_leaks():
        snapshot = atomik.snapshot(tmp_path / "a")
        snapshot.__enter__()
        FOLDER.publish(tmp_path / "a", "new", overwrite=True)
        assert len(litter(tmp_path)) == 1
        del snapshot
        gc.collect()

    assert litter(tmp_path) == []


def test_exception_in_the_block(tmp_path):
    """An exception in the block ends the snapshot, and is raised unchanged."""
    FOLDER.lay(tmp_path / "a", "old")
    error = KeyError("mine")

    with no_leaks(), pytest.raises(KeyError) as raised, atomik.snapshot(tmp_path / "a"):
        FOLDER.publish(tmp_path / "a", "new", overwrite=True)
        raise error

    assert raised.value is error
    assert litter(tmp_path) == []


def test_used_once(tmp_path):
    """A snapshot is taken once; another call takes another one."""
    FILE.lay(tmp_path / "a", "old")
    snapshot = atomik.snapshot(tmp_path / "a")
    with snapshot:
        pass

    with pytest.raises(ValueError, match="before"), snapshot:
        pass


def test_through_a_symbolic_link(tmp_path):
    """Links are followed when the block begins; one that is changed later leads nobody away."""
    for name in ("one", "two"):
        FOLDER.lay(tmp_path / name, name)
    (tmp_path / "current").symlink_to("one")

    with atomik.snapshot(tmp_path / "current") as held:
        (tmp_path / "next").symlink_to("two")
        os.replace(tmp_path / "next", tmp_path / "current")
        assert FOLDER.read(held) == "one"


@pytest.mark.parametrize("given", [str, os.fsencode])
def test_relative_and_bytes(tmp_path, monkeypatch, given):
    """A path is taken in every form, and a change of the working directory afterwards does not matter."""
    FOLDER.lay(tmp_path / "a", "old")
    monkeypatch.chdir(tmp_path)

    with atomik.snapshot(given("a")) as held:
        monkeypatch.chdir("/")
        assert FOLDER.read(held) == "old"


@pytest.mark.parametrize("kind", ["missing", "fifo", "socket"])
def test_what_has_no_versions(tmp_path, kind):
    """There is no version of nothing, a FIFO or a socket; nobody waits for a writer."""
    with ExitStack() as stack:
        if kind == "fifo":
            os.mkfifo(tmp_path / "a")
        elif kind == "socket":
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(tmp_path / "a"))
        expected = FileNotFoundError if kind == "missing" else OSError
        with no_leaks(), pytest.raises(expected) as raised, atomik.snapshot(tmp_path / "a"):
            pass
    assert raised.value.filename == str(tmp_path / "a")


def test_threads(tmp_path):
    """Several threads hold versions of their own."""
    FOLDER.lay(tmp_path / "a", "0")
    seen = []

    def read():
        for _ in range(50):
            with atomik.snapshot(tmp_path / "a") as held:
                seen.append(FOLDER.read(held))

    with no_leaks():
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(50):
            FOLDER.publish(tmp_path / "a", str(number), overwrite=True, sync="off")
        for thread in threads:
            thread.join()

    assert len(seen) == 150
    atomik.clean(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.system
@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_child_processes_read_it(tmp_path, shape):
    """The path is good in child processes, whatever program they run."""
    shape.lay(tmp_path / "a", "old")

    with atomik.snapshot(tmp_path / "a") as held:
        shape.publish(tmp_path / "a", "new", overwrite=True)
        path = held / "sub" / "two" if shape.is_folder else held
        said = subprocess.run(["cat", path], capture_output=True, text=True, check=True).stdout

    assert said == "old"
    assert litter(tmp_path) == []


@pytest.mark.system
def test_forked_child_does_not_end_it(tmp_path):
    """A forked child can read it, and ends nothing when it leaves the block."""
    source = """
import os, sys
import atomik

with atomik.folder("a") as folder:
    (folder / "one").write_text("old")
with atomik.snapshot("a") as held:
    pid = os.fork()
    if pid > 0:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        with atomik.folder("a", overwrite=True) as folder:
            (folder / "one").write_text("new")
    assert (held / "one").read_text() == "old"
if pid == 0:
    sys.exit(0)
print(os.listdir())
"""
    assert run(source, cwd=tmp_path) == (0, "['a']\n", "")


@pytest.mark.system
@pytest.mark.leaves_litter
def test_reader_that_is_killed(tmp_path):
    """What a killed reader held is left for a cleaner, or for the reader that is last."""
    source = """
import sys, atomik
with atomik.snapshot("a"):
    print("reading", flush=True)
    sys.stdin.read()
"""
    FOLDER.lay(tmp_path / "a", "old")
    with Program(source, cwd=tmp_path) as reader:
        reader.line()
        FOLDER.publish(tmp_path / "a", "new", overwrite=True)
        assert atomik.clean(tmp_path) == []
        reader.kill()

    assert len(litter(tmp_path)) == 1
    assert len(atomik.clean(tmp_path)) == 1
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.system
@pytest.mark.leaves_litter
def test_writer_that_is_killed(tmp_path):
    """If the writer was killed right after the exchange, the reader that is last tidies for it."""
    source = """
import os, signal, atomik, atomik_core.testing
def die(publication, step):
    if step == "published":
        os.kill(os.getpid(), signal.SIGKILL)
with atomik_core.testing.watching(die), atomik.folder("a", overwrite=True) as folder:
    (folder / "sub").mkdir()
    for name in ("one", "sub/two"):
        (folder / name).write_text("new")
"""
    FOLDER.lay(tmp_path / "a", "old")
    with atomik.snapshot(tmp_path / "a") as held:
        assert run(source, cwd=tmp_path).code == -9
        assert FOLDER.read(held) == "old"

    assert os.listdir(tmp_path) == ["a"]
    assert FOLDER.read(tmp_path / "a") == "new"


@pytest.mark.system
def test_filesystems(any_filesystem):
    """Where locks reach everybody a folder is held; elsewhere it is refused, and a file held all the same."""
    FILE.lay(any_filesystem / "file", "old")
    FOLDER.lay(any_filesystem / "folder", "old")
    fuse = any_filesystem.kind.type.startswith("fuse")

    with no_leaks(), atomik.snapshot(any_filesystem / "file") as held:
        FILE.publish(any_filesystem / "file", "new", overwrite=True)
        assert FILE.read(held) == "old"
    if fuse:
        with no_leaks(), pytest.raises(atomik.UnsupportedFilesystemError, match="lock"):
            atomik.snapshot(any_filesystem / "folder").__enter__()
        return
    with no_leaks(), atomik.snapshot(any_filesystem / "folder") as held:
        FOLDER.publish(any_filesystem / "folder", "new", overwrite=True)
        assert FOLDER.read(held) == "old"
    assert sorted(os.listdir(any_filesystem.path)) == ["file", "folder"]
