"""Which version of an output is whole, whoever looks: the process that has run the job may be gone, or on another machine.

A note counts for as long as Snakemake has the output marked as incomplete.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from ._notes import Notes


class Whole:
    """What stands at an output and is whole: its old version while its job runs, its new one once that is published."""

    def __init__(self, persistence: Any) -> None:
        self._notes = Notes(persistence, "atomik-whole")

    def note_old(self, outputs: Iterable[str]) -> None:
        """Note what stands there before a job that makes a new version elsewhere."""
        for output in outputs:
            # That of a folder has to be newer than the folders that Snakemake makes in it.
            if (old := _old_version(output)) and (os.path.isdir(output) or self._read(output) != [old]):
                self._notes.write(_key(output), old)

    def note_next(self, staged: Mapping[str, str]) -> None:
        """Note, too, what is about to be published there; it is at the staged path still."""
        for output, path in staged.items():
            if version := _version(path):
                self._notes.write(_key(output), "\n".join([*self._read(output), version]))

    def note(self, outputs: Iterable[str]) -> None:
        """Note what stands there, which nobody works on any more."""
        for output in outputs:
            if (version := _version(output)) and version not in self._read(output):
                self._notes.write(_key(output), version)

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
        noted = self._read(output)
        if _version(output) in noted:
            return True
        return _old_version(output) in noted and not _has_changed(output, self._notes.written_at(_key(output)))

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


def _version(path: str) -> str | None:
    """Return what tells a version from others, though Snakemake gives a file the time of now when its job has ended.

    Not the device: on NFS it has another number on every machine.
    """
    status = _status(path)
    if status is None:
        return None
    return f"{status.st_ino} {status.st_size}" + (f" {status.st_mtime_ns}" if stat.S_ISDIR(status.st_mode) else "")


def _old_version(path: str) -> str | None:
    """Return the same of one that its job must not change."""
    status = _status(path)
    return None if status is None else f"{status.st_ino} {status.st_size} {status.st_mtime_ns} old"


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
