"""Luigi's local targets on :func:`atomik.stage`: which of them are one file, what is there already, who was first."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

from luigi.local_target import LocalTarget

import atomik
from atomik import Sync

from ._errors import TargetExists, make, to_luigi_error
from ._parents import LEVELS, level_of, make_parents, needs_sync_of_all
from ._sigterm import discarded_on_sigterm
from ._sweep import sweep
from ._target import AtomicLocalFolderTarget

logger = logging.getLogger("luigi-interface")

#: Outputs of so many directories are staged beside their destinations.
_MOST_DIRECTORIES: Final = 100


class OutputStage:
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
        root = _root_of_many({os.path.dirname(path.rstrip("/")) for path in self._destinations.values()})
        if root is not None:
            sweep(root)
        self._stage = atomik.stage(
            self._destinations, overwrite=overwrite, sync="normal" if self._sync_all else sync, root=root
        )

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


def _root_of_many(directories: Collection[str]) -> str | None:
    """Return the directory to stage in where there are too many to stage in each: that costs a descriptor for each."""
    if len(directories) <= _MOST_DIRECTORIES:
        return None
    root = os.path.commonpath(directories)
    return root if os.access(root, os.W_OK | os.X_OK) else None


def key_of(target: LocalTarget) -> str:
    """Return what a target is known by: its path as it was given, whatever directory `run()` changes to."""
    return os.path.normpath(target.path)


def _strongest(targets: Iterable[LocalTarget]) -> Sync | None:
    """Return the strongest level that one of the targets asks for; None where it is the same as for no target."""
    levels = {level_of(getattr(target, "sync", None)) for target in targets} & set(LEVELS)
    return cast("Sync", min(levels, key=LEVELS.index)) if levels else None
