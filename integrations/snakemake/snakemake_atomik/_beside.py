"""Which job has made what beside its outputs: several jobs that make the same file do not see each other's."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from typing import Any

from ._notes import Notes


class Makers:
    """The jobs that have made what lies beside outputs, by path."""

    def __init__(self, persistence: Any) -> None:
        self._notes = Notes(persistence, "atomik-beside")

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Let no other job publish meanwhile what it has made beside its outputs; where there are no locks, go on without."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                os.makedirs(self._notes.folder, exist_ok=True)
                lock = stack.enter_context(open(os.path.join(self._notes.folder, "lock"), "a", encoding="ascii"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def of(self, path: str) -> str | None:
        """Return which job has made what is at a path, or the folder that it lies in; None if none is known to have."""
        path = os.path.abspath(path)
        while path != "/":
            job = self._notes.read(path)
            if job is not None:
                return job
            path = os.path.dirname(path)
        return None

    def add(self, job: str, paths: Iterable[str]) -> None:
        """Note what a job has made."""
        for path in paths:
            if self.of(path) != job:
                self._notes.write(os.path.abspath(path), job)
