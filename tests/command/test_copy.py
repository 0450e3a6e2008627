"""`atomik copy`: at once, with progress for people only."""

from __future__ import annotations

import os
import pty
import re
import signal
import time
from pathlib import Path

import pytest

from command.cli import atomik, complaint, environment, folder, start
from support.watch import tree


@pytest.fixture
def source(here):
    """A tree of a thousand small files and a link."""
    for number in range(1000):
        file = Path(f"source/{number // 100}/{number}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(number))
    Path("source/link").symlink_to("1/100")
    return Path("source")


def test_a_tree(source):
    """Everything is there, and nothing is said where nobody watches."""
    done = atomik("copy", source, "made/here", "--parents")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree(Path("made/here")) == tree(source)


def test_it_is_no_copy_into_a_folder(source):
    """A destination that exists is refused, unlike by cp, and replaced as a whole if that is asked for."""
    Path("dest").mkdir()
    Path("dest/old").write_text("old")
    refused = atomik("copy", source, "dest")

    assert refused.returncode == 1
    assert complaint(refused).startswith("dest: ")
    assert tree(Path("dest")).keys() == {".", "old"}
    assert atomik("copy", "--overwrite", source, "dest").returncode == 0
    assert tree(Path("dest")) == tree(source)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_backup(source, kind):
    """The version that is replaced is kept, in place of an older one; the copy keeps the metadata of its source."""
    first, second, third = (
        source / str(number) if kind == "folder" else source / "0" / str(number) for number in range(3)
    )
    third.chmod(0o700)
    assert atomik("copy", first, "dest").returncode == 0
    for new in (second, third):
        done = atomik("copy", "--overwrite", "--backup", "before", new, "dest")
        assert (done.returncode, done.stderr) == (0, "")

    assert tree(Path("dest")) == tree(third)
    assert tree(Path("before")) == tree(second)
    assert sorted(os.listdir()) == ["before", "dest", "source"]


def test_a_source_that_is_missing(here):
    """The line names the source and the destination."""
    done = atomik("copy", "nowhere", "dest")

    assert done.returncode == 1
    assert complaint(done) == "dest: nowhere: No such file or directory; check the spelling"


def _at_terminal(*arguments: str) -> tuple[int, str]:
    """Run `atomik` at a terminal; its status and what is seen there."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(folder() / "atomik", ["atomik", *arguments], environment(TERM="xterm"))
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the end of a terminal
            break
        seen += chunk
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), seen.decode()


def test_progress_at_a_terminal(source):
    """Files and bytes are counted on one line, which is gone at the end."""
    status, seen = _at_terminal("copy", "source", "dest")

    assert status == 0
    assert re.search(r"\d files, [\d.]+ k?B", seen)
    assert "\n" not in seen
    assert seen.endswith("\r\x1b[K")


def test_progress_of_a_single_file(here):
    """Its bytes are counted, with how many there will be; it is no news that it is one file."""
    with open("big", "wb") as file:
        file.writelines(bytes(range(250)) * 4000 for _ in range(20))
    status, seen = _at_terminal("copy", "big", "dest")

    assert status == 0
    assert re.search(r"[\d.]+ [kM]?B of 20\.0 MB", seen)
    assert "file" not in seen
    assert seen.endswith("\r\x1b[K")


def test_quiet_at_a_terminal(source):
    """With --quiet there is nothing to see."""
    assert _at_terminal("copy", "--quiet", "source", "dest") == (0, "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_discards(source, number, status):
    """As soon as something is staged, a signal ends it: all is there then, or nothing, and nothing else."""
    before = tree(source)
    with start("copy", "source", "dest") as process:
        while process.poll() is None and not any(name.startswith(".atomik-") for name in os.listdir()):
            time.sleep(0.001)
        process.send_signal(number)
        process.communicate(timeout=60)

    assert process.returncode in {0, status}
    assert sorted(os.listdir()) in (["source"], ["dest", "source"])
    if Path("dest").exists():
        assert tree(Path("dest")) == before
