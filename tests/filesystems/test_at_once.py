"""Writers, readers and cleaners at once on every filesystem: no error, nothing torn, nothing published is removed."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack

import pytest

import atomik
from core.shapes import FILE, FOLDER
from support.filesystems import KINDS
from support.processes import Program

SECONDS = 1.2

#: Runs `turn(number)` until it is told to stop, then says how often, and what `seen` holds.
_LOOP = """
import json, select, sys

poll = select.poll()
poll.register(sys.stdin, select.POLLIN)
seen = {}
print("ready", flush=True)
number = 0
while number < 10 or not poll.poll(0):
    number += 1
    turn(number)
print(json.dumps([number, seen]))
"""

#: Replaces a folder, or a file where folders cannot be; publishes new ones beside them, and removes these again.
WRITER = """
import os, sys
from pathlib import Path
import atomik
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER

os.chdir(sys.argv[1])
replaced = (FOLDER, PATH_TO_FOLDER, FILE, PATH_TO_FILE) if sys.argv[2] == "folders" else (FILE, PATH_TO_FILE)
made = (FOLDER, PATH_TO_FOLDER, FILE, PATH_TO_FILE) if sys.argv[3] == "files" else (FOLDER, PATH_TO_FOLDER)

def turn(number):
    text = f"{os.getpid()} {number}"
    shape = replaced[number % len(replaced)]
    shape.publish("folder" if shape.is_folder else "file", text, overwrite=True, sync="off")
    shape = made[number % len(made)]
    shape.publish(text, text, sync="off")
    assert shape.read(Path(text)) == text
    atomik.remove(text, sync="off")
"""

#: Reads the folder as the rule for locks says; while it holds the lock nobody may take the tree apart.
READER = """
import fcntl, os, sys, time

folder = sys.argv[1] + "/folder"

def turn(number):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
                raise BlockingIOError
        except BlockingIOError:
            seen["again"] = seen.get("again", 0) + 1
            return
        one = read("one", descriptor)
        time.sleep(0.002)
        assert sorted(os.listdir(f"/proc/self/fd/{descriptor}")) == ["one", "sub"]
        assert read("sub/two", descriptor) == one
        seen["read"] = seen.get("read", 0) + 1
    finally:
        os.close(descriptor)

def read(name, folder):
    with open(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
        return file.read()
"""

#: Reads the file, which has to be whole: a process number and a turn.
FILE_READER = """
import sys

def turn(number):
    try:
        with open(sys.argv[1] + "/file") as file:
            text = file.read()
    except FileNotFoundError:
        assert sys.argv[2] == "hidden"
        return
    process, turn = map(int, text.split())
    seen["read"] = seen.get("read", 0) + 1
"""

CLEANER = """
import sys
import atomik

def turn(number):
    for found in atomik.leftovers(sys.argv[1]):
        assert found.live in (True, False, None)
    removed = atomik.clean(sys.argv[1], force=True)
    seen["removed"] = seen.get("removed", 0) + len(removed)
"""


@pytest.mark.parametrize("kind", list(KINDS))
def test_at_once(mounts, kind):
    """For a while everybody is at work in one directory; then all that was published is there, and nothing else."""
    directory = mounts(kind)
    flags, posix = KINDS[kind].flags, KINDS[kind].posix
    FOLDER.publish(directory / "folder", "0 0")
    FILE.publish(directory / "file", "0 0", overwrite=True)
    writer = (WRITER, "folders" if flags else "no folders", "files" if flags or posix else "no files")
    actors = {
        "writer 1": writer,
        "writer 2": writer,
        "reader 1": (READER,),
        "reader 2": (READER,),
        "file reader": (FILE_READER, "never hidden" if flags else "hidden"),
        "cleaner": (CLEANER,),
    }
    with ExitStack() as stack:
        programs = {
            name: stack.enter_context(Program(source + _LOOP, directory, *arguments))
            for name, (source, *arguments) in actors.items()
        }
        for program in programs.values():
            assert program.line() == "ready"
        time.sleep(SECONDS)
        done = {name: program.finish() for name, program in programs.items()}

    assert {name: finished.err for name, finished in done.items() if finished.code != 0} == {}
    counts = {name: json.loads(finished.out) for name, finished in done.items()}
    assert all(turns > 0 for turns, _ in counts.values()), counts
    assert all(seen.get("read") for name, (_, seen) in counts.items() if "reader" in name), counts
    FOLDER.read(directory / "folder")
    for found in atomik.clean(directory, force=True):
        # A reader that had it open when it was replaced left it to the cleaners.
        assert found.live is not True
    assert sorted(os.listdir(directory)) == ["file", "folder"], counts
