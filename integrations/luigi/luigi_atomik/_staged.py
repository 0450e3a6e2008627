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
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, TypeGuard, cast

from luigi.local_target import LocalTarget
from luigi.target import Target
from luigi.task import flatten

import atomik
from atomik import Sync

from ._errors import TargetExists, make, to_luigi_error
from ._filesystem import filesystem
from ._parents import LEVELS, level_of, make_parents, needs_sync_of_all
from ._sigterm import discarded_on_sigterm
from ._sweep import sweep
from ._target import FINAL, AtomicLocalFolderTarget, is_atomic

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


class StagedOutputs(StagedTargets):
    """The staged outputs of a run in this process, which publishes them.

    Args:
        outputs: what the task's own `output()` returned.
        with_old: whether `run()` finds copies of what stands at the outputs now.
    """

    def __init__(self, outputs: Any, *, with_old: bool) -> None:
        super().__init__({})
        self._given = _mapped(outputs, lambda target: target)  # a generator's are kept
        self._targets = [one for one in _flat(self._given) if is_staged(one)]
        self._with_old = with_old
        self._stages: list[_Stage] = []
        self._work = ExitStack()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._is_open = False

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
            with self._work:
                self._stage(self._targets)
                yield
                self._check()
            self._publish()
        finally:
            for one in self._stages:
                one.discard()
            self._is_open = False

    def is_live(self) -> bool:
        """Say whether the run that stages the outputs is still going on."""
        # A forked process is not told of its end.
        return self._is_open if os.getpid() == self._process else super().is_live()

    def _path_for(self, target: LocalTarget) -> str:
        with self._lock:  # threads of the run may ask at once for an output that nobody has asked for before
            if (key := key_of(target)) not in self.paths:
                self._targets.append(target)
                self._stage([target])
            return self.paths[key]

    def _stage(self, targets: list[LocalTarget]) -> None:
        one = _Stage(targets)
        self._stages.append(one)
        self._work.enter_context(one.opened())
        if self._with_old:
            one.copy_old()
        self.paths.update(one.paths())

    def _check(self) -> None:
        """See that what was made is there for its target, too, and what is not local at all.

        What was made at no path is for the stage to say; where a link leads is seen at its destination.

        Raises:
            atomik.NothingStagedError: something is missing.
        """
        missing = {
            str(target): None
            for target in (*_flat(self._given), *self._targets)
            if not (is_staged(target) and not _is_entry(self.paths[key_of(target)]))
            and not self._staged(target).exists()
        }
        if missing:
            msg = f"run() has ended without making {', '.join(missing)}: nothing of what it has staged is published"
            raise atomik.NothingStagedError(errno.ENOENT, msg, next(iter(missing)))

    def _publish(self) -> None:
        try:
            if rivals := [path for one in self._stages for path in one.rivals()]:
                raise make(TargetExists, errno.EEXIST, rivals[0], "Another process has published it meanwhile")
            for one in self._stages:
                one.publish()
        except atomik.FileAlreadyExistsError as error:
            for _ in range(_STEPS):
                if all(target.exists() for target in _flat(self._given)):
                    logger.info("Ours are discarded, since another process has published the same outputs: %s", error)
                    return
                time.sleep(_STEP)
            raise to_luigi_error(error) from error


