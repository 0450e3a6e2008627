"""What formats put around the writer, guarded: their ``with`` and their `close` decide about the writer, too.

A format whose process died or failed never touches the writer again, and one whose last flush fails does not reach it:
the staged file would live as long as the exception, and a later `close()` would publish what there is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

from ._writer import AtomicWriter


def guarded(pipe: Any, writer: AtomicWriter) -> Any:
    """Return `pipe`, which a format made around `writer`, so that both end together."""
    return writer if pipe is writer else GuardedPipe(pipe, writer)


class GuardedPipe:
    """Passes everything on to a format's pipe, and sees to it that the writer under it is published or discarded.

    ``isinstance`` sees the pipe's own class.
    """

    def __init__(self, pipe: Any, writer: AtomicWriter) -> None:
        self._pipe = pipe
        self._writer = writer
        with suppress(AttributeError):
            self.write = pipe.write  # called for every line: at the pipe's own speed

    @property  # type: ignore[misc]  # as unittest.mock does
    def __class__(self) -> type:
        return type(self._pipe)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pipe)

    def __enter__(self) -> Any:
        entered = self._pipe.__enter__()
        return self if entered is self._pipe else entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if not self._writer.pending:
            return
        if error is None:
            self._writer.accept()
            self._finish(partial(self._pipe.__exit__, None, None, None))
        else:
            self._give_up(partial(self._pipe.__exit__, kind, error, trace), error)

    def close(self) -> None:
        """Close the pipe, then publish; or discard, as :meth:`AtomicWriter.close` would.

        Raises:
            Exception: what the pipe raises, such as RuntimeError for a process that failed. Nothing is published then.
        """
        if self._writer.failed:
            self._writer.close()  # which discards, and says so
            self._give_up(self._pipe.close)
        elif self._writer.pending:
            self._finish(self._pipe.close)

    def abort(self) -> None:
        """Discard what was written, and end the processes of the format."""
        if self._writer.pending:
            self._give_up(self._pipe.close)

    def _dealloc_warn(self, wrapper: object) -> None:
        self._writer._dealloc_warn(wrapper)

    def _finish(self, close: Callable[[], Any]) -> None:
        try:
            close()
            self._writer.close()  # for a pipe that does not close what it writes to
        except BaseException as error:
            self._give_up(close, error)
            raise

    def _give_up(self, close: Callable[[], Any], error: BaseException | None = None) -> None:
        """Discard, then let the pipe end: what it has to say no longer matters."""
        self._writer.abort()
        with suppress(Exception):
            close()
        for pipe, process in self._processes():
            with suppress(OSError, ValueError):
                process.stdin.close()
            pipe.closed = True  # or its __del__ would flush what is closed
            status = process.wait()
            if error is not None and status:
                error.add_note(f"atomik: the format's process {process.args!r} ended with status {status}")

    def _processes(self) -> Iterator[tuple[Any, Any]]:
        """Yield the processes of the pipe, each with its wrapper (`luigi.format` chains by these attributes)."""
        pipe = self._pipe
        while pipe is not None and pipe is not self._writer:
            inside = getattr(pipe, "__dict__", {})
            if isinstance(inside.get("_process"), subprocess.Popen):
                yield pipe, inside["_process"]
            pipe = inside.get("_stream") or inside.get("_output_pipe")
