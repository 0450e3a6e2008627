"""Workloads under strace: their calls are counted right, and hit at each."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from support.outcome import Call
from support.traced import Traced

pytestmark = pytest.mark.system

WORKLOAD = """
import os
descriptor = os.open("new", os.O_CREAT | os.O_WRONLY)
os.write(descriptor, b"a")
os.write(descriptor, b"b")
os.fsync(descriptor)
os.close(descriptor)
say("written")
os.rename("new", "file")
"""


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    """A warm process that has already imported all that the workloads need."""
    with Traced("import os, threading, subprocess") as warm:
        yield warm


class Fresh:
    """Makes a fresh folder for each run."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._numbers = count()

    def __call__(self) -> Path:
        """Make the next one."""
        folder = self._top / str(next(self._numbers))
        folder.mkdir()
        return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    """A maker of fresh folders."""
    return Fresh(tmp_path)


def find(calls: tuple[Call, ...], name: str, ordinal: int = 1) -> Call:
    """The call of this name and ordinal."""
    return next(call for call in calls if (call.name, call.ordinal) == (name, ordinal))


def test_calls(traced: Traced, fresh: Fresh) -> None:
    """The calls of a workload are listed in order, numbered by name, with nothing from before or after it."""
    calls = traced.calls(WORKLOAD, fresh())

    assert [(call.name, call.ordinal) for call in calls] == [
        ("openat", 1),
        ("write", 1),
        ("write", 2),
        ("fsync", 1),
        ("close", 1),
        ("rename", 1),
    ]
    assert '"new", "file"' in calls[-1].arguments


def test_killed_at_each(traced: Traced, fresh: Fresh) -> None:
    """Killed at a call, a workload has made all the calls before it and not this one."""
    found = []
    for call in traced.calls(WORKLOAD, fresh()):
        folder = fresh()
        outcome = traced.killed_at(call, WORKLOAD, folder)
        assert outcome.killed == signal.SIGKILL
        assert outcome.calls[-1] == call
        found.append({path.name: path.read_text() for path in folder.iterdir()})

    assert found == [{}, {"new": ""}, {"new": "a"}, {"new": "ab"}, {"new": "ab"}, {"new": "ab"}]


def test_said_before_the_kill(traced: Traced, fresh: Fresh) -> None:
    """What a workload has said is known even if it is killed right after."""
    calls = traced.calls(WORKLOAD, fresh())

    assert traced.killed_at(find(calls, "close"), WORKLOAD, fresh()).said == ()
    assert traced.killed_at(find(calls, "rename"), WORKLOAD, fresh()).said == ("written",)


def test_failing_at_each(traced: Traced, fresh: Fresh) -> None:
    """A call that is made to fail raises its errno in the workload, and what that leaves open is told."""
    for call in traced.calls(WORKLOAD, fresh()):
        outcome = traced.failing_at(call, errno.EIO, WORKLOAD, fresh())

        assert outcome.killed is None
        assert outcome.raised is not None
        assert outcome.raised.types[0] == "OSError"
        assert outcome.raised.errno == errno.EIO
        assert len(outcome.leaked) == (call.name in ("write", "fsync"))


def test_failing_onwards(traced: Traced, fresh: Fresh) -> None:
    """A failure can last, as a full disk does, and still the workload reports."""
    workload = """
import os
failures = 0
for name in "abcd":
    try:
        os.close(os.open(name, os.O_CREAT))
    except OSError:
        failures += 1
say(failures)
"""
    calls = traced.calls(workload, fresh())
    second = find(calls, "openat", 2)

    assert traced.failing_at(second, errno.EMFILE, workload, fresh()).said == ("1",)
    assert traced.failing_at(second, errno.EMFILE, workload, fresh(), onwards=True).said == ("3",)


def test_interrupted_at(traced: Traced, fresh: Fresh) -> None:
    """An interrupt arrives right after the call, which has been made."""
    folder = fresh()
    call = find(traced.calls(WORKLOAD, fresh()), "write", 1)

    outcome = traced.signalled_at(call, signal.SIGINT, WORKLOAD, folder)

    assert outcome.raised is not None
    assert outcome.raised.types[0] == "KeyboardInterrupt"
    assert (folder / "new").read_text() == "a"


def test_paused_at(traced: Traced, fresh: Fresh) -> None:
    """A workload can be paused right after a call, while a rival changes what it works on."""
    folder = fresh()
    call = find(traced.calls(WORKLOAD, fresh()), "close")

    with traced.paused_at(call, WORKLOAD, folder) as paused:
        assert (folder / "new").read_text() == "ab"
        (folder / "new").unlink()

    assert paused.outcome.raised is not None
    assert paused.outcome.raised.errno == errno.ENOENT


def test_killed_while_paused(traced: Traced, fresh: Fresh) -> None:
    """A workload that is paused can be killed right after the call."""
    folder = fresh()
    call = find(traced.calls(WORKLOAD, fresh()), "rename")

    with traced.paused_at(call, WORKLOAD, folder) as paused:
        os.kill(paused.pid, signal.SIGKILL)

    assert paused.outcome.killed == signal.SIGKILL
    assert (folder / "file").read_text() == "ab"


def test_not_reached(traced: Traced, fresh: Fresh) -> None:
    """A fault at a call that is not made again fails the test, instead of proving nothing."""
    with pytest.raises(AssertionError, match="was not made again"):
        traced.killed_at(Call("fsync", 2, "", ""), WORKLOAD, fresh())
    with pytest.raises(AssertionError, match="was not made again"):
        traced.failing_at(Call("fsync", 2, "", ""), errno.EIO, WORKLOAD, fresh())


def test_raised_in_full(traced: Traced, fresh: Fresh) -> None:
    """Of an exception its kinds, notes and cause are told."""
    workload = """
try:
    open("missing")
except OSError as error:
    wrong = ValueError("wrong")
    wrong.add_note("remedy")
    raise wrong from error
"""
    raised = traced.run(workload, fresh()).raised

    assert raised is not None
    assert raised.types[:2] == ("ValueError", "Exception")
    assert (raised.text, raised.notes) == ("wrong", ("remedy",))
    assert raised.cause is not None
    assert raised.cause.errno == errno.ENOENT


def test_threads_and_children(traced: Traced, fresh: Fresh) -> None:
    """Calls of threads and children are seen, too, each counted on its own."""
    workload = """
import os, threading
thread = threading.Thread(target=lambda: os.mkdir("thread"))
thread.start()
thread.join()
os.mkdir("main")
child = os.fork()
if child == 0:
    os.mkdir("child")
    os._exit(0)
os.waitpid(child, 0)
"""
    calls = traced.calls(workload, fresh())

    assert [str(call).partition(",")[0] for call in calls if call.name == "mkdir"] == [
        'mkdir#1("thread"',
        'mkdir#1("main"',
        'mkdir#1("child"',
    ]
