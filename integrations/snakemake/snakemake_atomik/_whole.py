"""Which version of an output is whole, whoever looks: the process that has run the job may be gone, or on another machine.

A note counts for as long as Snakemake has the output marked as incomplete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ._notes import Notes

#: What is added to the note of a version that its job must not change.
_OLD: Final = " old"


class Whole:
    """What stands at an output and is whole: its old version while its job runs, its new one once that is published."""

    def __init__(self, persistence: Any) -> None:
        self._notes = Notes(persistence, "atomik-whole")

    def note_old(self, outputs: Iterable[str]) -> None:
        """Note what stands there before a job that makes a new version elsewhere."""
        for output in outputs:
            # That of a folder has to be newer than the folders that Snakemake makes in it.
            if (identity := _identity(output)) and (os.path.isdir(output) or self._read(output) != [identity + _OLD]):
                self._notes.write(_key(output), identity + _OLD)

    def note_next(self, staged: Mapping[str, str]) -> None:
        """Note, too, what is about to be published there; it is at the staged path still."""
        for output, path in staged.items():
            if identity := _identity(path):
                self._notes.write(_key(output), "\n".join([*self._read(output), identity]))

    def note(self, outputs: Iterable[str]) -> None:
        """Note what stands there, which nobody works on any more."""
        for output in outputs:
            if (identity := _identity(output)) and identity not in self._read(output):
                self._notes.write(_key(output), identity)

    def forget(self, outputs: Iterable[str]) -> None:
        """Take notes back."""
        for output in outputs:
            self._notes.remove(_key(output))

    def forget_many(self, outputs: Iterable[str]) -> None:
        """Take notes back, where there are any."""
        self._notes.remove_many(map(_key, outputs))

    def is_known(self, output: str) -> bool:
        """Say whether there is a note."""
        return self._notes.read(_key(output)) is not None

    def has(self, output: str) -> bool:
        """Say whether what stands there was noted, and has not been changed since."""
        identity, noted = _identity(output), self._read(output)
        if identity is None or identity in noted:
            return identity is not None
        return identity + _OLD in noted and not _has_changed(output, self._notes.written_at(_key(output)))

    def _read(self, output: str) -> list[str]:
        """Return the versions that are noted."""
        return (self._notes.read(_key(output)) or "").splitlines()


def _key(output: str) -> str:
    return os.path.abspath(output)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _identity(path: str) -> str | None:
    status = _status(path)
    if status is None:
        return None
    # Not the device: on NFS it has another number on every machine.
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _has_changed(folder: str, since: int) -> bool:
    """Say whether anything in a folder, if it is one, has changed since a moment by the filesystem's clock, or just then.

    What cannot be looked at is taken to be as it was.
    """
    if os.path.islink(folder):
        return False
    for directory, folders, files in os.walk(folder):
        for name in ("", *folders, *files):
            status = _status(os.path.join(directory, name))
            if status is not None and status.st_ctime_ns >= since:
                return True
    return False
