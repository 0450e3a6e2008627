"""Who belongs to a group and where they go: members, the directories and filesystems that they share, what they claim."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from . import _claims
from ._descriptors import DIRECTORY, Descriptors
from ._destination import Destination
from ._members import Member
from ._parents import Filesystem, Parent
from ._phases import State
from ._publication import Publication
from ._staging import Staging


class Roster:
    """What a group holds; what it does with it is :class:`atomik_core._joint.Joint`'s."""

    def __init__(self) -> None:
        self._state: State = "new"
        self._pid = os.getpid()
        self._fds = Descriptors()
        self._members: list[Member[Any]] = []
        self._parents: dict[tuple[int, int], Parent] = {}
        self._filesystems: dict[int, Filesystem] = {}
        self._claims = _claims.Claims()
        self._claimed: dict[Member[Any], list[str]] = {}
        self._admitted: dict[Member[Any], tuple[Parent, str]] = {}
        # The parents that were made, as in :class:`Destination`; whether some may be for nobody.
        self._made: list[tuple[int, str]] = []
        self._left_out = False
        self._failed: tuple[Member[Any], BaseException] | None = None

    @property
    def state(self) -> State:
        """``"new"`` or ``"open"``, in the end ``"published"`` or ``"discarded"``."""
        return self._state

    @property
    def publications(self) -> tuple[Publication[Any], ...]:
        """The members, in the order in which they were made and are published."""
        return tuple(self._members)

    # What members ask of it.

    def admit(self, member: Member[Any], target: Destination) -> Parent:
        """Take in a member whose destination is open now; return what it shares with others there.

        Raises:
            ValueError: the group is at its end; another member has the same destination, by a path that hides it.
        """
        self._require_open()
        status = os.fstat(target.directory)
        key = (status.st_dev, status.st_ino)
        if key not in self._parents:
            directory = self._fds.open(".", DIRECTORY, dir_fd=target.directory)
            if status.st_dev not in self._filesystems:
                self._filesystems[status.st_dev] = Filesystem(directory)
            filesystem = self._filesystems[status.st_dev]
            self._parents[key] = Parent(self._fds, directory, target.folder, filesystem)
        parent = self._parents[key]
        if target.name in parent.taken:
            raise _claims.twice(target.path)
        self._admitted[member] = (parent, target.name)
        parent.taken.add(target.name)
        for above, name in target.made:
            self._made.append((self._fds.open(".", DIRECTORY, dir_fd=above), name))
        target.made.clear()
        return parent

    def dropped(self, member: Member[Any], error: BaseException | None) -> None:
        """Go on without a member that was discarded; with an error, there is nothing to go on with."""
        self._left_out = True
        if member in self._members:
            self._members.remove(member)
        for path in self._claimed.pop(member, ()):
            self._claims.free(path)
        if member in self._admitted:
            parent, name = self._admitted.pop(member)
            parent.taken.discard(name)
        if error is not None and self._failed is None:
            self._failed = (member, error)

    # What the group does with it.

    def _is_foreign(self) -> bool:
        return self._pid != os.getpid()

    def _require_open(self) -> None:
        if self._state not in {"new", "open"}:
            msg = f"the group takes no more members: it is {self._state}"
            raise ValueError(msg)
        if self._is_foreign():
            msg = "the group belongs to the process that this one was forked from; make another one here"
            raise ValueError(msg)

    def _add(self, member: Member[Any]) -> Publication[Any]:
        self._require_open()
        member.join(self)
        taken = self._claimed[member] = []
        try:
            for given, follow in member.claims:
                path = self._claims.where(given, follow=follow)
                self._claims.take(path, given)
                taken.append(path)
        except ValueError:
            for path in self._claimed.pop(member):
                self._claims.free(path)
            raise
        self._members.append(member)
        return member

    def _wrappers(self) -> Iterator[Staging]:
        for parent in self._parents.values():
            yield from parent.wrappers

    def _remove_wrappers(self) -> None:
        for wrapper in self._wrappers():
            wrapper.remove()

    def _unmake_needless_parents(self) -> None:
        if self._left_out:
            self._unmake_parents()

    def _unmake_parents(self) -> None:
        """Remove the parents that were made, as far as they are empty."""
        while self._made:
            above, name = self._made.pop()
            with suppress(OSError):
                os.rmdir(name, dir_fd=above)

    def _close(self) -> None:
        with suppress(OSError):  # nothing was written through these
            self._fds.close()
