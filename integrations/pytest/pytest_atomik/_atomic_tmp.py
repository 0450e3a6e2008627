"""The object behind the fixture `atomic_tmp`."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Any, NamedTuple, Protocol, TypeVar
from weakref import WeakKeyDictionary

import pytest

import atomik
from atomik_core import testing

from . import _dirs
from ._crash._crash import Crash, Engine
from ._crash._run import CrashRun
from ._faults import At, Fault, fault_error, publish_rival
from ._report import account, current_line
from ._unchanged import Unchanged


class AtomicTmp(os.PathLike[str]):
    """A temporary directory that sees what this process publishes in it, and can make it fail, lose a race and crash.

    Use it like a path: ``atomic_tmp / "x"``, ``atomic_tmp.iterdir()``, ``os.fspath(atomic_tmp)``. It does not see what other
    processes publish, or what is published elsewhere; but it does see the litter that they leave in it.

    Attributes:
        path: the directory.
        published: the names of what was published in it, in order, relative to `path`.
        discarded: the names of what was discarded, in order, likewise.
        publications: the publications that have ended, in order.
    """

    def __init__(self, path: Path, test_file: str, *, base: Path, keep_in: Path | None = None) -> None:
        """Watch `path`.

        Args:
            path: the directory.
            test_file: the file whose lines an account names.
            base: the directory that the paths of other code files are given relative to.
            keep_in: a folder for copies of the states that crashes leave.
        """
        self.path = path
        self.published: list[str] = []
        self.discarded: list[str] = []
        self.publications: list[atomik.Publication[Any]] = []
        #: Whether the test is known to have failed already, or to have been given up.
        self._has_failed = False
        self._was_skipped = False
        self._real = os.path.realpath(path)
        self._elsewhere: list[Path] = []
        self._test_file = test_file
        self._base = base
        self._keep_in = keep_in
        # Weakly: code that forgets a publication relies on its being collected.
        self._seen: WeakKeyDictionary[atomik.Publication[Any], _Seen] = WeakKeyDictionary()
        self._faults: list[Fault] = []
        self._runs: list[CrashRun] = []
        self._proofs: list[_Proof] = []
        self._cleanups: list[Callable[[], object]] = []
        self._story: list[str] = []
        self._last_account: str | None = None
        testing.watchers.append(self._watch)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"AtomicTmp({str(self.path)!r})"

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.path / name

    def __eq__(self, other: object) -> bool:
        return self.path == (other.path if isinstance(other, AtomicTmp) else other)

    def __hash__(self) -> int:
        return hash(self.path)

    def __getattr__(self, name: str) -> Any:
        """Behave like the path in everything else, too: ``atomic_tmp.iterdir()``, ``atomic_tmp.name``."""
        # By `with_segments` pathlib takes an object for one of its own, whose private attributes it may use (Python 3.14).
        if name.startswith("_") or name in {"path", "with_segments"} or not hasattr(Path, name):
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg, name=name, obj=self)
        return getattr(self.path, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(self.path) if not name.startswith("_"))})

    def fail(
        self,
        error: BaseException | type[BaseException] | None = None,
        *,
        at: At = "publish",
        path: str | os.PathLike[str] = "*",
    ) -> Fault:
        """Let the next matching publication in the ``with`` block fail.

        Args:
            error: what is raised there, an exception or a class; by default the error of a full disk, `OSError` with
                ENOSPC. Classes such as `PermissionError` get the errno that belongs to them.
            at: the point. ``"open"``: before the block begins; ``"write"``: each write through the handle of
                :func:`atomik.file`, the last of which comes when its block ends; ``"sync"``: the sync of the content;
                ``"publish"``: the rename or link; ``"durable"``: the sync of the directory, when the new version is visible
                already (an OSError becomes :class:`atomik.NotDurableError`).
            path: which publications: a pattern (`fnmatch`) for the name relative to this directory.

        The test fails if no matching publication comes to that point in the block. A publication that fails at
        ``"publish"`` keeps the finished content as ``atomik-kept-…``, as it does on a disk that is really full. After a
        failure at ``"durable"``, an old folder stays out of sight, since a power cut may bring it back. That is a leftover,
        which the test has to allow.

        Raises:
            ValueError: `at` is none of these.
        """
        raised = fault_error(error)

        def act(*_: object) -> None:
            raise raised

        return self._to_use(Fault(self._faults, f"atomic_tmp.fail(at={at!r})", at, self._pattern(path), act))

    def lose_race(
        self, content: str | bytes | EllipsisType | None = ..., *, path: str | os.PathLike[str] = "*"
    ) -> Fault:
        """Let a rival publish the same path in the ``with`` block, just before the next matching publication does.

        Args:
            content: the content of the rival's file; None for an empty folder. By default the rival publishes the same kind:
                an empty folder where a folder is published, else an empty file.
            path: as for `fail`.

        The test fails if no matching publication comes to that point in the block.
        """
        act = partial(publish_rival, content=content)
        return self._to_use(Fault(self._faults, "atomic_tmp.lose_race()", "publish", self._pattern(path), act))

    def unchanged(self) -> Unchanged:
        """Require names and contents to be the same after the ``with`` block as before, whatever is raised in it.

        Work that a failed publication has kept, as ``atomik-kept-…``, is not looked at.
        """
        return self._to_use(Unchanged(self.path))

    def crashes(
        self,
        func: Callable[[], object],
        *,
        power_cuts: bool = False,
        engine: Engine = "auto",
        timeout: float = 60.0,
    ) -> Iterator[Crash]:
        """Put this directory into each state in which a crash of func could leave it, and yield the crash.

        Args:
            func: is called once, without arguments, in a forked child. Every change that it makes below this directory is a
                moment for a crash, whatever it is made with: Python, C libraries, threads, child processes. What it
                changes in memory is lost, and what it changes elsewhere is not restored.
            power_cuts: cut the power, too: contents and names that were not synced are lost.
            engine: ``"syscalls"`` sees all of that. ``"publications"`` runs func again and again, and kills it at each step
                of what it publishes with Atomik; it sees nothing else. ``"auto"`` uses the first or, where the kernel or a
                container forbids it (it needs Linux 5.5 on x86-64 or aarch64), the second, with a line in the report.
            timeout: how long func may take, in seconds. After that it is killed, and the test fails.

        Before the next crash, and at the end of the loop, the directory is restored to what it was; after a `break` it stays
        as it is. When func ends, the child and the processes that it has started are killed.

        The test fails if func raises, changes nothing here, or returns something that would have to be awaited or iterated
        over; and if nobody iterates over the crashes.

        Raises:
            TypeError: func cannot be called.
            ValueError: `engine` is none of these, or has no power cuts.
        """
        run = CrashRun(
            self.path,
            func,
            place=self._place,
            faults=self._faults,
            power_cuts=power_cuts,
            engine=engine,
            timeout=timeout,
            keep_in=self._keep_in,
            base=self._base,
        )
        self._runs.append(run)
        return self._to_use(run)

    def other_filesystem(self) -> Path:
        """Return an empty directory on another device than `path`, watched like it. If there is none, skip the test.

        What is published there is named by its absolute path. The directory is removed at the end of the test.
        """
        place = _dirs.elsewhere(self.path)
        if place is None:
            pytest.skip(f"no directory was found that is on another filesystem than {self.path}")
        path, remove = _dirs.passing(place, self.path.name)
        self._elsewhere.append(path)
        self._cleanups.append(remove)
        return path

    # What the fixture calls.

    def _close(self) -> None:
        """Stop watching."""
        testing.watchers.remove(self._watch)
        for run in self._runs:
            run.end()

    def _remove_elsewhere(self) -> None:
        """Remove what `other_filesystem` has returned."""
        for cleanup in self._cleanups:
            cleanup()

    def _require_use(self) -> None:
        """Fail the test if it has asked for a proof and then not done it."""
        unused = [
            f"{proof.call} was never {'iterated over' if isinstance(proof, CrashRun) else 'entered: with ...'}"
            for proof in self._proofs
            if not proof.was_used
        ]
        if unused:
            pytest.fail("\n  ".join(["the test proves less than it seems to:", *unused]), pytrace=False)

    def _to_use(self, proof: _P) -> _P:
        """Remember that something has to be entered, or iterated over, before the test ends."""
        self._proofs.append(proof)
        return proof

    def _require_no_litter(self) -> None:
        """Fail the test if anything staged is left in its directories."""
        if self._litter():
            gc.collect()
        left = self._litter()
        if left:
            self._last_account = self._account()
            msg = "the test leaves staging litter in atomic_tmp; @pytest.mark.atomic_tmp(leftovers=True) allows it"
            pytest.fail("\n  ".join([f"{msg}:", *left]), pytrace=False)

    def _account(self) -> str:
        """Tell what was published and discarded, by which line, and what is on disk."""
        if self._last_account is not None:
            return self._last_account
        crashes = [run.account for run in self._runs if run.account]
        if crashes:
            return "\n".join([*self._story, *self._notes(), *crashes])
        return account([*self._story, *self._notes()], (self.path, *self._elsewhere))

    def _notes(self) -> list[str]:
        """Return what has to be said even if all is well."""
        return list(dict.fromkeys(note for run in self._runs for note in run.notes))

    def _litter(self) -> list[str]:
        return [
            f"{left.path}{f' (for {left.destination})' if left.destination else ''}"
            for top in (self.path, *self._elsewhere)
            if top.is_dir()  # or the test has removed it
            for left in atomik.leftovers(top, recursive=True)
        ]

    # Watching.

    def _watch(self, publication: atomik.Publication[Any], step: testing.Step) -> None:
        seen = self._seen.get(publication) or self._look_at(publication)
        if seen.name is None:
            return
        if step == "opened":
            testing.before_writes(publication, partial(self._writing, seen))
        elif step in {"published", "discarded"}:
            (self.published if step == "published" else self.discarded).append(seen.name)
            self.publications.append(publication)
            self._story.append(f"{step:<9}  {seen.name}  by {seen.line}")
        for fault in tuple(self._faults):
            fault.reached(step, seen.name, seen.destination, publication)

    def _writing(self, seen: _Seen) -> None:
        for fault in tuple(self._faults):
            fault.writing(seen, seen.name or "", seen.destination)

    def _look_at(self, publication: atomik.Publication[Any]) -> _Seen:
        destination = _real(publication.destination)
        seen = self._seen[publication] = _Seen(self._name(destination), destination, current_line(self._test_file))
        return seen

    def _name(self, destination: Path) -> str | None:
        """Return what a destination is called here; None if it is none of ours."""
        if destination.is_relative_to(self._real):
            return str(destination.relative_to(self._real))
        if any(destination.is_relative_to(path) for path in self._elsewhere):
            return str(destination)
        return None

    def _place(self, publication: atomik.Publication[Any]) -> Path | None:
        seen = self._seen.get(publication) or self._look_at(publication)
        return None if seen.name is None else seen.destination

    def _pattern(self, path: str | os.PathLike[str]) -> str:
        pattern = os.fspath(path)
        return self._name(_real(Path(pattern))) or pattern if os.path.isabs(pattern) else pattern


class _Proof(Protocol):
    """Proves nothing until it is used."""

    call: str
    was_used: bool


_P = TypeVar("_P", bound=_Proof)


class _Seen(NamedTuple):
    """What is known of a publication without holding it.

    Attributes:
        name: its destination's name here; None if it is not published here.
        destination: where that is, whatever the working directory is by now.
        line: the line that made it.
    """

    name: str | None
    destination: Path
    line: str


def _real(destination: Path) -> Path:
    """Return an absolute path of `destination` in which only the last component may be a link."""
    return Path(os.path.realpath(destination.parent), destination.name)
