"""Several publications as one: completed, synced, published in order, taken back if one fails, settled."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from . import _placing, _sync, _undo
from ._members import Member
from ._roster import Roster
from ._sync import Sync
from .errors import AtomikError


class Joint(Roster):
    """A group's life cycle; how members are made is :class:`atomik.Group`'s."""

    def __init__(self, sync: Sync | None) -> None:
        super().__init__()
        # Whether every member was published, before anybody can be interrupted.
        self._placed = False
        # Last: __del__ looks at the others even if it is refused.
        self._sync = _sync.level(sync)

    def publish(self) -> None:
        """Publish every member, in order. Repeated, it does nothing.

        Raises:
            FileAlreadyExistsError: a rival was first at one destination; those already published are taken back.
            NotDurableError: all are published, but the sync of a directory failed.
            AtomikError: a member had failed before, and its error was swallowed; nothing is published.
            OSError: one could not be completed, synced or published; nothing is. The error names the member. Or all
                are published, and an old version could not be moved to its backup; the error says where it is.
            ValueError: the group was discarded.
        """
        if self._state == "published" or self._is_foreign():
            return
        if self._state == "discarded":
            msg = "the group cannot be published: it was discarded"
            raise ValueError(msg)
        try:
            self._complete()
            self._sync_contents()
            self._put()
            self._finish()
        except BaseException as error:
            self._fail(error)
            raise

    def discard(self) -> None:
        """Remove what is staged and publish nothing. Repeated, or after `publish`, it does nothing."""
        if self._state in {"new", "open"} and not self._is_foreign():
            self._drop(None)

    def __enter__(self) -> Self:
        if self._state != "new":
            msg = f"the group was opened before; it is {self._state}"
            raise ValueError(msg)
        if not self._members:
            self._pid = os.getpid()
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._state == "open" and not self._is_foreign():
            if error is None:
                self.publish()
            else:
                self._drop(error)

    def __del__(self) -> None:
        if self._state in {"new", "open"} and not self._is_foreign():
            self._drop(None)

    # How it publishes.

    def _complete(self) -> None:
        """Complete what was opened by hand and not closed; see that no member has failed."""
        for member in tuple(self._members):
            if member.state == "open":
                member.publish()
            else:
                member.discard()
        self._members = [member for member in self._members if member.state == "open"]
        if self._failed is not None:
            member, error = self._failed
            msg = f"nothing of the group is published, since {member.path!r} failed before: {error!r}"
            raise AtomikError(msg) from error

    def _sync_contents(self) -> None:
        """Sync each filesystem: once as a whole if there is much on it, else each file and folder."""
        if self._sync != "off":
            for filesystem in self._filesystems.values():
                mine = (member for member in self._members if member.filesystem is filesystem)
                filesystem.sync(fd for member in mine if (fd := member.own_content) is not None)

    def _put(self) -> None:
        for member in self._members:
            member.require_content()
        begun: list[Member[Any]] = []
        try:
            for member in self._members:
                begun.append(member)
                member.put()
            self._placed = True
        except BaseException as error:
            self._placed = False
            for member in reversed(begun):
                member.take_back(error)
            if isinstance(error, OSError) and not isinstance(error, _placing.RIVAL):
                self._keep(error)
            raise

    def _keep(self, error: OSError) -> None:
        """Keep finished work that could not be published, as a single publication does."""
        for wrapper in self._wrappers():
            if os.listdir(wrapper.fd):
                _placing.keep(wrapper, error)
        for member in self._members:
            if member.folder_staging is not None:
                _placing.keep(member.folder_staging, error)

    def _finish(self) -> None:
        """Make the new names durable, each directory once; then let the old versions go."""
        try:
            self._state = "published"
            for member in self._members:
                member.accept()
            try:
                for member in self._members:
                    member.became_visible()
                made = (above for above, _ in reversed(self._made))
                self._sync_names([*(parent.directory for parent in self._parents.values()), *made])
            except BaseException:
                self._unwrap()
                raise
            self._settle()
        finally:
            self._close()

    def _sync_names(self, directories: Iterable[int]) -> None:
        if self._sync == "full" and self._members:
            first, *others = (member.path for member in self._members)
            destination = f"{first} and {len(others)} more" if others else first
            try:
                once = {(status.st_dev, status.st_ino): fd for fd in directories for status in (os.fstat(fd),)}
            except OSError as error:
                raise _sync.not_durable(error, destination) from error
            _sync.names(once.values(), destination)

    def _unwrap(self) -> None:
        """Remove what no old version is in; those stay, since a power cut may bring them back."""
        for member in self._members:
            with suppress(OSError):
                member.unwrap()
        published = {member.identity for member in self._members}
        for wrapper in self._wrappers():
            with suppress(OSError):
                _undo.drop_second_names(wrapper.fd, published)
                os.rmdir(wrapper.name or "", dir_fd=wrapper.directory)

    def _settle(self) -> None:
        """Move old versions to their backups, remove the others; whatever happens, do all of it."""
        trouble: BaseException | None = None
        settle = (member.settle for member in self._members)
        for step in (self._keep_old, *settle, self._let_wrappers_go, self._unmake_needless_parents):
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - the others have to be settled, too
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def _let_wrappers_go(self) -> None:
        with suppress(OSError):  # they stay leftovers
            self._remove_wrappers()

    def _keep_old(self) -> None:
        trouble: OSError | None = None
        directories: list[int] = []
        for member in self._members:
            try:
                directories += member.keep_old()
            except OSError as error:
                trouble = trouble or error
        self._sync_names(directories)
        for member in self._members:
            member.drop_older()
        if trouble is not None:
            raise trouble

    def _fail(self, error: BaseException) -> None:
        """Bring a group to its end that was interrupted or failed at any point."""
        if self._state in {"new", "open"} and self._placed:
            try:
                self._finish()
            except Exception as trouble:  # noqa: BLE001 - it must not hide the interrupt
                error.add_note(f"atomik: {trouble}")
        elif self._state in {"new", "open"}:
            self._drop(error)

    def _drop(self, error: BaseException | None) -> None:
        self._state = "discarded"
        try:
            for member in tuple(self._members):
                member.withdraw(error)
            self._remove_wrappers()
            self._unmake_parents()
        except Exception as trouble:  # noqa: BLE001 - the caller's own error matters more
            if error is not None:
                error.add_note(f"atomik: while discarding the group: {trouble}")
        finally:
            self._close()
