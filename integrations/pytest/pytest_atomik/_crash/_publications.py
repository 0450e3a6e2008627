"""The engine for where calls cannot be stopped: a function is run again and again, and each time killed one step later.

Its steps are those of the publications that this process makes with Atomik.
"""

from __future__ import annotations

import contextlib
import json
import os
import posix
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

import atomik
from atomik_core import testing

from .._faults import Fault
from ._child import die_with
from ._crash import Crash
from ._snapshot import Snapshot

#: The exit status of a child that was not killed.
_RAISED: Final = 1


class PublicationCrashes:
    """The kills at the steps of a function's publications."""

    def __init__(
        self,
        path: Path,
        func: Callable[[], object],
        place: Callable[[atomik.Publication[Any]], Path | None],
        faults: list[Fault],
    ) -> None:
        """Crash `func`, which publishes in `path`.

        Args:
            path: the directory.
            func: the function.
            place: says where a publication goes, if it is to be watched.
            faults: what else happens to publications.
        """
        self._account = ""
        self._path = path
        self._func = func
        self._place = place
        self._faults = faults
        self._before: Snapshot | None = None
        self._number = 0
        self._is_over = False

    def __next__(self) -> Crash:
        __tracebackhide__ = True
        if self._is_over:
            raise StopIteration
        if self._before is None:
            self._before = Snapshot(str(self._path))
        else:
            self._before.restore()
            self._account = ""
        crash = self._run(self._number, Path(self._before.folder))
        if crash is None:
            self._before.restore()
            self.end()
            raise StopIteration
        self._number += 1
        self._account = f"killed after {crash.step}   (state {self._number})"
        return crash

    def explain(self) -> str:
        """Tell what the directory holds."""
        return self._account

    def end(self) -> None:
        """Forget what the directory was; it stays as it is now."""
        self._is_over = True
        if self._before is not None:
            self._before.close()
            self._before = None

    def _run(self, number: int, aside: Path) -> Crash | None:
        """Run the function in a child that dies at its step `number`; return None if it came to its end before."""
        __tracebackhide__ = True
        told = aside / "told"
        told.unlink(missing_ok=True)
        parent = posix.getpid()
        with warnings.catch_warnings():
            # Python 3.12 warns where there are threads, as there are in each worker of xdist.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = posix.fork()
        if child == 0:
            self._run_in_child(number, told, aside / "output", parent)
        status = _end_of(child)
        if not told.exists():
            said = (aside / "output").read_text(errors="replace").rstrip()
            how = "raised" if status == _RAISED else f"ended the process with status {status}"
            pytest.fail(f"atomic_tmp.crashes: in the forked child the function {how}:\n{said}")
        step, path, reached = json.loads(told.read_bytes())
        for index in reached:
            self._faults[index].was_reached = True
        if step is not None:
            name = os.path.relpath(path, os.path.realpath(self._path))
            return Crash(f"{step} {name}", "kill", Path(path))
        if not path:
            pytest.fail("atomic_tmp.crashes: the function published nothing in this directory")
        return None

    def _run_in_child(self, number: int, told: Path, output: Path, parent: int) -> NoReturn:
        """Run the function, dying at its step `number`; tell how it ended."""

        def tell(step: testing.Step | None, path: str) -> None:
            reached = [index for index, fault in enumerate(self._faults) if fault.was_reached]
            told.write_text(json.dumps([step, path, reached]))

        steps = 0
        published = ""

        def die(publication: atomik.Publication[Any], step: testing.Step) -> None:
            nonlocal steps, published
            path = self._place(publication)
            if path is None:
                return
            if steps == number:
                tell(step, str(path))
                posix.kill(posix.getpid(), signal.SIGKILL)
            steps += 1
            if step == "published":
                published = str(path)

        try:
            die_with(parent)
            posix.setsid()  # what it starts is killed with it, by its process group
            fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            sys.stdout = sys.stderr = os.fdopen(fd, "w", buffering=1)
            testing.watchers.insert(0, die)
            self._func()
            tell(None, published)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not run on as a second pytest
            trace = error.__traceback__
            traceback.print_exception(error.with_traceback(trace.tb_next if trace is not None else None))
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            posix._exit(_RAISED)


def _end_of(child: int) -> int:
    """Wait for `child` to end, kill what it has started, and return its status, as a shell counts it."""
    try:
        # Left as a zombie: while there is one, its process group cannot become somebody else's.
        posix.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    finally:
        for kill in (posix.kill, posix.killpg):
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        _, status = posix.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
