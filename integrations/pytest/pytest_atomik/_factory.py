"""The object behind the fixture `atomic_tmp_factory`."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, NoReturn, TextIO, TypeVar, overload

import pytest

import atomik

from . import _stash
from ._build_key import Builder, Key, describe_builder, digest_of
from ._build_lock import wait
from ._builds import Build, Kind, Record
from ._changes import Changes
from ._makers import make_file, make_folder, make_value
from ._read_only import unprotect
from ._run import Failure, Run

T = TypeVar("T")

#: Of the layout and of how digests are made: builds of another one are never used.
_FORMAT: Final = 1
_LONGEST_NAME: Final = 200


class AtomicTmpFactory:
    """Builds what tests share, once: for all workers of a run and, with a key, for all runs.

    A build that is there is complete: it appears when its builder has returned. It is read-only; `copy` gives a test a copy
    of its own.

    One process builds; the others wait for it and use what it has built. A builder that is killed harms only its own test:
    the next test that asks builds. The exception of a builder that raises is shown to all tests that ask, and the builder is
    not tried again in this run, except once for each rerun of a test.
    """

    def __init__(self, config: pytest.Config, run: Run, changes: Changes) -> None:
        """Build for `run`; `changes` sees to it that nobody changes what was built."""
        self._config = config
        self._run = run
        self._changes = changes
        self._used: dict[str, Build] = {}
        self._held: list[Build] = []
        self._copying = threading.Lock()

    def __repr__(self) -> str:
        return f"AtomicTmpFactory({str(self._run.places.run)!r})"

    def folder(self, name: str, build: Callable[[Path], object], *, key: Key = None) -> Path:
        """Return the folder that `build` has filled, in this process or another one, now or in an earlier run.

        Args:
            name: its name, which is also the last component of its path: a single component that does not begin with a dot.
            build: is called with an empty folder of this name, which is moved to its place afterwards.
            key: without one, the folder is built once for this run. With one, it is kept between runs as long as the key and
                the source of `build` stay equal. A key is made of str, bytes, numbers, bool, paths (by the content of the
                file or folder), and lists, tuples and dicts of these.

        Raises:
            ValueError: `name` is not such a name, or has another builder in this run.
            TypeError: there is something else in the key; `build` is asynchronous or a generator, or has no source
                although there is a key.
            RuntimeError: builders wait for each other in a circle.
            Exception: what `build` raises, in the test that ran it. Every other test fails with the traceback of that.
        """
        __tracebackhide__ = True
        return self._get("folder", name, build, key, partial(make_folder, build)).content

    @overload
    def file(
        self, name: str, build: Callable[[TextIO], object], *, key: Key = None, mode: Literal["w"] = "w"
    ) -> Path: ...
    @overload
    def file(self, name: str, build: Callable[[BinaryIO], object], *, key: Key = None, mode: Literal["wb"]) -> Path: ...
    def file(
        self, name: str, build: Callable[[Any], object], *, key: Key = None, mode: Literal["w", "wb"] = "w"
    ) -> Path:
        """Return the file that `build` has written; see `folder`.

        Args:
            name: as for `folder`.
            build: is called with the open file.
            key: as for `folder`.
            mode: ``"w"`` for text, in UTF-8, or ``"wb"`` for bytes.

        Raises:
            ValueError: `mode` is neither; or as for `folder`, like all other errors.
        """
        __tracebackhide__ = True
        if mode not in {"w", "wb"}:
            msg = f"mode is 'w' for text or 'wb' for bytes, not {mode!r}"
            raise ValueError(msg)
        return self._get("file", name, build, key, partial(make_file, build, mode)).content

    def value(self, name: str, build: Callable[[], T], *, key: Key = None) -> T:
        """Return what `build` has returned: dicts with str keys, lists, str, numbers, bool and None; see `folder`.

        It is read back from JSON, so each call returns a value of its own.

        Raises:
            TypeError: JSON would not give the value back unchanged; or as for `folder`, like all other errors.
        """
        __tracebackhide__ = True
        built = self._get("value", name, build, key, partial(make_value, build))
        value: T = json.loads(built.content.read_bytes())
        return value

    def copy(self, built: str | os.PathLike[str]) -> Path:
        """Return a copy of `built` that this test may change, in its `tmp_path`: a reflink where the filesystem has them.

        Args:
            built: what `folder` or `file` has returned, or something in it. A second copy of the same name gets ``-2``.

        Raises:
            RuntimeError: no test is running.
            FileNotFoundError: `built` does not exist.
        """
        __tracebackhide__ = True
        test: Any = self._config.stash.get(_stash.current_test, None)
        if test is None or not hasattr(test, "_request"):
            msg = "atomic_tmp_factory.copy() copies into the directory of a test, and none is running"
            raise RuntimeError(msg)
        source = Path(built)
        directory: Path = test._request.getfixturevalue("tmp_path")
        # Not published in there: atomic_tmp would see it, and make it fail in the place of what is tested.
        aside = Path(tempfile.mkdtemp(dir=self._run.places.run))
        try:
            atomik.copy(source, aside / source.name, sync="off")
            unprotect(aside / source.name)
            with self._copying:
                names = itertools.chain([source.name], (f"{source.name}-{number}" for number in itertools.count(2)))
                copied = next(directory / name for name in names if not os.path.lexists(directory / name))
                shutil.move(aside / source.name, copied)
        finally:
            atomik.remove(aside, sync="off")
        return copied

    # What is there, or is built.

    def _get(
        self, kind: Kind, name: str, build: Callable[..., object], key: Key, make: Callable[[Path], object]
    ) -> Build:
        __tracebackhide__ = True
        _check_name(name)
        builder = describe_builder(build)
        if key is not None and not builder.has_source:
            msg = f"the source of {builder.label} cannot be seen, so nobody knows when {name!r} is stale; build it in a function"
            raise TypeError(msg)
        digest = self._digest(kind, name, builder, key)
        self._run.claim(name, kind, builder)
        used = self._used.get(digest)
        if used is None or used.is_obsolete() or not used.is_there():
            kept = None if key is None else self._run.kept
            used = self._used[digest] = self._find_or_make(kind, name, digest, builder, make, kept)
            if kept is None:
                used.lock.release()  # nobody removes it before the run is over
            else:
                self._held.append(used)
            self._changes.watch(used)
        return used

    def _digest(self, kind: Kind, name: str, builder: Builder, key: Key) -> str:
        bound: Key
        try:
            bound = digest_of(builder.arguments, self._run.hash_path)
        except TypeError as error:
            error.add_note(f"functools.partial binds it to {builder.label}: such arguments are a part of the key")
            raise
        return digest_of([_FORMAT, kind, name, builder.source, bound, key], self._run.hash_path)[:32]

    def _find_or_make(
        self, kind: Kind, name: str, digest: str, builder: Builder, make: Callable[[Path], object], kept: Path | None
    ) -> Build:
        __tracebackhide__ = True
        root = kept or self._run.places.run / "builds"
        asked = time.monotonic()
        while True:
            build, is_there = self._lock(root, name, digest)
            if is_there:
                self._note(build, "reused", build.record(), waited=time.monotonic() - asked)
                return build
            try:
                record = self._make(kind, build, digest, builder, make, keep=kept is not None)
            except BaseException:
                build.lock.release()
                raise
            # Between the two kinds of lock somebody may have cleared the cache.
            if build.lock.share() and build.is_there():
                self._note(build, "built", record)
                return build
            build.lock.release()

    def _lock(self, root: Path, name: str, digest: str) -> tuple[Build, bool]:
        """Lock the build: shared and there, or exclusively and not there."""
        __tracebackhide__ = True
        found: list[tuple[Build, bool]] = []

        def attempt() -> Path | None:
            build = Build.current(root, name, digest)
            if build.is_there():
                is_locked = build.lock.try_shared()
            else:
                is_locked = build.lock.try_exclusive(self._run.worker, name)
                if is_locked and build.is_there():
                    is_locked = build.lock.share()
                elif is_locked:
                    found.append((build, False))
                    return None
            if is_locked and build.is_there():
                found.append((build, True))
                return None
            build.lock.release()
            return build.lock.path

        wait(attempt, lambda holder: self._run.report_waiting(repr(name), "building", holder))
        return found[-1]

    def _make(
        self, kind: Kind, build: Build, digest: str, builder: Builder, make: Callable[[Path], object], *, keep: bool
    ) -> Record:
        __tracebackhide__ = True
        test = self._config.stash.get(_stash.current_test, None)
        attempt = 1 if test is None else test.stash.get(_stash.attempts, 1)
        failure = self._run.failure(digest)
        if failure is not None and failure.attempt >= attempt:
            _raise_recorded(build.name, failure)
        self._run.note("begun", name=build.name, kind=kind, folder=str(build.folder))
        try:
            return build.make(kind, make, self._run.worker, builder.label, keep=keep)
        except (KeyboardInterrupt, pytest.exit.Exception):
            self._run.note("ended", name=build.name, kind=kind, folder=str(build.folder))
            raise
        except BaseException as error:
            is_skip = isinstance(error, pytest.skip.Exception)
            shown = str(error) if is_skip else _traceback_of(error)
            failed = Failure(attempt, self._run.worker, os.getpid(), builder.label, shown, is_skip)
            self._run.note_failure(digest, failed)
            summary = "".join(traceback.format_exception_only(error)).splitlines()[0]
            self._run.note("failed", name=build.name, kind=kind, folder=str(build.folder), error=summary)
            raise

    def _note(self, build: Build, event: str, record: Record, **details: object) -> None:
        build.lock.touch()
        known = {"built_by": record.worker, "began": record.began, "seconds": record.seconds, "builder": record.builder}
        self._run.note(event, name=build.name, kind=record.kind, folder=str(build.folder), **known, **details)

    def _close(self) -> None:
        """Let others remove what was used."""
        for build in self._held:
            build.lock.release()


def _check_name(name: str) -> None:
    problem = ""
    if not name or name.startswith("."):
        problem = "it must not be empty or begin with a dot"
    elif "/" in name or "\0" in name:
        problem = "it has to be one component of a path"
    elif len(os.fsencode(name)) > _LONGEST_NAME:
        problem = f"it must not be longer than {_LONGEST_NAME} bytes"
    if problem:
        msg = f"{name!r} cannot be the name of a build: {problem}"
        raise ValueError(msg)


def _raise_recorded(name: str, failure: Failure) -> NoReturn:
    """End a test because of what a builder has raised in another one."""
    __tracebackhide__ = True
    if failure.is_skip:
        pytest.skip(failure.traceback)
    pytest.fail(
        f"{name!r} was not built: {failure.builder} raised in {failure.worker} (pid {failure.pid}), and is not tried again "
        f"in this run:\n\n{failure.traceback}",
        pytrace=False,
    )


def _traceback_of(error: BaseException) -> str:
    """Return the traceback of what a builder raised, from the builder on."""
    inside: TracebackType | None = error.__traceback__
    while inside is not None and os.path.dirname(inside.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
        inside = inside.tb_next
    return "".join(traceback.format_exception(type(error), error, inside or error.__traceback__)).rstrip()
