"""The one life cycle of everything that is published: stage, fill, seal, sync, publish, tidy; or discard.

This module says in which order, and what becomes of it if something fails; each phase is a method of :class:`Phases`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from . import _explain, _plugins, testing
from ._phases import Phases, State
from ._placing import Kind
from ._staging import Staging
from .testing import Step

H_co = TypeVar("H_co", covariant=True)


class Publication(Phases, Generic[H_co]):
    """One file or folder on its way to its destination: there whole when the block ends, or not at all.

    Made by :func:`atomik.file`, :func:`atomik.folder` and :func:`atomik.path`. Use it with ``with``, or call `open`,
    then `publish` or `discard`. One that is garbage-collected unfinished is discarded; in a forked child it does
    nothing. It belongs to one thread at a time.
    """

    __slots__ = ("__weakref__", "_pid")

    @property
    def destination(self) -> Path:
        """The path that is published to, as it was given."""
        return Path(self._target.path)

    @property
    def kind(self) -> Kind | None:
        """``"file"`` or ``"folder"``; None for a path of which it is not known yet."""
        return self._kind

    @property
    def state(self) -> State:
        """``"new"`` before `open`, then ``"open"``, in the end ``"published"`` or ``"discarded"``."""
        return self._state

    @property
    def staged(self) -> Path:
        """A path at which the content can be read while the publication is open.

        Raises:
            ValueError: before it is opened, and after its end.
        """
        if self._state != "open":
            msg = f"nothing is staged for {self._target.path!r}: the publication is {self._state}"
            raise ValueError(msg)
        staging = self._stagings[-1]
        if staging.name is None:
            return Path(f"/proc/{self._pid}/fd/{staging.fd}")
        return Path(staging.folder, staging.name, staging.inner or "")

    def open(self) -> H_co:
        """Check everything that can be checked, stage, and return what is to be filled.

        Returns:
            the open file, or the path of the staged folder or file.

        Raises:
            FileAlreadyExistsError: the destination exists, and `overwrite` is false (or it is a device, FIFO, socket).
            IsADirectoryError, NotADirectoryError: a folder stands where a file is to be published, or the reverse.
            FileNotFoundError: the parent directory is missing, and `parents` is false.
            UnsupportedFilesystemError: the filesystem is known to be unable to keep a promise.
            OSError: whatever else the kernel says.
            ValueError: it was opened before.
        """
        if self._state != "new":
            msg = f"the publication of {self._target.path!r} was opened before; it is {self._state}"
            raise ValueError(msg)
        _plugins.load()
        self._pid = os.getpid()
        self._state = "open"
        try:
            self._look()
            handle = self._stage(self._choose())
            self._reached("opened")
        except BaseException as error:
            self._drop(error)
            if isinstance(error, OSError) and error.filename != self._target.path:
                raise _explain.at_destination(error, self._target.path) from error
            raise
        return handle

    def publish(self) -> None:
        """Make it visible at the destination, and durable as far as `sync` says. Repeated, it does nothing.

        Raises:
            FileAlreadyExistsError: a rival was first; ours is discarded.
            NothingStagedError: nothing was made at the staged path.
            NotDurableError: it is published, but the sync of its directory failed.
            OSError: it could not be written, synced or published. If it was complete, it is kept, and the error says where.
            ValueError: it was never opened, or has been discarded.
        """
        if self._state == "published" or (self._state == "open" and self._is_foreign()):
            return
        self._require_open()
        try:
            self._complete()
            self._sync_content()
            self._commit()
            self._state = "published"
            self._finish()
        except BaseException as error:
            self._fail(error)
            raise

    def discard(self) -> None:
        """Remove what is staged and publish nothing. Repeated, or after `publish`, it does nothing."""
        if self._state == "new":
            self._state = "discarded"
        elif self._state == "open" and not self._is_foreign():
            self._drop(None)

    def __enter__(self) -> H_co:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._state == "open":
            if error is None:
                self.publish()
            elif not self._is_foreign():
                self._drop(error)

    def __del__(self) -> None:
        if self._state == "open" and not self._is_foreign():
            self._drop(None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._target.path!r}: {self._state}>"

    def _stage(self, staging: Staging) -> H_co:
        """Make the staging and return what the user fills."""
        raise NotImplementedError

    def _reached(self, step: Step) -> None:
        if testing.watchers:
            testing.reached(self, step)

    def _require_open(self) -> None:
        if self._state != "open":
            msg = f"{self._target.path!r} cannot be published: the publication is {self._state}"
            raise ValueError(msg)

    def _complete(self) -> None:
        """Take the content as it is now, let plugins add to it or veto it, and bring it to where it is published from."""
        default_mode = self._seal()
        self._reached("sealed")
        _plugins.before_publish(self)
        self._arrive()
        self._inherit(default_mode)

    def _is_foreign(self) -> bool:
        """Say whether this is a forked child's copy of its parent's publication."""
        return self._pid != os.getpid()

    def _finish(self) -> None:
        """Make the new name durable, then let the old version go."""
        try:
            try:
                self._sync_names()
                self._reached("durable")
                self._tidy()
            except BaseException:
                with suppress(OSError):  # the first error is the one to raise; what stays is a leftover
                    self._unwrap()
                raise
            self._reached("tidied")
        finally:
            self._close()
        _plugins.after_publish(self)

    def _fail(self, error: BaseException) -> None:
        """Bring a publication to its end that was interrupted or failed at any point."""
        if self._state == "open" and self._took_place():
            self._state = "published"
            try:
                self._finish()
            except Exception as trouble:  # noqa: BLE001 - it must not hide the interrupt
                error.add_note(f"atomik: {trouble}")
        elif self._state == "open":
            self._drop(error)

    def _drop(self, error: BaseException | None) -> None:
        """Discard. Trouble on the way becomes a note of `error`, never an error instead of it."""
        self._state = "discarded"
        try:
            for step in (self._release, self._remove_stagings, self._target.unmake_parents, self._close, self._told):
                try:
                    step()
                except Exception as trouble:  # noqa: BLE001 - the caller's own error matters more
                    if error is not None:
                        error.add_note(f"atomik: while discarding {self._target.path!r}: {trouble}")
        finally:
            self._close()  # a second Ctrl-C does not wait for the rest
        _plugins.discarded(self, error)

    def _told(self) -> None:
        self._reached("discarded")
