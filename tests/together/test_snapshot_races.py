"""Readers against writers and a cleaner, each in a process of its own, as fast as they can."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack

import pytest

from core.shapes import FILE
from support.processes import Program
from support.watch import litter

#: For how many seconds; a minute is what the promise was measured with.
SECONDS = float(os.environ.get("ATOMIK_TEST_RACE_SECONDS", "12"))

_UNTIL = """
import json, os, sys, time
import atomik
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + float(sys.argv[1])
count, problems = 0, []
while time.monotonic() < end:
    count += 1
    once(count)
print(json.dumps([count, problems]))
"""

WRITER = """
def once(count):
    with atomik.folder("a", overwrite=True, sync="off") as folder:
        (folder / "sub").mkdir()
        for number in range(30):
            (folder / ("sub" if number % 2 else ".") / str(number)).write_text(f"{os.getpid()} {count}")
"""

#: Lists and reads everything by name, twice: an exchange in between would show.
READER = """
def once(count):
    try:
        with atomik.snapshot("a") as held:
            for _ in range(2):
                files = [path for path in held.rglob("*") if path.is_file()]
                versions = {path.read_text() for path in files}
                if len(files) != 30 or len(versions) != 1:
                    problems.append([len(files), sorted(versions)])
    except OSError as error:
        problems.append(repr(error))
"""

CLEANER = """
def once(count):
    atomik.clean(".")
    time.sleep(0.001)
"""


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_readers_writers_and_a_cleaner(mounts, kind):
    """Three readers, two writers and a cleaner: no reader sees two versions or half of one, and nothing is left."""
    here = mounts(kind)
    with ExitStack() as stack:
        sources = [WRITER] * 2 + [READER] * 3 + [CLEANER]
        programs = [
            # The cleaner outlasts the others, as it does in life.
            stack.enter_context(Program(source + _UNTIL, str(SECONDS / 2 + (source is CLEANER)), cwd=here))
            for source in sources
        ]
        for program in programs:
            program.line()
        programs[0].say("go")
        while not (here / "a").exists():
            time.sleep(0.01)
        for program in programs[1:]:
            program.say("go")
        found = [json.loads(program.line(SECONDS + 120)) for program in programs]

    assert [problems for _, problems in found] == [[]] * 6
    assert min(count for count, _ in found) > 1
    assert os.listdir(here) == ["a"]
    assert litter(here) == []


@pytest.mark.system
@pytest.mark.slow
def test_readers_of_a_file(tmp_path):
    """The same of a file, which needs no lock: a reader reads one version, whole."""
    source = """
def once(count):
    with atomik.file("a", overwrite=True, sync="off") as file:
        file.write(f"{os.getpid()} {count} " * 3000)
"""
    reader = """
def once(count):
    with atomik.snapshot("a") as held:
        if len({" ".join(pair) for pair in zip(*[iter(held.read_text().split())] * 2)}) != 1:
            problems.append("torn")
        held.read_text()
"""
    FILE.lay(tmp_path / "a", "0 0 ")
    with ExitStack() as stack:
        programs = [
            stack.enter_context(Program(each + _UNTIL, str(SECONDS / 12), cwd=tmp_path))
            for each in (source, source, reader, reader)
        ]
        for program in programs:
            program.line()
            program.say("go")
        found = [json.loads(program.line()) for program in programs]

    assert [problems for _, problems in found] == [[]] * 4
    assert os.listdir(tmp_path) == ["a"]
