"""What `atomic_tmp.crashes` returns: all the crashes of one function, one after the other."""

from __future__ import annotations

import posix
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, Self

import pytest

import atomik

from .._faults import Fault
from . import _explain
from ._crash import Crash, Engine
from ._filter import Unavailable
from ._keep import folder_beside, keep, real_path, remove
from ._log import Changed, Edited, Renamed, Store
from ._publications import PublicationCrashes
from ._recorder import Recorder
from ._stage import Stage
from ._states import Layer, Loss, State, layer_after, states
from ._trace import line_of, traceback_of

_ENGINES: Final = ("auto", "syscalls", "publications")


class _Crashes(Protocol):
    """The crashes that an engine has found."""

    def __next__(self) -> Crash: ...
    def explain(self) -> str: ...
    def end(self) -> None: ...


class CrashRun:
    """All the crashes of one function, one after the other.

    An iterator, not a generator: a generator is closed when its loop is left, and could then not tell a `break` from a test
    that fails on a crash, whose directory is what people want to look at.

    Attributes:
        call: what it is asked for by, for the message if nobody iterates over it.
        notes: what has to be said even if all is well: what was not, or could not be, seen.
        was_used: whether anybody has asked for a crash.
    """

    def __init__(
        self,
        path: Path,
        func: Any,
        *,
        place: Callable[[atomik.Publication[Any]], Path | None],
        faults: list[Fault],
        power_cuts: bool,
        engine: Engine,
        timeout: float,
        keep_in: Path | None,
        base: Path,
    ) -> None:
        """Crash `func`, which changes what is in `path`.

        Args:
            path: the directory.
            func: the function.
            place: says where a publication goes, if it is to be watched.
            faults: what else happens to publications.
            power_cuts: whether the power is cut, too.
            engine: how.
            timeout: in seconds, for the function.
            keep_in: a folder for a copy of each state.
            base: what files of code are told relative to.
        """
        if engine not in _ENGINES:
            msg = f"engine is {engine!r}; it takes {', '.join(map(repr, _ENGINES))}"
            raise ValueError(msg)
        if not callable(func):
            msg = f"func is {func!r}, which cannot be called: crashes(lambda: save(...)), not crashes(save(...))"
            raise TypeError(msg)
        self.call = "atomic_tmp.crashes(...)"
        self.notes: list[str] = []
        self.was_used = False
        self._path = path
        self._func = func
        self._place = place
        self._faults = faults
        self._power_cuts = power_cuts
        self._engine = engine
        self._timeout = timeout
        self._keep_in = keep_in
        self._base = base
        self._found: _Crashes | None = None
        self._is_over = False
        self._shown: Crash | None = None
        self._count = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Crash:
        __tracebackhide__ = True
        self.was_used = True
        if self._is_over:
            raise StopIteration
        self._shown = None
        try:
            if self._found is None:
                self._found = self._start()
            self._shown = next(self._found)
        except BaseException:
            self.end()
            raise
        self._count += 1
        if self._keep_in is not None:
            what = re.sub(r"[^\w.-]+", "-", f"{self._shown.kind} before {self._shown.step}").strip("-")[:100]
            keep(str(self._path), str(self._keep_in), f"{self._count:04d}-{what}")
        return self._shown

    @property
    def account(self) -> str:
        """Which crash the directory shows right now, and how it differs from the old and the new version."""
        if self._shown is None or self._found is None:
            return ""
        return self._found.explain()

    def end(self) -> None:
        """Forget what the directory was; it stays as it is now."""
        self._is_over = True
        if self._found is not None:
            self._found.end()

    def _start(self) -> _Crashes:
        __tracebackhide__ = True
        if self._engine != "publications":
            try:
                return SyscallCrashes(
                    self._path,
                    self._func,
                    self._faults,
                    self.notes,
                    self._timeout,
                    self._base,
                    power_cuts=self._power_cuts,
                )
            except Unavailable as why:
                if self._engine == "syscalls":
                    pytest.fail(f"atomic_tmp.crashes(engine='syscalls'): {why}")
                self.notes.append(
                    f"atomic_tmp.crashes saw publications by Atomik only, no other changes of files: {why}"
                )
                if self._power_cuts:
                    self.notes.append("atomic_tmp.crashes(power_cuts=True) tried no power cuts, for the same reason")
        elif self._power_cuts:
            msg = "engine='publications' knows no power cuts"
            raise ValueError(msg)
        return PublicationCrashes(self._path, self._func, self._place, self._faults)


