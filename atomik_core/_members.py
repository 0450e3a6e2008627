"""The members of a group: publications that are complete when their block ends, and published by the group."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from . import _parents, _placing, _plugins, _remove, _rename, _sync, _undo
from ._file import FilePublication
from ._folder import FolderPublication
from ._parents import Parent, Shared
from ._path import PathPublication
from ._publication import Publication
from ._staging import Staging

if TYPE_CHECKING:
    from ._roster import Roster

H_co = TypeVar("H_co", covariant=True)


class Member(Publication[H_co]):
    """What every member does otherwise than a publication of its own."""

    # Only an exchange can be undone.
    _must_exchange = True

    _group: Roster
    _parent: Parent
    _identity: tuple[int, int] | None

    def join(self, group: Roster) -> None:
        """Belong to `group`."""
        self._group = group
        self._identity = None

    def publish(self) -> None:
        """Complete this member; the group publishes it. Repeated, it does nothing.

        Raises:
            NothingStagedError: nothing was made at the staged path.
            OSError: it could not be written or synced; then the group publishes nothing.
            ValueError: it was never opened, or has been discarded.
        """
        if self._identity is not None or (self._state == "open" and self._is_foreign()):
            return
        self._require_open()
        try:
            self._complete()
            staging = self._stagings[-1]
            status = os.fstat(staging.content)
            if isinstance(staging, Shared) and self._backup is None:
                self._let_go(staging)
                self._parent.filesystem.add(staging, self._sync)
            self._identity = (status.st_dev, status.st_ino)
        except BaseException as error:
            self._drop(error)
            raise

    def _look(self) -> None:
        super()._look()
        self._parent = self._group.admit(self, self._target)
        self._target.directory = self._parent.directory
        if self._backup is None:
            self._fds.close()

    def _sibling(self) -> Staging:
        if self._kind == "folder":
            return super()._sibling()
        return self._parent.shared(self._fds, self._target.given_name)

    def _arrive(self) -> None:
        if self._kind == "file" and self._tmp_dir is not None:
            self._move_beside(self._stagings[-1].move_file, self._sibling())
        super()._arrive()

    def _let_go(self, staging: Shared) -> None:
        """Let go of what a file was staged in before, and of every descriptor but its own: they are per parent."""
        while len(self._stagings) > 1:
            earlier = self._stagings.pop(0)
            earlier.content = -1
            earlier.remove()
        for fd in self._fds:
            if fd != staging.content:
                self._fds.close_one(fd)

    def _drop(self, error: BaseException | None) -> None:
        self._group.dropped(self, error)
        if self._identity is not None:
            self._parent.filesystem.forget(self._stagings[-1])
        super()._drop(error)

    # What the group does with a complete member.

    @property
    def path(self) -> str:
        """The destination as it was given."""
        return self._target.path

    @property
    def claims(self) -> list[tuple[str, bool]]:
        """The paths that are to be this member's alone, each with whether a link there is followed."""
        follow = self._overwrite and self._follow
        return [(self.path, follow), *([] if self._backup is None else [(self._backup.path, False)])]

    @property
    def filesystem(self) -> _parents.Filesystem:
        """What it is synced with."""
        return self._parent.filesystem

    @property
    def own_content(self) -> int | None:
        """The descriptor of content that is not staged with others and synced with them."""
        staging = self._stagings[-1]
        return None if isinstance(staging, Shared) and self._backup is None else staging.content

    @property
    def folder_staging(self) -> Staging | None:
        """Where the content is staged, if that is not shared with others."""
        staging = self._stagings[-1]
        return None if isinstance(staging, Shared) else staging

    def require_content(self) -> None:
        """See that the complete content is still staged.

        Raises:
            NothingStagedError: another program has removed or replaced it.
        """
        _parents.require(self._stagings[-1], self._identity, self._target.path)

    def put(self) -> None:
        """Publish, so that it can be undone.

        Raises:
            OSError: what went wrong, naming the destination.
        """
        assert self._kind is not None  # noqa: S101 - known since the content was sealed
        try:
            self._reached("synced")
            if self._backup is not None:
                self._bring(self._stagings[-1].put_aside, Publication._sibling(self))
            self._replaced = _undo.put(
                self._stagings[-1], self._target, self._kind, overwrite=self._overwrite, links=not self._follow
            )
        except OSError as error:
            raise _placing.failure(error, self._target, self._kind, overwrite=self._overwrite) from error

    def take_back(self, error: BaseException) -> None:
        """Undo `put`, if it took place; what could not be undone becomes a note of `error`."""
        try:
            assert self._identity is not None  # noqa: S101 - known since it was complete
            assert self._kind is not None  # noqa: S101
            done = _undo.take_back(self._stagings[-1], self._target, self._kind, self._identity)
        except OSError as trouble:
            error.add_note(f"atomik: {self._target.path!r} could not be undone: {trouble}")
        else:
            if not done:
                error.add_note(f"atomik: {self._target.path!r} was not undone: somebody else has replaced it meanwhile")

    def accept(self) -> None:
        """Be published."""
        self._state = "published"

    def became_visible(self) -> None:
        """Tell those who watch.

        Raises:
            NotDurableError: one of them fails it there.
        """
        try:
            self._reached("published")
        except OSError as error:
            raise _sync.not_durable(error, self._target.path) from error

    def withdraw(self, error: BaseException | None) -> None:
        """Be discarded with the group."""
        if self._state == "open":
            super()._drop(error)
        elif self._state == "new":
            self._state = "discarded"

    def keep_old(self) -> list[int]:
        """Move the old version to its backup; return the directories to be synced.

        Raises:
            OSError: it could not be moved; the error says where it is.
        """
        if self._backup is None or not self._replaced:
            return []
        directories = self._backup.take(self._stagings[-1])
        self._replaced = False
        return directories

    def drop_older(self) -> None:
        """Remove the backup that this one has replaced."""
        if self._backup is not None:
            self._backup.drop_older()

    def settle(self) -> None:
        """Let the old version go."""
        try:
            self._reached("durable")
            self._tidy()
            self._reached("tidied")
        finally:
            self._close()
        _plugins.after_publish(self)

    @property
    def identity(self) -> tuple[int, int] | None:
        """The content's device and inode numbers, once it is complete."""
        return self._identity

    def unwrap(self) -> None:
        """Remove what no old version is in, after a failure that leaves the old versions where they are."""
        try:
            self._unwrap()
        finally:
            self._close()

    def _tidy(self) -> None:
        staging = self._stagings[-1]
        if self._kind == "folder" and self._backup is None and self._replaced:
            _remove.unneeded(*staging.source)
            self._replaced = False
        if not isinstance(staging, Shared):
            with suppress(OSError):  # it stays a leftover
                self._unwrap()

    def _unwrap(self) -> None:
        staging = self._stagings[-1]
        if not isinstance(staging, Shared):
            super()._unwrap()
        elif _rename.identity(*staging.source) == self._identity:
            os.unlink(staging.source[1], dir_fd=staging.source[0])


class FileMember(Member[H_co], FilePublication[H_co]):
    """A file in a group."""


class FolderMember(Member, FolderPublication):  # type: ignore[type-arg]
    """A folder in a group."""


class PathMember(Member, PathPublication):  # type: ignore[type-arg]
    """A path in a group."""
