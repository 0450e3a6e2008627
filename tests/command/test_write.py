"""`atomik write`: whatever comes in is there whole, or not at all."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from command.cli import atomik, complaint, environment, folder, start
from support.watch import descriptors, litter

MIB = 1 << 20


def test_it_is_there_at_the_end_of_input_and_not_before(here):
    """While input comes there is no destination; when it has ended, the destination holds all of it."""
    with start("write", "dest", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"one\n" * MIB)
        process.stdin.flush()
        assert not Path("dest").exists()
        process.stdin.write(b"two\n")
        process.stdin.close()
        assert process.wait(60) == 0

    assert Path("dest").read_bytes() == b"one\n" * MIB + b"two\n"


def limit_memory() -> None:
    """Give this process 96 MiB of memory of its own; Python and click are a third of it.

    What it used at most cannot be asked for afterwards: ru_maxrss counts the process that it was forked from.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (96 * MIB, 96 * MIB))


@pytest.mark.parametrize("source", ["pipe", "file", "socket"])
def test_much_of_it_takes_constant_memory(here, source):
    """A hundred megabytes need no more than a few do, whatever kind of input they come from."""
    size = 192 * MIB
    with open("source", "wb") as file:
        file.writelines(os.urandom(1024) * 1024 for _ in range(size // MIB))
    ours, theirs = socket.socketpair()
    with ours, theirs, open("source", "rb") as file:
        feeder = None
        if source == "pipe":
            feeder = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
            stdin = feeder.stdout
        elif source == "socket":
            feeder = subprocess.Popen(["cat"], stdin=file, stdout=ours)
            ours.close()
            stdin = theirs
        else:
            stdin = file
        process = start("write", "--sync=off", "dest", stdin=stdin, stdout=None, stderr=None, preexec_fn=limit_memory)
        process.wait(60)
        if feeder is not None:
            feeder.wait(60)
            if feeder.stdout is not None:
                feeder.stdout.close()

    assert process.returncode == 0
    assert subprocess.run(["cmp", "source", "dest"]).returncode == 0


def test_it_begins_where_the_input_stands(here):
    """A shell that has read the first line of a file leaves the rest."""
    Path("source").write_text("header\n1\n2\n")
    with open("source", "rb", buffering=0) as source:
        os.lseek(source.fileno(), len("header\n"), os.SEEK_SET)
        assert atomik("write", "dest", stdin=source).returncode == 0

    assert Path("dest").read_text() == "1\n2\n"


def test_input_that_somebody_made_non_blocking(here):
    """Nothing to read for a while is not the end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with start("write", "dest", stdin=reading) as process, open(writing, "wb", buffering=0) as writer:
        os.close(reading)
        while not any("(deleted)" in what for what in descriptors(process.pid).values()):  # it has been staged
            assert process.poll() is None
            time.sleep(0.01)
        writer.write(b"late")
        writer.close()
        assert process.wait(60) == 0

    assert Path("dest").read_text() == "late"


def test_the_source_may_be_the_destination(here):
    """What is read stays whole until the new version takes its place."""
    Path("file").write_text("b\na\n" * 50_000)
    done = subprocess.run("sort file | atomik write --overwrite file", shell=True, env=environment())

    assert done.returncode == 0
    assert Path("file").read_text() == "a\n" * 50_000 + "b\n" * 50_000


def test_what_is_there_is_not_overwritten_unasked(here):
    """It stays, and the line says what to pass."""
    Path("dest").write_text("old")
    done = atomik("write", "dest", input="new")

    assert done.returncode == 1
    assert complaint(done).startswith("dest: ")
    assert "--overwrite" in complaint(done)
    assert Path("dest").read_text() == "old"


def test_options(here):
    """They do what they do in Python: mode, parents, staging elsewhere, the old version kept."""
    Path("tmp").mkdir()
    first = atomik(
        *("write", "--parents", "--permissions", "640", "--tmp-dir", "tmp", "--sync", "normal", "a/b/dest"), input="old"
    )
    second = atomik("write", "--overwrite", "--backup", "a/before", "a/b/dest", input="new")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert Path("a/b/dest").read_text() == "new"
    assert stat.S_IMODE(Path("a/b/dest").stat().st_mode) == 0o640
    assert Path("a/before").read_text() == "old"
    assert not list(Path("tmp").iterdir())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_discards(here, number, status):
    """Ctrl-C, SIGTERM and SIGHUP leave the old version and nothing else, and end it with the status a shell expects."""
    Path("dest").write_text("old")
    with start("write", "--overwrite", "dest", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"new" * MIB)
        process.stdin.flush()  # more than a pipe holds: it is being read
        process.send_signal(number)
        complaints = process.stderr.read().decode()
        process.stdin.close()

    assert process.returncode == status
    assert complaints == f"atomik: ended by {number.name}\n"
    assert Path("dest").read_text() == "old"
    assert os.listdir() == ["dest"]


def test_nohup_is_respected(here):
    """SIGHUP that is ignored when it starts is ignored to its end."""
    with start("write", "dest", stdin=subprocess.PIPE, preexec_fn=_ignore_hangup) as process:
        process.stdin.write(b"new" * MIB)
        process.stdin.flush()
        process.send_signal(signal.SIGHUP)
        process.stdin.close()
        assert process.wait(60) == 0

    assert Path("dest").stat().st_size == 3 * MIB


def _ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_standard_input_is_closed(here):
    """No descriptor that the command opens itself is taken for it."""
    done = subprocess.run("atomik write dest <&-", shell=True, env=environment(), capture_output=True, text=True)

    assert done.returncode == 1
    assert complaint(done) == "dest: standard input is closed; nothing was written"
    assert not os.listdir()


def test_standard_input_cannot_be_read(here):
    """The line says that it is the input, and names the destination, which is not made."""
    with open("write-only", "wb") as wrong:
        done = atomik("write", "dest", stdin=wrong)

    assert done.returncode == 1
    assert complaint(done) == "dest: Standard input cannot be read: Bad file descriptor"
    assert os.listdir() == ["write-only"]


def test_standard_input_is_a_directory(here):
    """Python itself ends before the command begins, with a status that is no success; nothing is made."""
    done = subprocess.run("atomik write dest < .", shell=True, env=environment(), capture_output=True, text=True)

    assert done.returncode != 0
    assert "<stdin> is a directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert not os.listdir()


@pytest.mark.parametrize("old", [None, "old"])
def test_an_empty_input_may_be_a_failure(here, old):
    """With --not-empty nothing is published if nothing comes in; without it, that is an empty file."""
    if old is not None:
        Path("dest").write_text(old)
    refused = atomik("write", "--overwrite", "--not-empty", "dest", input="")

    assert refused.returncode == 1
    assert complaint(refused) == "dest: standard input was empty; nothing was written"
    assert {name: Path(name).read_text() for name in os.listdir()} == ({} if old is None else {"dest": old})
    assert atomik("write", "--overwrite", "--not-empty", "dest", input="x").returncode == 0
    assert Path("dest").read_text() == "x"
    assert atomik("write", "--overwrite", "dest", input="").returncode == 0
    assert Path("dest").read_text() == ""


def test_a_full_disk(mounts):
    """The line says so and what to do; the old version stays, and nothing else does."""
    small = mounts.small()
    (small / "dest").write_text("old")
    with start("write", "--overwrite", small / "dest", stdin=subprocess.PIPE) as process:
        writer = threading.Thread(target=_fill, args=(process.stdin,))
        writer.start()
        complaints = process.stderr.read().decode()
        writer.join(60)

    assert process.returncode == 1
    assert complaints.startswith(f"atomik: {small}/dest: No space left on device")
    assert "make room" in complaints
    assert complaints.count("\n") == 1
    assert (small / "dest").read_text() == "old"
    assert not litter(small)


def _fill(pipe) -> None:
    try:
        for _ in range(64):
            pipe.write(bytes(MIB))
        pipe.close()
    except BrokenPipeError:
        pass


def test_a_name_that_no_terminal_should_see(here):
    """Control characters in a name are escaped, so that the line stays one, and bytes that are no UTF-8 are, too."""
    os.mkdir(b"bad\n\x1b[31m\xff")
    done = subprocess.run(
        [os.fsencode(folder() / "atomik"), b"write", b"bad\n\x1b[31m\xff"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
    )

    assert done.returncode == 1
    assert complaint(done).startswith(r"bad\n\x1b[31m\udcff: ")