class _Stage:
    """A stage of some targets.

    Args:
        targets: local ones, of which several may be the same file.

    Raises:
        TargetExists: one exists, and its `overwrite` is False.
        OSError: the directory of one cannot be made.
    """

    def __init__(self, targets: list[LocalTarget]) -> None:
        #: For each output its destination, by what tells files apart; and what each target is of these.
        self._destinations: dict[str, str] = {}
        self._identities: dict[str, str] = {}
        for target in targets:
            path = os.path.abspath(target.path)
            if getattr(target, "overwrite", None) is False and os.path.lexists(path):
                raise make(TargetExists, errno.EEXIST, path, "The output exists, and is not to be replaced")
            identity = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
            slash = "/" if isinstance(target, AtomicLocalFolderTarget) or target.path.endswith("/") else ""
            self._destinations[identity] = self._destinations.get(identity, path).rstrip("/") + slash
            self._identities[key_of(target)] = identity
        for target in targets:
            if not self._is_inner(self._identities[key_of(target)]):
                make_parents(os.path.abspath(target.path), getattr(target, "sync", None))
                sweep(os.path.dirname(os.path.abspath(target.path)))
        self._new = {key for key, path in self._destinations.items() if not os.path.lexists(path.rstrip("/"))}
        # What is there is part of an incomplete set, or the task was not complete: it is replaced. Where nothing is, nothing
        # must be there at the end, either: a rival's outputs and ours are never mixed.
        overwrite = len(self._new) < len(self._destinations)
        sync = _strongest(targets)
        self._sync_all = any(needs_sync_of_all(path, sync) for path in self._destinations.values())
        self._stage = atomik.stage(self._destinations, overwrite=overwrite, sync="normal" if self._sync_all else sync)

    def _is_inner(self, identity: str) -> bool:
        """Say whether an output lies in another one."""
        above = identity
        while (above := os.path.dirname(above)) != os.path.dirname(above):
            if above in self._destinations:
                return True
        return False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Stage; after an exception in the block, or SIGTERM, discard.

        Raises:
            OSError: what :meth:`atomik.Stage.open` raises.
        """
        try:
            self._stage.open()
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error) from error
        with discarded_on_sigterm(self._stage):
            for identity in self._destinations:
                # Folders for outputs that lie in others: a run that makes them wants to make them.
                for folder, _, _ in os.walk(self._stage[identity], topdown=False):
                    with suppress(OSError):
                        os.rmdir(folder)
            yield

    def copy_old(self) -> None:
        """Let `run()` find at the staged paths copies of what stands at the outputs."""
        for identity, path in self._destinations.items():
            if identity not in self._new and not self._is_inner(identity):
                try:
                    self._stage.copy_old(identity)
                except OSError as error:
                    logger.warning("%s: run() does not see it, since it cannot be copied: %s", path, error)

    def paths(self) -> dict[str, str]:
        """Return the staged path for each target, by :func:`key_of` it."""
        return {key: str(self._stage[identity]) for key, identity in self._identities.items()}

    def rivals(self) -> list[str]:
        """Return the outputs that have appeared meanwhile, though the task has made them at their staged paths."""
        return [
            path
            for identity, path in self._destinations.items()
            if identity in self._new and os.path.lexists(path.rstrip("/")) and os.path.lexists(self._stage[identity])
        ]

    def publish(self) -> None:
        """Publish all.

        Raises:
            atomik.NothingStagedError: one is missing; the others are kept, as the error says.
            OSError: what :meth:`atomik.Stage.publish` raises.
        """
        try:
            self._stage.publish()
        except atomik.NothingStagedError as error:
            outcomes = self._stage.report.outputs
            missing = [path for key, path in self._destinations.items() if outcomes.get(key) == "missing"]
            if not missing:
                raise
            msg = (
                f"run() has ended without making {', '.join(missing)}. In run(), make each output at the path of the target "
                f"that self.output() returns there. {error.strerror}"
            )
            raise atomik.NothingStagedError(errno.ENOENT, msg, missing[0]) from error
        if self._sync_all:
            os.sync()

    def discard(self) -> None:
        """Publish nothing of it; after `publish`, do nothing."""
        self._stage.discard()


def is_staged(target: Target) -> TypeGuard[LocalTarget]:
    """Say whether a target is staged in a run: a local one that is to stay."""
    return isinstance(target, LocalTarget) and not target.is_tmp


def _is_entry(path: str) -> bool:
    """Say whether a file or folder is there."""
    return os.path.lexists(path) and not os.path.islink(path)


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


def key_of(target: LocalTarget) -> str:
    """Return what a target is known by: its path as it was given, whatever directory `run()` changes to."""
    return os.path.normpath(target.path)


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
