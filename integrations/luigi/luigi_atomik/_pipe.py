"""What formats put around the writer, guarded: their ``with`` and their `close` decide about the writer, too.

A format whose process died or failed never touches the writer again, and one whose last flush fails does not reach it:
the staged file would live as long as the exception, and a later `close()` would publish what there is.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from operator import attrgetter
from types import TracebackType
from typing import Any

from ._writer import AtomicWriter


def guarded(pipe: Any, writer: AtomicWriter) -> Any:
    """Return `pipe`, which a format made around `writer`, so that both end together.

    It stays the same object, of a subclass of its own class: libraries ask ``issubclass(type(file), io.TextIOBase)``. Only
    an object of a class that is written in C cannot change its class, and gets a proxy.
    """
    if pipe is writer:
        return writer
    try:
        pipe.__class__ = _guarded_class(type(pipe))  # type: ignore[arg-type]  # classes are hashable
    except TypeError:
        return (TextProxy if isinstance(pipe, io.TextIOWrapper) else OpaqueProxy)(pipe, writer)
    pipe._atomik_writer = writer
    return pipe


class _Guard:
    """The methods that end a pipe, the same for both kinds of guard."""

    __slots__ = ()

    _atomik_writer: AtomicWriter

    @property
    def _pipe(self) -> Any:
        """The pipe itself: the object, for its attributes."""
        return self

    @property
    def _own(self) -> Any:
        """What has the methods that the format gave to the pipe."""
        return super()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if not self._atomik_writer.pending:
            return
        if error is None:
            self._atomik_writer.accept()
            self._finish(partial(self._own.__exit__, None, None, None))
        else:
            self._give_up(partial(self._own.__exit__, kind, error, trace), error)

    def close(self) -> None:
        """Close the pipe, then publish; or discard, as :meth:`AtomicWriter.close` would.

        Raises:
            Exception: what the pipe raises, such as RuntimeError for a process that failed. Nothing is published then.
        """
        if self._atomik_writer.failed:
            self._atomik_writer.close()  # which discards, and says so
            self._give_up(self._own.close)
        elif self._atomik_writer.pending:
            self._finish(self._own.close)

    def abort(self) -> None:
        """Discard what was written, and end the processes of the format."""
        if self._atomik_writer.pending:
            self._give_up(self._own.close)

    def __del__(self) -> None:
        # The pipe's own would flush, or close and so publish, what nobody said was complete.
        try:
            self.abort()
        except AttributeError:
            pass  # interrupted while it was made

    def _dealloc_warn(self, wrapper: object) -> None:
        self._atomik_writer._dealloc_warn(wrapper)

    def _finish(self, close: Callable[[], Any]) -> None:
        try:
            close()
            self._atomik_writer.close()  # for a pipe that does not close what it writes to
        except BaseException as error:
            self._give_up(close, error)
            raise

    def _give_up(self, close: Callable[[], Any], error: BaseException | None = None) -> None:
        """Discard, then let the pipe end: what it has to say no longer matters."""
        self._atomik_writer.abort()
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
        while pipe is not None and pipe is not self._atomik_writer:
            inside = getattr(pipe, "__dict__", {})
            if isinstance(inside.get("_process"), subprocess.Popen):
                yield pipe, inside["_process"]
            pipe = inside.get("_stream") or inside.get("_output_pipe")


@cache
def _guarded_class(kind: type) -> type:
    return type(kind)(kind.__name__, (_Guard, kind), {"__slots__": (), "__module__": kind.__module__})


class _Proxy(_Guard):
    """Passes everything on to a pipe that cannot change its class."""

    _pipe: Any = None
    _own: Any = None

    def __init__(self, pipe: Any, writer: AtomicWriter) -> None:
        self._pipe = self._own = pipe
        self._atomik_writer = writer
        with suppress(AttributeError):
            self.write = pipe.write  # called for every line: at the pipe's own speed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __repr__(self) -> str:
        return repr(self._pipe)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pipe)

    def __enter__(self) -> Any:
        entered = self._pipe.__enter__()
        return self if entered is self._pipe else entered


class OpaqueProxy(_Proxy):
    """A proxy of which ``isinstance`` says that it is of the pipe's own class."""

    @property  # type: ignore[misc]  # as unittest.mock does
    def __class__(self) -> type:
        return type(self._pipe)


class TextProxy(_Proxy, io.TextIOWrapper):
    """A proxy of an io.TextIOWrapper that is one, also for who asks its type."""

    # All that io.TextIOWrapper would answer itself, for a file that was never opened.
    locals().update(
        (name, property(attrgetter(f"_pipe.{name}")))
        for name in dir(io.TextIOWrapper)
        if not name.startswith("_") and name not in {"close", "write"}
    )
