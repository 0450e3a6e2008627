"""Notes that outlive a run, and that every job sees, in files beside Snakemake's own: each job of a cluster has a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

#: What this process has to remember by itself, by the path of the note, since it could not be written; and when that was.
_unwritten: dict[str, tuple[str, int]] = {}


class Notes:
    """Notes of one kind, by keys; in a workflow that cannot be written to, or on a full disk, they are this process's own.

    Attributes:
        folder: where they are.
    """

    def __init__(self, persistence: Any, kind: str) -> None:
        self.folder = os.path.join(os.fspath(persistence.path), kind)

    def read(self, key: str) -> str | None:
        """Return what is noted; None if nothing is."""
        path = self._path(key)
        if path in _unwritten:
            return _unwritten[path][0]
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as note:
            return note.read()
        return None

    def written_at(self, key: str) -> int:
        """Return when the note was made, in nanoseconds by the filesystem's clock, which jobs on all machines share; 0 if there is none."""
        path = self._path(key)
        if path in _unwritten:
            return _unwritten[path][1]
        with contextlib.suppress(OSError):
            return os.stat(path).st_mtime_ns
        return 0

    def write(self, key: str, text: str) -> None:
        """Make a note, or replace it, in one instant."""
        path = self._path(key)
        draft = f"{path}.{os.getpid()}.{threading.get_ident()}"
        try:
            try:
                _write(draft, text)
            except FileNotFoundError:
                os.makedirs(self.folder, exist_ok=True)
                _write(draft, text)
            os.replace(draft, path)
        except OSError:
            _unwritten[path] = text, time.time_ns()
            with contextlib.suppress(OSError):
                os.unlink(draft)
        else:
            _unwritten.pop(path, None)

    def remove(self, key: str) -> None:
        """Take a note back."""
        path = self._path(key)
        _unwritten.pop(path, None)
        with contextlib.suppress(OSError):
            os.unlink(path)

    def remove_many(self, keys: Iterable[str]) -> None:
        """Take notes back, of which most have not been made."""
        there = set(map(os.path.basename, _unwritten))
        with contextlib.suppress(OSError):
            there.update(os.listdir(self.folder))
        for key in keys if there else ():
            if os.path.basename(self._path(key)) in there:
                self.remove(key)

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, hashlib.sha256(os.fsencode(key)).hexdigest()[:32])


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as note:
        note.write(text)
