"""What a publication does, one method a phase; when, and what if one fails, is :mod:`atomik_core._publication`'s."""

from __future__ import annotations

import errno
import os
import stat
from typing import ClassVar, Literal, TypeAlias

from . import _explain, _filesystems, _metadata, _placing, _remove, _required, _staging, _sync
from ._backup import Backup
from ._descriptors import Descriptors
from ._destination import Destination, StrPath
from ._placing import Kind
from ._staging import Staging
from .testing import Step

State: TypeAlias = Literal["new", "open", "published", "discarded"]


class Phases:
    """A publication's options, what it holds, and what it does with them."""

    __slots__ = (
        "_backup",
        "_fds",
        "_follow",
        "_kind",
        "_moving",
        "_overwrite",
        "_parents",
        "_permissions",
        "_replaced",
        "_stagings",
        "_state",
        "_sync",
        "_target",
        "_tmp_dir",
        "_vacant",
    )

    #: Whether a slash at the end of the destination may be dropped, and what is published, if that is known from the start.
    _takes_slash: ClassVar[bool] = True
    _known_kind: ClassVar[Kind | None] = None
    #: Whether a file, too, is replaced by EXCHANGE.
    _must_exchange: ClassVar[bool] = False

    def __init__(
        self,
        path: StrPath,
        overwrite: bool,
        sync: str | None,
        tmp_dir: StrPath | None,
        parents: bool,
        permissions: int | None,
        follow_symlinks: bool,
        backup: StrPath | None,
    ) -> None:
        # First: __del__ looks at it even if an argument is refused.
        self._state: State = "new"
        self._kind = self._known_kind
        self._target = Destination(os.fsdecode(path), trailing_slash=self._takes_slash)
        self._overwrite = overwrite
        self._sync = _sync.level(sync)
        self._tmp_dir = None if tmp_dir is None else os.fsdecode(tmp_dir)
        self._parents = parents
        self._permissions = _metadata.checked_mode(permissions)
        self._follow = follow_symlinks
        self._backup = None if backup is None else Backup(os.fsdecode(backup), self._target, overwrite=overwrite)
        self._fds = Descriptors()
        self._stagings: list[Staging] = []
        self._replaced = False
        # Whether nothing stood at the destination when the content was complete.
        self._vacant = False
        # Whether the rename was begun; content that has left its staging name before was taken away by somebody.
        self._moving = False

    # What each kind of publication does its own way.

    def _check(self, status: os.stat_result) -> None:
        """Raise if what stands at the destination cannot be replaced by this."""
        raise NotImplementedError

    def _seal(self) -> int | None:
        """Take the content as it is now, complete; return the mode that a new one gets, None for the one it has."""
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of what the user fills, without flushing it."""

    def _reached(self, step: Step) -> None:
        """Tell those who watch."""
        raise NotImplementedError

    # Before the block.

    def _look(self) -> None:
        """Open the destination's directory and check what stands there."""
        target = self._target
        target.open(self._fds, parents=self._parents)
        status = target.stat()
        if status is not None:
            if not self._overwrite:
                raise _explain.already_exists(target.path)
            if stat.S_ISLNK(status.st_mode) and self._follow:
                status = target.follow(self._fds, status, trailing_slash=self._takes_slash)
            if status is not None:
                self._check_old(status)
                exchange = self._must_exchange or self._backup is not None
                _required.replacing(target, status, exchange=exchange, hurried=self._sync == "off")
        if self._backup is not None:
            self._backup.open(self._fds, target, status)
        if self._sync == "full":
            _sync.require_directory_sync(target.directory, target.path)

    def _check_old(self, status: os.stat_result) -> None:
        mode = status.st_mode
        if stat.S_ISLNK(mode):
            return
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _explain.is_special(self._target.path, mode)
        self._check(status)

    def _choose(self) -> Staging:
        """Choose the directory to stage in."""
        if self._tmp_dir is None:
            staging = self._sibling()
        else:
            staging = _staging.elsewhere(self._fds, self._tmp_dir, self._target)
        self._stagings.append(staging)
        return staging

    # After the block.

    def _inherit(self, default_mode: int | None) -> None:
        """Give the content the metadata of what it replaces, else the mode that was asked for, else the default one."""
        target, fd = self._target, self._stagings[-1].content
        mode = self._permissions
        old = target.stat() if self._overwrite else None
        self._vacant = old is None
        if old is not None and not stat.S_ISLNK(old.st_mode):
            self._check_old(old)
            _metadata.inherit(fd, old, target.proc_path, mode)
        elif mode is not None:
            _metadata.set_mode(fd, mode)
        elif default_mode is not None:
            _metadata.set_mode(fd, default_mode)

    def _arrive(self) -> None:
        """Bring a folder that was made elsewhere to a name beside its destination."""
        staged = self._stagings[-1]
        if self._kind == "folder" and (staged.inner is not None or self._tmp_dir is not None):
            self._move_beside(staged.move_folder, self._sibling())

    def _move_beside(self, move: _staging.Bring, sibling: Staging) -> None:
        """Bring the staged content to `sibling` by rename, or, from a tmp_dir on another filesystem, by copy."""
        try:
            self._bring(move, sibling)
        except OSError as error:
            if error.errno != errno.EXDEV or self._tmp_dir is None:
                raise self._kept(error) from error
            self._copy_beside(sibling)

    def _copy_beside(self, sibling: Staging) -> None:
        try:
            self._bring(self._stagings[-1].copy, sibling)
        except OSError as error:
            raise self._kept(error) from error

    def _bring(self, bring: _staging.Bring, sibling: Staging) -> None:
        self._stagings.append(sibling)
        try:
            bring(sibling)
        except OSError:
            self._stagings.pop().remove()
            raise

    def _sibling(self) -> Staging:
        return Staging(self._fds, self._target.directory, self._target.folder)

    def _sync_content(self) -> None:
        """Make the content durable before it gets its name."""
        staging = self._stagings[-1]
        if self._kind == "folder":
            if self._sync != "off":
                _sync.folder(staging.content)
        elif self._sync != "off":
            if staging.name is None and _filesystems.ignores_unnamed(staging.content):
                staging.link_beside(staging.directory, staging.folder)
            os.fsync(staging.content)
        elif staging.name is not None:
            _sync.flush(staging.content)

    def _commit(self) -> None:
        """Publish: the one instant. What has happened if the call fails is read from the disk."""
        try:
            self._reached("synced")
            self._moving = True
            self._place()
        except OSError as error:
            if not self._took_place():
                raise self._kept(error) from error

    def _place(self) -> None:
        assert self._kind is not None  # noqa: S101 - known since the content was sealed
        target, staging = self._target, self._stagings[-1]
        try:
            if self._backup is None:
                self._replaced = _placing.place(
                    staging, target, self._kind, overwrite=self._overwrite, vacant=self._vacant, links=not self._follow
                )
            else:
                self._bring(staging.put_aside, self._sibling())
                last = self._stagings[-1]
                self._replaced = _placing.swap_in(last, target, self._kind, links=not self._follow)
        except OSError as error:
            if error.errno == errno.ENOENT and self._parents and target.was_removed():
                target.open(
                    self._fds, parents=True
                )  # an unnamed file does not keep a rival from taking its parents back
            elif error.errno == errno.EXDEV and self._tmp_dir is not None and len(self._stagings) == 1:
                self._bring(self._copied, self._sibling())
            else:
                raise
            self._place()

    def _copied(self, sibling: Staging) -> None:
        """Copy the content to `sibling`, complete and durable: if that fails, the original is there to be kept."""
        self._stagings[-2].copy(sibling)
        self._inherit(None)
        self._sync_content()

    def _kept(self, error: OSError) -> OSError:
        """Return what the error means, the finished content being kept unless a rival's version is there."""
        self._moving = False
        failure = _placing.failure(error, self._target, self._kind, overwrite=self._overwrite)
        if not isinstance(failure, _placing.RIVAL):
            _placing.keep(self._stagings[-1], failure)
        return failure

    def _took_place(self) -> bool:
        """Say whether the content was published, whatever an interrupted call told Python: it has left its staging names."""
        last = self._stagings[-1]
        # What was copied from another filesystem is still there, and is no longer what is published.
        if not self._moving or any(staging.holds() for staging in self._stagings if staging.content == last.content):
            return False
        if last.name is not None:
            assert self._kind is not None  # noqa: S101 - known since the content was sealed
            try:
                self._replaced = _placing.came_out(last, self._target, self._kind, links=not self._follow)
            except OSError:
                return False
        return True

    # Once it is visible.

    def _sync_names(self) -> None:
        target = self._target
        try:
            self._reached("published")
        except OSError as error:
            raise _sync.not_durable(error, target.path) from error
        if self._sync == "full":
            _sync.names([target.directory, *(above for above, _ in reversed(target.made))], target.path)

    def _tidy(self) -> None:
        """Remove the old version and what the content was wrapped in. What must stay is a leftover, not a failure."""
        last = self._stagings[-1]
        if self._replaced and last.name is not None:
            if self._backup is not None:
                self._backup.keep(last, self._sync)
            else:
                _remove.unneeded(*last.source)
            self._replaced = False
        try:
            self._unwrap()
        except OSError:
            pass  # it stays a leftover

    def _unwrap(self) -> None:
        """Remove what the content was wrapped in, unless the old version is in it."""
        *earlier, last = self._stagings
        if self._replaced and self._backup is not None:
            self._replaced = not self._backup.rescue(last)
        if last.inner is not None and not self._replaced:
            last.remove()
        for staging in earlier:
            staging.remove()
        if self._kind == "folder":
            # Whoever has replaced ours meanwhile could not remove it, since we held it.
            _remove.leave(last.content)

    # If nothing is to be published.

    def _remove_stagings(self) -> None:
        for staging in reversed(self._stagings):
            staging.remove()

    def _close(self) -> None:
        self._fds.close()
