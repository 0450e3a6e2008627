"""The outputs of one run of a task, staged: made together, published together or not at all."""

from __future__ import annotations

import collections.abc
import copy
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeGuard

from luigi.local_target import LocalTarget
from luigi.target import Target
from luigi.task import flatten

import atomik

from ._errors import TargetExists, make, to_luigi_error
from ._filesystem import filesystem
from ._stage import OutputStage, key_of
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
        self._stages: list[OutputStage] = []
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
        one = OutputStage(targets)
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


def _flat(outputs: Any) -> list[Target]:
    return [output for output in flatten(outputs) if isinstance(output, Target)]


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
