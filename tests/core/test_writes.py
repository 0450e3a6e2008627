"""What the kernel has taken of the writes to a file: each once and in order, whatever interrupts, shortens or fails them."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import resource
import subprocess
import sys

import pytest

import atomik
from support.processes import run

INTERRUPTED = """
import json, os, signal, sys
import atomik

class Stop(Exception):
    pass

def stop(*_):
    if armed:
        armed.clear()
        raise error

mode, buffering, width, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
error = TimeoutError("as an alarm's handler may say") if kind == "os" else Stop()
signal.signal(signal.SIGALRM, stop)
armed, wrong = [], []
binary, start = "b" in mode, "" if mode[0] in "wx" else "start\\n"
for round in range(40):
    with open("a", "w") as f:
        f.write(start)
    count = 0
    with atomik.file("a", mode, overwrite=True, buffering=buffering, sync="off") as f:
        if mode[0] == "r":
            f.seek(0, os.SEEK_END)
        armed.append(True)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            while True:
                line = f"{count:0{width}d}\\n"
                f.write(line.encode() if binary else line)
                count += 1
        except (Stop, TimeoutError):
            pass
        f.write(b"end\\n" if binary else "end\\n")
    with open("a") as f:
        found = f.read()
    # Of the line that was being written nobody can know, as with open().
    whole = [start + "".join(f"{n:0{width}d}\\n" for n in range(lines)) + "end\\n" for lines in (count, count + 1)]
    if found not in whole:
        wrong.append([round, count, len(found), len(whole[0])])
print(json.dumps(wrong))
"""

MODES = ["w", "wb", "w+", "w+b", "a", "ab", "r+", "r+b"]


@pytest.mark.system
@pytest.mark.parametrize("width", [9, 1000, 5000, 20000])
@pytest.mark.parametrize("mode", MODES)
def test_caught_signal(tmp_path, mode, width):
    """Who catches a signal's exception in the block and stops early loses no line and gets none twice."""
    assert run(INTERRUPTED, mode, "-1", str(width), "own", cwd=tmp_path) == (0, "[]\n", "")


@pytest.mark.system
@pytest.mark.parametrize(("mode", "buffering"), [("w", 1), ("wb", 0), ("ab", 0), ("w", 300), ("wb", 300), ("r+b", 300)])
def test_caught_signal_in_other_buffers(tmp_path, mode, buffering):
    """The same for other sizes of the buffer, and for none."""
    assert run(INTERRUPTED, mode, str(buffering), "99", "own", cwd=tmp_path) == (0, "[]\n", "")


@pytest.mark.system
@pytest.mark.parametrize("mode", ["w", "wb"])
def test_caught_alarm_that_is_an_oserror(tmp_path, mode):
    """A handler's TimeoutError is an OSError, and no write that has failed."""
    assert run(INTERRUPTED, mode, "-1", "99", "os", cwd=tmp_path) == (0, "[]\n", "")


@pytest.mark.parametrize("mode", MODES)
def test_no_line_of_python_below_the_buffers(tmp_path, mode):
    """Nothing of Python's runs between the buffers and the kernel: there signal handlers would run, as they do not in open()."""
    (tmp_path / "a").write_text("old")
    called = []

    def note(frame, event, _):
        if event == "call" and "atomik" in frame.f_code.co_filename:
            called.append(frame.f_code.co_name)

    with atomik.file(tmp_path / "a", mode, overwrite=True) as f:
        data = "x" * 100_000 if "b" not in mode else b"x" * 100_000
        flush = f.flush
        sys.setprofile(note)
        f.write(data)
        flush()
        sys.setprofile(None)

    assert called == []


