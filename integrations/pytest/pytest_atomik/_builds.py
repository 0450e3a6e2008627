"""Where builds are: each a folder that appears whole, with a lock beside it for who builds, uses or removes it.

ROOT/NAME/DIGEST/NAME               what was built
ROOT/NAME/DIGEST/.build.json        by whom, when, in how long
ROOT/NAME/DIGEST.lock               exclusive: is being built or removed; shared: is in use
ROOT/NAME/DIGEST.obsolete           is not to be used any more, and could not be removed; the next one is DIGEST-2
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import atomik

from ._build_lock import BuildLock
from ._read_only import protect

_RECORD: Final = ".build.json"

Kind = Literal["folder", "file", "value"]


class Record(NamedTuple):
    """What is known of a build.

    Attributes:
        kind: what it is.
        builder: what messages call the function that made it.
        worker: which worker ran that.
        pid: the process.
        began: when, in seconds since the epoch.
        seconds: how long it took.
    """

    kind: Kind
    builder: str
    worker: str
    pid: int
    began: float
    seconds: float


class Build:
    """One build, there or not.

    Attributes:
        name: what its tests call it.
        folder: what appears whole.
        content: what was built, in it.
        lock: for who builds, uses or removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.parent.name
        self.folder = folder
        self.content = folder / self.name
        self.lock = BuildLock(folder.with_name(f"{folder.name}.lock"))
        self._obsolete = folder.with_name(f"{folder.name}.obsolete")

    @classmethod
    def current(cls, root: Path, name: str, digest: str) -> Build:
        """Return the first one of these that is not obsolete."""
        for number in itertools.count(1):
            build = cls(root / name / (digest if number == 1 else f"{digest}-{number}"))
            if not build.is_obsolete():
                return build
        raise AssertionError

    def is_there(self) -> bool:
        """Say whether it is there, which is to say complete."""
        return self.folder.is_dir()

    def is_obsolete(self) -> bool:
        """Say whether nobody is to begin to use it any more."""
        return self._obsolete.exists()

    def make_obsolete(self) -> None:
        """Have it built again, elsewhere, for whoever asks from now on."""
        with contextlib.suppress(FileExistsError):
            self._obsolete.touch()

    def record(self) -> Record:
        """Return what is known of it."""
        fields: Any = json.loads((self.folder / _RECORD).read_bytes())
        return Record(*fields)

    def make(self, kind: Kind, make: Callable[[Path], object], worker: str, builder: str, *, keep: bool) -> Record:
        """Build it: `make` makes the content at a staged path. Its lock is held exclusively.

        Args:
            kind: what it is.
            make: makes a file or folder at the path that it is given.
            worker: who is at it.
            builder: with what.
            keep: whether it has to survive a power cut whole, or not at all.
        """
        _clean(self.folder.parent)
        began = time.time()
        with atomik.folder(self.folder, sync="normal" if keep else "off", permissions=0o555) as staged:
            content = staged / self.name
            make(content)
            protect(content)
            record = Record(kind, builder, worker, os.getpid(), began, time.time() - began)
            (staged / _RECORD).write_text(json.dumps(record))
            (staged / _RECORD).chmod(0o444)
        return record

    def try_remove(self) -> bool:
        """Remove it, unless somebody builds or uses it."""
        if not self.lock.try_exclusive("the run that removes it", self.name):
            return False
        try:
            if self.is_there():
                atomik.remove(self.folder, sync="off")
            self._obsolete.unlink(missing_ok=True)
            self.lock.path.unlink()
        finally:
            self.lock.release()
        return True

    def last_used(self) -> float:
        """Return when it was last used, in seconds since the epoch."""
        try:
            return self.lock.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0


def prune(root: Path, keep: int, used: Collection[Path]) -> list[Build]:
    """Remove all but the builds of each name that were used last; return what was removed.

    Args:
        root: where they are.
        keep: how many of each name.
        used: folders of builds that stay in any case, as do those that are in use.
    """
    removed = []
    for directory in _directories(root):
        builds = sorted(_in(directory), key=Build.last_used, reverse=True)
        useful = [build for build in builds if build.is_there() and not build.is_obsolete()]
        for build in builds:
            if build in useful[:keep] or build.folder in used:
                continue
            was_there = build.is_there()
            if build.try_remove() and was_there:
                removed.append(build)
        _clean(directory)
    return removed


def clear(root: Path) -> None:
    """Remove all builds; those that another run uses are obsolete from now on."""
    for directory in _directories(root):
        for build in _in(directory):
            if not build.try_remove():
                build.make_obsolete()
        _clean(directory)
        with contextlib.suppress(OSError):
            directory.rmdir()


def _clean(directory: Path) -> None:
    """Remove what killed builders have left. Where that cannot be told from what is in use, it stays."""
    with contextlib.suppress(OSError):
        atomik.clean(directory)


def _directories(root: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from sorted(path for path in root.iterdir() if path.is_dir())


def _in(directory: Path) -> list[Build]:
    """List the builds of one name; those that are not there, but have a lock, as well."""
    names = {path.name.partition(".")[0] for path in directory.iterdir()}
    return [Build(directory / name) for name in sorted(names - {""})]
