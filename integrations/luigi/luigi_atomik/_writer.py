"""What ``open("w")`` writes to: a real file that publishes on a clean close, and is discarded otherwise."""

from __future__ import annotations

import io
import logging
import os
import sys
from types import TracebackType
from typing import IO, Any, cast

import atomik

logger = logging.getLogger("luigi-interface")


class AtomicWriter(io.BufferedWriter):
    """A file on its way to a target. Formats wrap it, and set attributes on it; Popen takes its `fileno()`.

    `close()` publishes once, and only on a clean close: not after an exception in the ``with`` block, not from the garbage
    collector, not in a forked child, and not while an exception is being handled that was raised after the file was opened,
    which is when ``finally: f.close()`` and the end of ``with io.TextIOWrapper(f):`` close it after a failure.
    """

    def __init__(self, publication: atomik.Publication[IO[Any]], path: str, *, sync_all: bool = False) -> None:
        """Open `publication`, which is one of an unbuffered binary file, to be published at `path`.

        With `sync_all`, the whole machine is synced when it is published.

        Raises:
            OSError: what `publication.open()` raises.
        """
        self._publication = publication
        self._handled = sys.exception()
        self._given_up = False
        self._sync_all = sync_all
        #: The target's path.
        self.path = path
        #: Whether it is neither published nor discarded yet. (The publication knows, but to ask it takes ten times as long.)
        self.pending = False
        super().__init__(cast("io.RawIOBase", publication.open()))
        self.pending = True

    @property
    def tmp_path(self) -> str:
        """A path to what has been written so far, for programs that open it themselves; after the end, the target's own."""
        return str(self._publication.staged) if self.pending else self.path

    @property
    def name(self) -> str:
        """The same as `tmp_path`: a program that is given ``f.name`` must not write to the target itself."""
        return self.tmp_path

    @property
    def failed(self) -> bool:
        """Whether closing it now would discard it."""
        if self._given_up:
            return True
        passing = sys.exception()
        return passing is not None and passing is not self._handled

    def accept(self) -> None:
        """Say that an exception that is being handled now is not about this file: its ``with`` block ended without one."""
        self._handled = sys.exception()

    def close(self) -> None:
        """Publish. Repeated, or after `abort`, it does nothing.

        Raises:
            OSError: what is left could not be written, or not be published; the target is as it was before.
        """
        if not self.pending:
            return
        if self.failed:
            self._warn()
            self.abort()
            return
        try:
            self.flush()
            self._publication.publish()
        except BaseException:
            self.abort()
            raise
        self.pending = False
        if self._sync_all:
            os.sync()
        self._handled = None  # its traceback may hold the frame that holds this

    def abort(self) -> None:
        """Discard. Nothing is flushed; repeated, or after `close`, it does nothing."""
        self._publication.discard()
        self.pending = False
        self._handled = None

    def _warn(self) -> None:
        error = sys.exception()
        if error is not None and not self._given_up:
            logger.warning(
                "%s: discarded, since it was closed while an exception was being handled (%s: %s); "
                "to publish in spite of one, close it after the except block",
                self.path,
                type(error).__name__,
                error,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is not None:
            self.abort()
        elif self.pending:
            self.accept()
            self.close()

    def __del__(self) -> None:
        # IOBase.__del__ would call close().
        if self.pending:
            self.abort()

    def _dealloc_warn(self, _wrapper: object) -> None:
        """The collector is about to close an io wrapper around this, of which nobody said that it was complete.

        CPython's io calls this first, then `flush` and `close`: those shall find it open, but publish nothing.
        """
        self._given_up = True
