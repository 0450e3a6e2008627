"""Python programs in fresh processes of their own, that a test can talk to, run as somebody else, and kill.

They import what the test run imports, skip `site`, and die with the test run.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from support.needs import need_root, need_tool
from support.reach import reachable

#: The user and group "nobody".
NOBODY = 65534

_START = """
import json, sys
sys.path[:], __file__, _source = json.loads(sys.argv.pop(1))
sys.argv[0] = __file__
exec(compile(_source, __file__, "exec"))
"""


class Finished(NamedTuple):
    """How a program ended: its exit code (-9 after kill -9), what it printed, what it complained about."""

    code: int
    out: str
    err: str


class Program:
    """A Python program in a fresh process: SOURCE is its text, or a file. ARGUMENTS become its `sys.argv[1:]`.

    USER runs it as that user and group, who can import all that the test run can, wherever it is installed.
    Start it from the main thread: it dies with the thread that started it.
    """

    def __init__(
        self,
        source: str | Path,
        *arguments: str | Path,
        user: int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        need_tool("setpriv")
        become: list[str] = []
        python, imports = Path(sys.executable), [path for path in sys.path if path]
        environment = {**os.environ, **(env or {})}
        if user is not None:
            need_root()
            become = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            prefix = reachable(Path(sys.base_prefix))
            python = prefix / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
            imports = [str(reachable(Path(path))) for path in imports if os.path.isdir(path)]
            environment["LD_LIBRARY_PATH"] = str(prefix / "lib")  # where libpython is, if it is a library
        name, text = ("<program>", source) if isinstance(source, str) else (str(source), source.read_text())
        self._errors = os.memfd_create("complaints")
        self._said = b""
        self._process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", *become, "--"),
                *(python, "-I", "-S", "-c", _START, json.dumps([imports, name, text]), *arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            cwd=cwd,
            env=environment,
        )
        self.pid = self._process.pid

    def say(self, line: str) -> None:
        """Write LINE to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def line(self, timeout: float = 60) -> str:
        """Wait for the next line that it prints. If none comes, raise AssertionError with what it complained about."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._said:
            if not self._read(deadline):
                msg = f"the program printed no line within {timeout} s, or ended; it complained: {self.complaints()}"
                raise AssertionError(msg)
        line, _, self._said = self._said.partition(b"\n")
        return line.decode(errors="surrogateescape")

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal (kill -9) and wait for its end; its exit code."""
        self._process.send_signal(number)
        return self._process.wait(60)

    def finish(self, timeout: float = 120) -> Finished:
        """Close its standard input, wait for its end, and give what it printed since the last `line()`."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            msg = f"the program did not end within {timeout} s; it complained: {self.complaints()}"
            raise AssertionError(msg) from None
        out, self._said = self._said.decode(errors="surrogateescape"), b""
        return Finished(code, out, self.complaints())

    def complaints(self) -> str:
        """What it has written to its standard error so far."""
        return os.pread(self._errors, 1 << 20, 0).decode(errors="surrogateescape")

    def _read(self, deadline: float) -> bool:
        """Take in more of what it prints; False at the end, and when the deadline has passed."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        chunk = self._process.stdout.read(1 << 16)
        self._said += chunk or b""
        return bool(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it, if it still runs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()
        os.close(self._errors)


def run(
    source: str | Path,
    *arguments: str | Path,
    user: int | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Finished:
    """Run a Python program to its end in a fresh process; see `Program`."""
    with Program(source, *arguments, user=user, cwd=cwd, env=env) as program:
        return program.finish(timeout)
