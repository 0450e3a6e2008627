"""`atomik probe --prove`: the promises, tried where the user's files are, by several processes and by two hosts."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from atomik._command import _tasks
from atomik._command._prove import prove
from command.cli import atomik, complaint, start
from support.waiting import wait_until

SLOWEST = 240


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "overlay"])
def test_what_holds(mounts, kind):
    """Where every promise is kept, or refused beforehand, the status is 0, and nothing is left in the directory."""
    there = mounts(kind)
    done = atomik("probe", "--prove", "--json", there, timeout=SLOWEST)

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["kept"]
    assert report["directory"] == str(there)
    assert report["peer"] is None
    assert {each["verdict"] for each in report["proofs"]} == {"kept"}
    assert not os.listdir(there)


@pytest.mark.slow
def test_what_cannot_be_done(mounts):
    """FUSE without flags: no folder is replaced, nobody knows of locks, and a file is hidden while it is replaced."""
    there = mounts("bindfs")
    done = atomik("probe", "--prove", "--json", there, timeout=SLOWEST)

    report = json.loads(done.stdout)
    verdicts = {each["proof"]: each["verdict"] for each in report["proofs"]}
    assert verdicts["one rival wins: file"] == "kept"
    assert verdicts["a folder cannot be replaced"] == "refused"
    assert verdicts["publishers that are killed"] == verdicts["locks between processes"] == "unknown"
    hidden = verdicts.pop("readers, while a file is replaced") == "broken"  # if a reader came in that moment
    assert done.returncode == (1 if hidden else 0)
    assert "broken" not in verdicts.values()
    assert not os.listdir(there)


@pytest.mark.slow
def test_the_report_for_people(here):
    """Each proof has a line with its verdict, and the last line says what is to be made of it; no colours in a pipe."""
    done = atomik("probe", "--prove", ".", timeout=SLOWEST)
    lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stdout
    assert lines[0].startswith(". is on ")
    assert sum(" kept " in line for line in lines) >= 10
    assert lines[-1] == "every promise was kept"
    assert "\x1b" not in done.stdout
    assert not os.listdir(here)


@pytest.mark.slow
def test_a_promise_that_is_broken(here, monkeypatch):
    """A careless way to publish is found out: rivals both win, readers see half a version, and the report says so."""

    def careless(shape, path, text, *, overwrite=False):
        if shape == "folder":
            path.mkdir(exist_ok=True)
            _tasks.fill(shape, path, text)
            return
        with open(path, "w") as file:
            _tasks.fill("file", file, text)

    monkeypatch.setattr(_tasks, "publish", careless)
    report = prove(str(here), peer=False, say=lambda line: None)

    verdicts = {each["proof"]: each["verdict"] for each in report["proofs"]}
    assert not report["kept"]
    assert verdicts["one rival wins: file"] == verdicts["one rival wins: folder"] == "broken"
    assert verdicts["readers, while a file is replaced"] == "broken"
    assert not os.listdir(here)


@pytest.mark.slow
def test_two_hosts(here):
    """The same command on two hosts: whichever comes first leads, both print the same report, and nothing is left."""
    first = start("probe", "--prove", "--peer", "--json", ".")
    second = start("probe", "--prove", "--peer", "--json", ".")
    outputs = [process.communicate(timeout=SLOWEST) for process in (first, second)]

    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    reports = [json.loads(out) for out, _ in outputs]
    assert reports[0] == reports[1]
    assert reports[0]["peer"]
    assert reports[0]["kept"]
    assert not os.listdir(here)


def test_interrupted(here):
    """A signal ends it within a moment, with its processes, and leaves nothing."""
    process = start("probe", "--prove", ".")
    _wait_for_folder(here)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 143
    assert b"SIGTERM" in err
    assert not os.listdir(here)


def test_the_first_host_ends(here):
    """The second host says that the first has ended, and does not wait for ever."""
    first = start("probe", "--prove", "--peer", ".")
    _wait_for_folder(here)
    second = start("probe", "--prove", "--peer", ".")
    time.sleep(2)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    _, err = second.communicate(timeout=30)

    assert first.returncode == 143
    assert second.returncode == 1
    assert b"the other host has ended" in err
    assert not os.listdir(here)


def test_a_meeting_place_that_was_left(here):
    """After a kill the folder in which hosts meet is left; who finds it is told to remove it."""
    first = start("probe", "--prove", "--peer", ".")
    _wait_for_folder(here)
    second = start("probe", "--prove", "--peer", ".")
    time.sleep(2)
    for process in (second, first):
        process.kill()
        process.communicate()
    done = atomik("probe", "--prove", "--peer", ".")

    assert done.returncode == 1
    assert "remove atomik-prove-peer" in complaint(done)


def test_peer_alone(here):
    """--peer means nothing without --prove."""
    done = atomik("probe", "--peer", ".")

    assert done.returncode == 2
    assert "--prove" in complaint(done)


def _wait_for_folder(directory: Path) -> None:
    wait_until(lambda: os.listdir(directory), "the first entry", timeout=20)
