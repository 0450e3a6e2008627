"""The process from which traced workloads are forked: warm, so that a run costs milliseconds and imports nothing.

It is a program on its own, run with `support.processes.Program`. Each line of its standard input is one workload, as
JSON: [source, working directory]. It answers with the pid of a forked child that waits; told "go" (when a tracer is
attached), it lets the child run, and answers again when that has ended, with a `Report` as JSON. What passes between
the two goes through a socket: faults are injected into calls on files, and do not hit it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from types import CodeType
from typing import Any, NoReturn, TypedDict

from support.watch import descriptors

#: A harmless call on each of these paths marks, for the tracer, where a workload begins and ends.
BEGIN = "/atomik-begin"
END = "/atomik-end"

_PR_SET_PTRACER = 0x59616D61


class Described(TypedDict):
    """An exception, as far as it can be told to another process."""

    types: list[str]
    errno: int | None
    text: str
    notes: list[str]
    cause: Described | None


class Report(TypedDict):
    """How a workload went."""

    #: As `os.waitpid` gives it.
    status: int
    #: What it said with `say(word)`, which is told at once, even if it is killed right after.
    said: list[str]
    #: The exception that ended it.
    raised: Described | None
    #: The descriptors that it had opened and were open still when it ended.
    left: list[tuple[int, str]]


def serve(prepare: str) -> None:
    """Run PREPARE once (imports, a first publication); then fork a child for each workload until there are no more."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the test run is a background job
    _allow_tracing()
    exec(prepare, {"__name__": "__prepare__"})
    print("ready", file=answers, flush=True)
    for request in requests:
        source, cwd = json.loads(request)
        code = compile(source, "<workload>", "exec")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if child == 0:
            try:
                for inherited in (ours, requests, answers):
                    inherited.close()
                _run(code, cwd, theirs)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(70)
        theirs.close()
        ours.recv(1)
        print(child, file=answers, flush=True)
        requests.readline()
        with ours:
            print(json.dumps(_follow(child, ours)), file=answers, flush=True)


def _run(code: CodeType, cwd: str, parent: socket.socket) -> NoReturn:
    """Run a workload in a forked child: wait to be let go, report what it raised, wait to be looked at, end."""
    os.chdir(cwd)
    _allow_tracing()
    workload: dict[str, Any] = {
        "__name__": "__main__",
        "say": lambda word: parent.send(json.dumps({"say": str(word)}).encode()),
    }
    parent.send(b".")
    if not parent.recv(1):
        os._exit(71)
    raised = None
    os.access(BEGIN, os.F_OK)
    try:
        exec(code, workload)
    except BaseException as error:
        raised = error
    os.access(END, os.F_OK)
    parent.send(json.dumps({"raised": None if raised is None else _describe(raised)}).encode())
    parent.recv(1)
    os._exit(0)


def _follow(child: int, theirs: socket.socket) -> Report:
    """Let a child go, listen to it until it ends, and look at its descriptors from outside when it says it is done."""
    before = descriptors(child)
    report = Report(status=0, said=[], raised=None, left=[])
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(theirs, select.POLLIN)
    poll.register(ended, select.POLLIN)
    theirs.send(b".")
    while theirs.fileno() in dict(poll.poll()):
        packet = theirs.recv(1 << 20)
        if not packet:
            break
        message = json.loads(packet)
        if "say" in message:
            report["said"].append(message["say"])
            continue
        report["raised"] = message["raised"]
        report["left"] = sorted(descriptors(child).items() - before.items())
        theirs.send(b".")
    report["status"] = os.waitpid(child, 0)[1]
    os.close(ended)
    return report


def _allow_tracing() -> None:
    """Let a process that is no ancestor trace this one, which Yama may forbid; without Yama nothing happens."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))


def _describe(error: BaseException) -> Described:
    cause = error.__cause__ or error.__context__
    return {
        "types": [kind.__name__ for kind in type(error).__mro__],
        "errno": getattr(error, "errno", None),
        "text": str(error),
        "notes": list(getattr(error, "__notes__", [])),
        "cause": None if cause is None else _describe(cause),
    }


if __name__ == "__main__":
    serve(sys.argv[1])
