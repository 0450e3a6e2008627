"""What the processes of one test run know of each other: in a folder of the run, since a worker may be killed at any time."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import sys
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import atomik

from ._build_key import Builder, digest_of_path
from ._build_lock import BuildLock, Holder, wait
from ._places import EVENTS, Places


class Failure(NamedTuple):
    """A builder that has raised in this run.

    Attributes:
        attempt: the how-manieth run of its test that was.
        worker: where.
        pid: in which process.
        builder: what messages call it.
        traceback: what is shown.
        is_skip: whether it has skipped its test; `traceback` is the reason.
    """

    attempt: int
    worker: str
    pid: int
    builder: str
    traceback: str
    is_skip: bool


class Run:
    """One test run, as one of its processes sees it.

    Attributes:
        worker: what this process is called: ``"gw0"``; ``"main"`` without xdist.
        places: where the builds are.
    """

    def __init__(self, config: pytest.Config, worker: str, places: Places) -> None:
        self.worker = worker
        self.places = places
        self._config = config
        self._claimed: dict[str, str] = {}
        self._hashes: dict[Path, str] = {}
        self._log = places.run / EVENTS / f"{worker}-{os.getpid()}.jsonl"

    @functools.cached_property
    def kept(self) -> Path | None:
        """The folder in which builds are kept, made if need be; None if there can be none."""
        kept = self.places.kept
        if kept is None:
            return None
        try:
            if not kept.parent.is_dir() and self._config.cache is not None:
                self._config.cache.set("atomik/layout", 1)  # makes the directory as pytest does, .gitignore and all
            kept.mkdir(parents=True, exist_ok=True)
            if not os.access(kept, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(kept))
        except OSError as error:
            msg = f"atomic_tmp_factory keeps nothing for the next run: {error}"
            warnings.warn(pytest.PytestCacheWarning(msg), stacklevel=2)
            return None
        return kept

    def claim(self, name: str, kind: str, builder: Builder) -> None:
        """Say what builds `name` in this run.

        Raises:
            ValueError: something else does, in whatever process.
        """
        mine = json.dumps([kind, sha256(builder.source.encode("utf-8", "surrogatepass")).hexdigest(), builder.label])
        if name not in self._claimed:
            path = self.places.run / "names" / f"{name}.json"
            try:
                with atomik.file(path, sync="off", parents=True) as file:
                    file.write(mine)
                self._claimed[name] = mine
            except FileExistsError:
                self._claimed[name] = path.read_text()
        kind_before, source_before, label_before = json.loads(self._claimed[name])
        if [kind_before, source_before] != json.loads(mine)[:2]:
            msg = (
                f"{name!r} has two builders in this run: the {kind_before} is built by {label_before}, "
                f"the {kind} by {builder.label}; give one of them another name, or make one fixture for both"
            )
            raise ValueError(msg)

    def hash_path(self, path: Path) -> str:
        """Return the digest of what is at a path: looked at once in this run, by who asks first."""
        if path not in self._hashes:
            found = self.places.run / "hashes" / sha256(os.fsencode(path)).hexdigest()
            lock = BuildLock(found.with_suffix(".lock"))

            def attempt() -> Path | None:
                return None if found.exists() or lock.try_exclusive(self.worker, str(path)) else lock.path

            wait(attempt, lambda holder: self.report_waiting(f"the hash of {path}", "reading", holder))
            try:
                if not found.exists():
                    with atomik.file(found, sync="off") as file:
                        file.write(digest_of_path(path))
                self._hashes[path] = found.read_text()
            finally:
                lock.release()
        return self._hashes[path]

    def failure(self, digest: str) -> Failure | None:
        """Return how a build has failed in this run, if it has."""
        try:
            fields: Any = json.loads((self.places.run / "failed" / digest).read_bytes())
        except FileNotFoundError:
            return None
        return Failure(*fields)

    def note_failure(self, digest: str, failure: Failure) -> None:
        """Let no other test of this run try again."""
        with atomik.file(self.places.run / "failed" / digest, overwrite=True, sync="off", parents=True) as file:
            json.dump(failure, file)

    def note(self, event: str, **details: object) -> None:
        """Write down what happens, for the summary; a killed process has written what it did before."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"event": event, "worker": self.worker, "pid": os.getpid(), **details})
        with self._log.open("a") as file:
            file.write(f"{line}\n")

    def report_waiting(self, what: str, doing: str, holder: Holder) -> None:
        """With -v, tell now, on standard error, for whom this process waits."""
        if self._config.getoption("verbose", 0) < 1:
            return
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            said = f"{self.worker} (pid {os.getpid()}) waits for {what}, which {holder} has been {doing} since {holder.clock()}"
            sys.stderr.write(f"\natomic_tmp_factory: {said}\n")
            sys.stderr.flush()


def events(run: Path) -> Iterator[dict[str, Any]]:
    """Yield what all processes of a run have noted, each in its order."""
    with contextlib.suppress(FileNotFoundError):
        for log in sorted((run / EVENTS).iterdir()):
            for line in log.read_text().splitlines():
                with contextlib.suppress(ValueError):  # the last one of a process that was killed may be half a line
                    yield json.loads(line)
