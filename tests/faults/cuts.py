"""What must hold after a power cut: in the middle of everything, and right after each system call."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Literal

import atomik
from faults.kills import ONLY_LOOK, check_recovery
from faults.scenarios import Scenario
from support.namespace import command
from support.outcome import Call
from support.powercut import PowerCut
from support.processes import Program
from support.traced import Traced

Filesystem = Literal["ext4", "xfs"]

#: Calls after which the disk is as it was before.
HARMLESS = {*ONLY_LOOK, "close", "flock", "ioctl"}

#: Publishes without end, telling of each publication when it is done. SYNC and START are filled in.
_WORKLOAD = """
import itertools, os, sys
import atomik

def text(number): return f"{number}\\n" * (1 + number * 37 % 3000)

def fill(folder, number, count):
    (folder / "sub").mkdir(parents=True)
    for name in ["sub/inner", *map(str, range(count))]:
        (folder / name).write_text(text(number))

for number in itertools.count(START):
    with atomik.file("file", overwrite=True, sync=SYNC) as file: file.write(text(number))
    print("file", number, flush=True)
    with atomik.file(f"new-{number}", sync=SYNC) as file: file.write(text(number))
    print(f"new-{number}", number, flush=True)
    with atomik.path("folder", overwrite=True, sync=SYNC) as folder: fill(folder, number, 2)
    print("folder", number, flush=True)
    with atomik.path("big", overwrite=True, sync=SYNC) as folder: fill(folder, number, 12)
    print("big", number, flush=True)
"""


def _text(number: int) -> str:
    return f"{number}\n" * (1 + number * 37 % 3000)


def _version(path: Path) -> int:
    """The number of the version at PATH, which has to be whole."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    if path.is_dir():
        assert len(files) == (3 if path.name == "folder" else 13), f"{path} lost files: {files}"
    texts = {each.read_text() for each in files}
    assert len(texts) == 1, f"{path} is torn: {sorted(text[:20] for text in texts)}"
    text = texts.pop()
    number = int(text.partition("\n")[0] or -1)
    assert text == _text(number), f"{path} is torn: {text[:20]!r}, {len(text)} characters"
    return number


def check_random_cuts(filesystem: Filesystem, sync: str, cuts: int, variant: str = "") -> None:
    """Cut the power under a busy process, at random moments and right after an acknowledgement in turns.

    VARIANT is Python source that the process runs first.
    """
    chance = random.Random(f"{filesystem} {sync}")
    number = 1
    seen: dict[str, int] = {}
    with PowerCut(filesystem) as disk:
        for turn in range(cuts):
            head = f"SYNC = {sync!r}\nSTART = {number}\n{variant}\n"
            with Program(head + _WORKLOAD, cwd=disk.path) as program:
                said = [program.line() for _ in range(4 + chance.randrange(20))]
                if turn % 2:
                    time.sleep(chance.uniform(0, 0.01))
                disk.cut()
                said += program.finish().out.splitlines()
            disk.remount()
            acknowledged = {name: int(version) for name, version in (line.split() for line in said)}
            number = max(acknowledged.values()) + 2
            atomik.clean(disk.path)
            found = _versions(disk.path)
            for name, least in {**seen, **(acknowledged if sync == "full" else {})}.items():
                assert found.get(name, 0) >= least, f"{name} was durable as {least}, and is {found.get(name)}"
            seen = found


def _versions(disk: Path) -> dict[str, int]:
    """Every version on the disk, each of which has to be whole, and nothing else."""
    names = [name for name in os.listdir(disk) if name != "lost+found"]
    assert all(name in {"file", "folder", "big"} or name.startswith("new-") for name in names), names
    return {name: _version(disk / name) for name in names}


def check_cuts_at_each_call(traced: Traced, filesystem: Filesystem, scenario: Scenario) -> None:
    """Cut the power right after each call of the workload that changes anything, and after its end.

    Before a cut in its midst somebody else's fsync carries all names to the disk, and none of the content: nothing
    worse can happen. A cut at its end comes at once: only the publication itself has synced anything.
    """
    with PowerCut(filesystem) as disk:
        calls = traced.calls(scenario.source, laid(scenario, disk))
        for call in calls:
            if call.name in HARMLESS or (call.name == "openat" and "O_CREAT" not in call.arguments):
                continue
            folder = cut_at(traced, disk, scenario, call)
            version = scenario.read(folder / "target")
            assert version in {scenario.before, "new"}, f"{version!r} after a cut at {call}"
            check_recovery(scenario, folder, call)
        folder = cut_after(traced, disk, scenario, carried=False)
        allowed = {"new"} if scenario.sync == "full" else {scenario.before, "new"}
        assert scenario.read(folder / "target") in allowed, "acknowledged, and lost"
        check_recovery(scenario, folder, "the end")


def cut_at(traced: Traced, disk: PowerCut, scenario: Scenario, call: Call) -> Path:
    """Cut the power right after CALL, when all names have just been carried to the disk; the place, after a reboot."""
    folder = laid(scenario, disk)
    with traced.paused_at(call, scenario.source, folder) as paused:
        carry_names_to_the_disk(disk.path)
        disk.cut()
        os.kill(paused.pid, signal.SIGKILL)
    disk.remount()
    return folder


def cut_after(traced: Traced, disk: PowerCut, scenario: Scenario, *, carried: bool) -> Path:
    """Cut the power when the workload has ended: at once, or when all names were CARRIED to the disk; the place then."""
    folder = laid(scenario, disk)
    traced.calls(scenario.source, folder)
    if carried:
        carry_names_to_the_disk(disk.path)
    disk.cut()
    disk.remount()
    return folder


def laid(scenario: Scenario, disk: PowerCut) -> Path:
    """A fresh place for the scenario, all of it safe on the disk."""
    folder = Path(tempfile.mkdtemp(dir=disk.path))
    scenario.lay(folder, folder)
    command("sync", "--file-system", disk.path)
    return folder


def carry_names_to_the_disk(disk: Path) -> None:
    """Have the journal written, as anybody's fsync does: every name so far, and no content but that which was synced."""
    descriptor = os.open(disk / "unrelated", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, b"unrelated")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
