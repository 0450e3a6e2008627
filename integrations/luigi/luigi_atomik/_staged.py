"""The outputs of one run of a task, staged: made together, published together or not at all."""

from __future__ import annotations

import collections.abc
import copy
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeGuard, cast

from luigi.local_target import LocalTarget
from luigi.target import Target
from luigi.task import flatten

import atomik
from atomik import Sync

from ._errors import to_luigi_error
from ._filesystem import filesystem
from ._history import copy_old, fingerprint
from ._parents import LEVELS, level_of, make_parents
from ._sigterm import discarded_on_sigterm
from ._sweep import sweep
from ._target import FINAL, is_atomic

logger = logging.getLogger("luigi-interface")

#: How long a rival that has published some of our outputs is waited for, in steps of so many seconds: it needs
#: microseconds for the others, unless it was killed in between or takes back what it has published.
_STEPS: Final = 20
_STEP: Final = 0.05

#: Staging folders of others of which was found that somebody has them locked.
_known_live: Final[set[str]] = set()


class StagedTargets:
    """A task's outputs while it runs: targets of the same kinds with staged paths.

    Pickled, it takes the paths along, and is good for as long as the run is that stages them.

    Attributes:
        paths: the staged path, which is absolute, for each output that has one, by :func:`key_of` it.
    """

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths

    def is_live(self) -> bool:
        """Say whether the run that stages the outputs is still going on: only then may anything be made there."""
        return any(map(_is_staging, self.paths.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return StagedTargets, (dict(self.paths),)

    def of(self, outputs: Any) -> Any:
        """Return the same structure of targets as `outputs`, each local one with its staged path."""
        return _mapped(outputs, self._staged)

    def _staged(self, target: Target) -> Target:
        if not is_staged(target) or (path := self._path_for(target)) is None:
            return target
        other = copy.copy(target)
        other.path = path + ("/" if os.fspath(other.path).endswith("/") else "")
        if is_atomic(other):
            vars(other).setdefault(FINAL, target.path)
            # Published and synced with the others; until then it may be made anew, over a copy of the old one, too.
            other.overwrite = True
            other.sync = "off"
            other.fs = filesystem("off")
        return other

    def _path_for(self, target: LocalTarget) -> str | None:
        return self.paths.get(key_of(target))


class _Output:
    """An output that is staged for itself, not as a part of another one.

    Attributes:
        final, staged: where it is to be, and where it is made: absolute paths.
    """

    def __init__(self, final: str, publication: atomik.Publication[Path], *, with_old: bool) -> None:
        self.final = final
        self.staged = str(publication.open())
        self._publication = publication
        self._before = fingerprint(final)
        self._copied = copy_old(final, self.staged) if with_old else None

    def was_made(self) -> bool:
        """Say whether `run()` has made something at the staged path: something else than the copy of the old one."""
        now = fingerprint(self.staged)
        return now is not None and now != self._copied

    def was_removed(self) -> bool:
        """Say whether `run()` has removed what it found there, and made nothing in its place."""
        return self._copied is not None and not os.path.lexists(self.staged)

    def was_written_directly(self) -> bool:
        """Say whether the final path has got something else since it was staged."""
        return fingerprint(self.final) not in {None, self._before}

    def discard(self) -> None:
        """Leave what is at the final path."""
        self._publication.discard()


class StagedOutputs(StagedTargets):
    """The staged outputs of a run in this process, which publishes them.

    Args:
        outputs: what the task's own `output()` returned.
        with_old: whether `run()` finds copies of what stands at the outputs now.
    """

    def __init__(self, outputs: Any, *, with_old: bool) -> None:
        super().__init__({})
        self._given = _mapped(outputs, lambda target: target)  # a generator's are kept
        self._with_old = with_old
        self._targets: dict[str, LocalTarget] = {key_of(one): one for one in _flat(self._given) if is_staged(one)}
        self._outputs: dict[str, _Output] = {}
        self._by_identity: dict[str, _Output] = {}
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._is_open = False
        self._group = atomik.group(sync=_strongest(self._targets.values()))

    @contextmanager
    def published(self) -> Iterator[None]:
        """Stage all outputs; at the end of the block publish all of them, or after an exception none.

        Raises:
            TargetExists: at the start, if one exists whose `overwrite` is False; at the end, if a rival has published some
                of them meanwhile. (If it has published all of them, ours are discarded, and that is no error.)
            atomik.NothingStagedError: the block ended, and not all outputs had been made.
            OSError: whatever else Atomik or the kernel says; nothing is published.
        """
        self._is_open = True
        try:
            with self._group:
                with discarded_on_sigterm(self._group):
                    self.of(self._given)
                    yield
                    self._check()
                self._publish()
        finally:
            self._is_open = False

    def is_live(self) -> bool:
        """Say whether the run that stages the outputs is still going on."""
        # A forked process is not told of its end.
        return self._is_open if os.getpid() == self._process else super().is_live()

    def _path_for(self, target: LocalTarget) -> str:
        key = key_of(target)
        if key not in self.paths:
            with self._lock:  # threads of the run may ask at once for an output that nobody has asked for before
                self.paths[key] = self._stage(key, target)
        return self.paths[key]

    def _stage(self, key: str, target: LocalTarget) -> str:
        self._targets.setdefault(key, target)
        if (outer := self._outer(key)) != key:  # part of another output: it comes and goes with that one
            return self._path_for(self._targets[outer]) + key[len(outer) :]
        final = os.path.abspath(os.fspath(target.path).rstrip("/"))
        # What is there is part of an incomplete set, or the task was not complete: it is replaced. What is not there must
        # not be there at the end, either: a rival's outputs and ours are never mixed.
        overwrite = os.path.lexists(final) and getattr(target, "overwrite", None) is not False
        make_parents(final, getattr(target, "sync", None))
        sweep(os.path.dirname(final))
        identity = os.path.join(os.path.realpath(os.path.dirname(final)), os.path.basename(final))
        if identity in self._by_identity:  # the same file, in another spelling
            self._outputs[key] = self._by_identity[identity]
            return self._outputs[key].staged
        publication = self._group.path(final, overwrite=overwrite, follow_symlinks=False)
        try:
            output = _Output(final, publication, with_old=self._with_old)
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error) from error
        self._outputs[key] = self._by_identity[identity] = output
        return output.staged

    def _outer(self, key: str) -> str:
        """Return the key of the output that has this one in it, or is this one."""
        outer = above = key
        while (above := os.path.dirname(above)) not in {"", "/"}:
            if above in self._targets:
                outer = above
        return outer

    def _check(self) -> None:
        """Look at what `run()` has made, and leave what it has not.

        Raises:
            atomik.NothingStagedError: it has not made all outputs.
        """
        left = {key: output for key, output in self._outputs.items() if not output.was_made()}
        direct = {key: output for key, output in left.items() if output.was_written_directly()}
        for output in {id(output): output for output in direct.values()}.values():
            logger.warning(
                "%s was not published at once: run() has written it at its final path, where it was seen half-written. "
                "In run(), write to the path of the target that self.output() returns there",
                output.final,
            )
        there = {key for key, output in left.items() if key in direct or not output.was_removed()}
        missing: dict[str, None] = {}
        for target in (*_flat(self._given), *self._targets.values()):
            key = self._outer(key_of(target)) if is_staged(target) else ""
            if not _exists(self._at_end(target, key) if key in there else self._staged(target)):
                missing[str(target)] = None
        if missing:
            msg = (
                f"run() has ended without making {', '.join(missing)}: nothing is published"
                + (
                    f", but {', '.join(output.final for output in direct.values())} was written directly"
                    if direct
                    else ""
                )
                + ". In run(), make each output at the path of the target that self.output() returns there"
            )
            raise atomik.NothingStagedError(errno.ENOENT, msg, next(iter(missing)))
        for output in left.values():
            output.discard()

    def _at_end(self, target: Any, outer: str) -> Target:
        """Return `target` at its final path, whatever directory `run()` has changed to."""
        other: Target = copy.copy(target)
        vars(other)["path"] = self._outputs[outer].final + key_of(target)[len(outer) :]
        return other

    def _publish(self) -> None:
        try:
            self._group.publish()
        except atomik.FileAlreadyExistsError as error:
            for _ in range(_STEPS):
                if all(map(_exists, _flat(self._given))):
                    logger.info("Ours are discarded, since another process has published the same outputs: %s", error)
                    return
                time.sleep(_STEP)
            raise to_luigi_error(error) from error


def is_staged(target: Target) -> TypeGuard[LocalTarget]:
    """Say whether a target is staged in a run: a local one that is to stay."""
    return isinstance(target, LocalTarget) and not target.is_tmp


def _is_staging(path: str) -> bool:
    """Say whether there is a staging folder around `path`, and somebody who will publish what is in it."""
    staging = os.path.dirname(path)
    if not os.path.isdir(staging):
        return False
    if staging not in _known_live:
        found = atomik.leftovers(os.path.dirname(staging))
        if not any(one.live and os.fspath(one.path) == staging for one in found):
            return False
        _known_live.add(staging)
    return True


def _is_same_directory(path: str, other: str) -> bool:
    """Say whether two paths are in the same directory."""
    return os.path.realpath(os.path.dirname(path)) == os.path.realpath(os.path.dirname(other))


def key_of(target: LocalTarget) -> str:
    """Return what a target is known by: its path as it was given, whatever directory `run()` changes to."""
    return os.path.normpath(target.path)


def _exists(target: Target) -> bool:
    return bool(target.exists())


def _flat(outputs: Any) -> list[Target]:
    return [output for output in flatten(outputs) if isinstance(output, Target)]


def _strongest(targets: Iterable[LocalTarget]) -> Sync | None:
    """Return the strongest level that one of the targets asks for; None where it is the same as for no target."""
    levels = {level_of(getattr(target, "sync", None)) for target in targets} & set(LEVELS)
    return cast("Sync", min(levels, key=LEVELS.index)) if levels else None


def _mapped(structure: Any, change: Callable[[Target], Target]) -> Any:
    """Return a copy of `structure`, with `change` of each target in it."""
    match structure:
        case Target():
            return change(structure)
        case dict():
            same = copy.copy(structure)
            same.update((key, _mapped(value, change)) for key, value in structure.items())
            return same
        case collections.abc.Mapping():
            return {key: _mapped(value, change) for key, value in structure.items()}
        case tuple() if hasattr(structure, "_make"):
            return structure._make(_mapped(value, change) for value in structure)
        case list() | tuple() | set() | frozenset():
            return type(structure)(_mapped(value, change) for value in structure)
        case str() | bytes():
            return structure
        case collections.abc.Iterable():
            return [_mapped(value, change) for value in structure]
        case _:
            return structure
