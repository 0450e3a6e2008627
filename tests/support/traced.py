"""Workloads under strace: every system call that one makes, and what becomes of it if that call kills it or fails.

A workload is Python source that runs in a child of a warm process (see `support.zygote`), to which strace is attached
before it is let go: so only the workload's own calls are seen and counted, and one run costs a few milliseconds.

    with Traced("import atomik") as traced:
        for call in traced.calls(source, fresh()):
            outcome = traced.killed_at(call, source, fresh())

Each run needs a fresh folder as its working directory, prepared alike: the n-th call of a name is only the same call
again if the workload does the same each time. What is in it has the time of an earlier tick of the kernel's clock than
the workload sees, always: more calls are made at a destination that was changed in the very tick in which it is looked at.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support import zygote
from support.clock import wait_for_tick
from support.needs import need_tool
from support.outcome import Call, Outcome, outcome_of
from support.processes import Program

_TRACE = "trace=%file,%desc"
_PATIENCE = 60.0


@dataclass
class Paused:
    """A workload that has stopped right after a call. When the block ends it goes on (unless it was killed in it), and has an `outcome`."""

    pid: int
    _outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """How it went in the end."""
        assert self._outcome is not None, "it is still paused"
        return self._outcome


class Traced:
    """A warm process for workloads. PREPARE is Python source that runs once in it, in a scratch directory.

    Let it import what the workloads do, and publish something once: what is loaded at the first publication is then
    no part of any trace. A workload has a function `say(word)`. It runs in a forked child that ends without clean-up
    of the interpreter. Calls are counted by thread, so a fault may hit several threads.
    """

    def __init__(self, prepare: str = "import atomik") -> None:
        need_tool("strace")
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atomik-traced-")))
            self._trace = scratch / "trace"
            (scratch / "prepare").mkdir()
            program = Program(Path(zygote.__file__), prepare, cwd=scratch / "prepare")
            self._zygote = stack.enter_context(program)
            self._zygote.line()
            self._stack = stack.pop_all()

    def run(self, source: str, cwd: Path) -> Outcome:
        """Run a workload as it is."""
        child, strace = self._start(source, cwd)
        return self._finish(child, strace)

    def calls(self, source: str, cwd: Path) -> tuple[Call, ...]:
        """Run a workload as it is, which must end well, and list the calls on files and descriptors that it made."""
        outcome = self.run(source, cwd)
        assert outcome.killed is None, outcome
        assert outcome.raised is None, outcome
        return outcome.calls

    def killed_at(self, call: Call, source: str, cwd: Path) -> Outcome:
        """Run a workload, killed with -9 as it enters CALL, which then does not take place."""
        return self.signalled_at(call, signal.SIGKILL, source, cwd)

    def signalled_at(self, call: Call, number: signal.Signals, source: str, cwd: Path) -> Outcome:
        """Run a workload that is sent a signal in CALL. Other than SIGKILL, it arrives right after the call was made."""
        child, strace = self._start(source, cwd, f"inject={call.name}:signal={number.name}:when={call.ordinal}")
        outcome = self._finish(child, strace)
        reached = outcome.killed == number or f"--- {number.name} " in outcome.trace
        assert reached, f"no {number.name} at {call}: it was not made again\n{outcome.trace}"
        return outcome

    def failing_at(self, call: Call, error: int, source: str, cwd: Path, *, onwards: bool = False) -> Outcome:
        """Run a workload in which CALL fails with this errno and does nothing; ONWARDS: and all later ones of its name.

        A `close` that fails so leaves its descriptor open, unlike a real one, even one that fails.
        """
        name, when = errno.errorcode[error], f"{call.ordinal}{'+' if onwards else ''}"
        child, strace = self._start(source, cwd, f"inject={call.name}:error={name}:when={when}")
        outcome = self._finish(child, strace)
        assert "(INJECTED)" in outcome.trace, f"no {name} at {call}: it was not made again\n{outcome.trace}"
        return outcome

    @contextmanager
    def paused_at(self, call: Call, source: str, cwd: Path) -> Iterator[Paused]:
        """Run a workload up to and with CALL; what the block does happens right after that call, then it goes on."""
        child, strace = self._start(source, cwd, f"inject={call.name}:signal=SIGSTOP:when={call.ordinal}")
        paused = Paused(child)
        deadline = time.monotonic() + _PATIENCE
        while "--- stopped by SIGSTOP ---" not in self._trace.read_text(errors="replace"):
            assert strace.poll() is None, f"no stop at {call}: it was not made again\n{self._finish(child, strace)}"
            assert time.monotonic() < deadline, f"{call} was not reached"
            time.sleep(0.0005)
        try:
            yield paused
        finally:
            with suppress(ProcessLookupError):  # killed in the block
                os.kill(child, signal.SIGCONT)
            paused._outcome = self._finish(child, strace)

    def _start(self, source: str, cwd: Path, *inject: str) -> tuple[int, subprocess.Popen[bytes]]:
        """Fork a child, attach strace to it, and let it go."""
        prepared = time.time_ns()
        self._zygote.say(json.dumps([source, os.fspath(cwd)]))
        child = int(self._zygote.line())
        options: list[str | Path] = ["-f", "-y", "-s", "256", "-o", self._trace, "-e", _TRACE]
        for each in inject:
            options += ["-e", each]
        strace = subprocess.Popen(
            ["strace", *options, "-p", str(child)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert strace.stderr is not None
        answer = strace.stderr.readline()
        if b"attached" not in answer:
            os.kill(child, signal.SIGKILL)
            strace.communicate()
            msg = f"strace could not attach: {answer.decode()}"
            raise RuntimeError(msg)
        wait_for_tick(prepared)
        self._zygote.say("go")
        return child, strace

    def _finish(self, child: int, strace: subprocess.Popen[bytes]) -> Outcome:
        """Wait for the end of a run, for a minute at most, and put together what is known of it."""
        try:
            answer = self._zygote.line(_PATIENCE)
        except AssertionError:
            os.kill(child, signal.SIGKILL)
            msg = f"the workload did not end:\n{self._trace.read_text(errors='replace')}"
            self._zygote.line()
            raise AssertionError(msg) from None
        finally:
            strace.communicate()
        report: zygote.Report = json.loads(answer)
        trace = self._trace.read_text(errors="replace")
        code = os.waitstatus_to_exitcode(report["status"])
        assert code <= 0, f"the workload's process ended with {code}: {self._zygote.complaints()}\n{trace}"
        return outcome_of(report, trace)

    def __enter__(self) -> Self:
        """Use it in a `with` block, which ends its process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the warm process."""
        self._stack.close()