@pytest.fixture
def limit():
    """Let files grow to 1 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("buffering", [0, -1, 4096])
def test_short_write(tmp_path, limit, buffering):
    """A write that the kernel cuts short (a limit, a full disk) is an error, without a buffer, too; nothing is published."""
    with pytest.raises(OSError) as caught, atomik.file(tmp_path / "a", "wb", buffering=buffering) as f:
        f.write(bytes(3 << 20))

    assert caught.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("buffering", [0, -1])
def test_short_write_that_is_swallowed(tmp_path, limit, buffering):
    """Who swallows it publishes nothing either."""
    with (
        pytest.raises(OSError, match="its error was caught"),
        atomik.file(tmp_path / "a", "wb", buffering=buffering) as f,
    ):
        with contextlib.suppress(OSError):
            f.write(bytes(3 << 20))
        f.seek(0)
        f.truncate()
        f.write(b"short")

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", ["w", "wb", "a", "r+b"])
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_descriptor_closed_and_its_number_reused(tmp_path, monkeypatch, mode, named):
    """Who closes the file's descriptor, and whose next file gets its number, is told; somebody else's file is never published."""
    if named:
        monkeypatch.setattr("atomik_core._publish.staging._UNNAMED", os.O_RDWR | os.O_DIRECTORY)
    (tmp_path / "other").write_text("somebody else's")
    (tmp_path / "a").write_text("old")
    opened = []

    with pytest.raises(OSError, match="was closed during the block") as caught:
        with atomik.file(tmp_path / "a", mode, overwrite=True) as f:
            with open(f.fileno(), "wb"):
                pass
            opened.append(open(tmp_path / "other", "r+"))  # noqa: SIM115 - it has to stay open
            assert opened[0].fileno() == f.fileno()

    assert caught.value.errno == errno.EBADF
    opened[0].close()
    assert (tmp_path / "other").read_text() == "somebody else's"
    assert (tmp_path / "other").stat().st_nlink == 1
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a", "other"]


@pytest.mark.parametrize("shape", ["file", "group"])
def test_descriptor_closed_before_an_exception(tmp_path, shape):
    """Discarding leaves the number alone, too, if somebody else's file has it."""
    (tmp_path / "other").write_text("somebody else's")
    opened = []

    with pytest.raises(ZeroDivisionError) as caught, atomik.group() as group:
        with (group if shape == "group" else atomik).file(tmp_path / "a", "wb") as f:
            with open(f.fileno(), "wb"):
                pass
            opened.append(open(tmp_path / "other", "r+"))  # noqa: SIM115 - it has to stay open
            raise ZeroDivisionError

    assert opened[0].read() == "somebody else's"
    opened[0].close()
    assert not hasattr(caught.value, "__notes__")
    assert os.listdir(tmp_path) == ["other"]


def test_descriptor_closed(tmp_path):
    """Who closes the file's descriptor gets an error that says so, and how to close it."""
    with pytest.raises(OSError, match="close the file object, not its descriptor") as caught:
        with atomik.file(tmp_path / "a", "wb") as f, open(f.fileno(), "wb"):
            pass

    assert caught.value.errno == errno.EBADF
    assert os.listdir(tmp_path) == []


CHILD = "import os, sys; os.write(1, b'precious\\n')"


@pytest.mark.system
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads
@pytest.mark.parametrize("how", ["plain", "preexec_fn", "fork, dup2 and exec", "fork and write"])
@pytest.mark.parametrize("mode", ["w", "wb", "a"])
def test_child_that_writes_to_it(tmp_path, mode, how):
    """What a child process writes to the file's descriptor is published, however the child was started."""
    with atomik.file(tmp_path / "a", mode) as f:
        f.write("before\n" if "b" not in mode else b"before\n")
        f.flush()
        if how == "plain":
            subprocess.run([sys.executable, "-c", CHILD], stdout=f, check=True)
        elif how == "preexec_fn":
            subprocess.run([sys.executable, "-c", CHILD], stdout=f, check=True, preexec_fn=os.setsid)
        else:
            child = os.fork()
            if child == 0:
                try:
                    if how == "fork and write":
                        os.write(f.fileno(), b"precious\n")
                    else:
                        os.dup2(f.fileno(), 1)
                        os.execv(sys.executable, [sys.executable, "-c", CHILD])
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
        f.write("after\n" if "b" not in mode else b"after\n")

    assert (tmp_path / "a").read_text() == "before\nprecious\nafter\n"


def test_layers_are_those_of_open(tmp_path):
    """The layers that a user sees are of the types that open() gives."""
    for mode in (*MODES, "x", "xb"):
        with atomik.file(tmp_path / "a", mode.replace("x", "w"), overwrite=True) as ours:
            with open(tmp_path / "b", mode.replace("x", "w") if mode[0] != "r" else "w+" + mode[2:]) as theirs:
                assert type(ours) is type(theirs)
                assert type(getattr(ours, "buffer", ours)) is type(getattr(theirs, "buffer", theirs))
            if mode[0] == "r":
                assert isinstance(getattr(ours, "buffer", ours), io.BufferedRandom)
            ours.write("x" if "b" not in mode else b"x")