class SyscallCrashes:
    """The crashes of one run of a function, whatever it writes with."""

    def __init__(
        self,
        path: Path,
        func: Callable[[], object],
        faults: list[Fault],
        notes: list[str],
        timeout: float,
        base: Path,
        *,
        power_cuts: bool,
    ) -> None:
        """Run the function, and put the directory back to what it was.

        Raises:
            Unavailable: the calls of a function cannot be stopped here. It has not been run.
        """
        __tracebackhide__ = True
        self._path = path
        self._base = str(base)
        self._top = real_path(str(path))
        self._folder = folder_beside(self._top)
        self._store: Store | None = None
        self._stage: Stage | None = None
        try:
            self._store = Store(f"{self._folder}/store")
            recorder = self._record(func, faults, timeout, self._store)
            notes += dict.fromkeys(f"atomic_tmp.crashes: {note}" for note in recorder.notes)
            self._log, self._start = recorder.log, recorder.start
            self._first = layer_after(self._log[: self._start])
            last = layer_after(self._log)
            self._root = recorder.root
            self._versions = _explain.Versions(self._top, self._root, self._first, last)
            self._versions.look_at_new()
            self._stage = Stage(self._top, recorder.root, f"{self._folder}/park", self._store, last)
            self._show(self._first)
            self._versions.look_at_old()
            self._require_proof(recorder)
        except BaseException:
            self.end()
            raise
        losses = list(Loss) if power_cuts else [Loss.NOTHING]
        self._states = self._all(losses)
        self._crash: Crash | None = None
        self._number = 0

    def __next__(self) -> Crash:
        __tracebackhide__ = True
        if self._stage is None:
            raise StopIteration
        self._stage.repair()
        found = next(self._states, None)
        if found is None:
            self._show(self._first)
            self.end()
            raise StopIteration
        loss, state, is_first = found
        if is_first:
            self._show(state.layer)
        else:
            self._stage.show(state.layer, state.names, state.inodes)
        self._number += 1
        point = state.point
        self._crash = Crash(
            point.step,
            "kill" if loss is Loss.NOTHING else "power cut",
            self._path / point.path,
            line_of(point.frames, self._base),
            traceback_of(point.frames),
            loss.value,
        )
        return self._crash

    def explain(self) -> str:
        """Tell what the directory holds."""
        return "" if self._crash is None else _explain.explain(self._crash, self._number, self._versions)

    def end(self) -> None:
        """Forget what the directory was."""
        self._stage = None
        if self._store is not None:
            self._store.close()
            self._store = None
            remove(self._folder)

    def _record(self, func: Callable[[], object], faults: list[Fault], timeout: float, store: Store) -> Recorder:
        """Run the function."""
        recorder = Recorder(self._top, self._folder, store)
        path = f"{self._folder}/output"
        output = posix.open(path, posix.O_RDWR | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC, 0o600)
        try:
            recorder.run(func, timeout, output, lambda: [n for n, fault in enumerate(faults) if fault.was_reached])
            self._output = posix.pread(output, 1 << 20, 0).decode(errors="replace").rstrip()
        finally:
            posix.close(output)
        for number in recorder.ending.reached if recorder.ending is not None else []:
            faults[number].was_reached = True
        self._timeout = timeout
        return recorder

    def _require_proof(self, recorder: Recorder) -> None:
        """Fail the test unless the function has come to its end, and has done something here."""
        __tracebackhide__ = True
        ending = recorder.ending
        said = f":\n{self._output}" if self._output else ""
        if recorder.timed_out:
            pytest.fail(
                f"atomic_tmp.crashes: the function has not ended within {self._timeout:g} s, and was killed; "
                f"crashes(timeout=...) allows more{said}"
            )
        if ending is None:
            ended = f"status {recorder.status}" if recorder.status >= 0 else f"signal {-recorder.status}"
            pytest.fail(f"atomic_tmp.crashes: in the forked child the function ended the process with {ended}{said}")
        if ending.raised:
            pytest.fail(f"atomic_tmp.crashes: in the forked child the function raised{said}")
        if ending.status is not None:
            pytest.fail(
                f"atomic_tmp.crashes: in the forked child the function ended the process with status {ending.status}{said}"
            )
        if ending.is_lazy:
            pytest.fail(f"atomic_tmp.crashes: the function did nothing; it returned {ending.returned}")
        if not any(isinstance(event, Renamed | Edited | Changed) for event in self._log[self._start :]):
            hint = f"; it returned {ending.returned}" if ending.returned else ""
            pytest.fail(f"atomic_tmp.crashes: the function changed nothing in this directory{hint}")

    def _all(self, losses: list[Loss]) -> Iterator[tuple[Loss, State, bool]]:
        for loss in losses:
            is_first = True
            for state in states(self._log, self._start, loss):
                yield loss, state, is_first
                is_first = False

    def _show(self, layer: Layer) -> None:
        """Show what there is at one moment, whatever is shown now."""
        if self._stage is not None:
            self._stage.show(layer, self._stage.names_that_differ(layer), self._stage.inodes_that_differ(layer))
