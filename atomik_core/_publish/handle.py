"""What the user of `atomik.file` writes to: the layers of :func:`open` over a descriptor that stays ours."""

from __future__ import annotations

import fcntl
import io
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

_KINDS: Final = frozenset("wxar")

#: What is open, for a forked child to be kept from writing it twice.
_open_handles: Final[set[Handle]] = set()


class _Raw(io.FileIO):
    """The descriptor as the buffers see it; remembers the first write that failed.

    The layers above may have lost what they held by it, even if later writes succeed (a `close()` that fails always has):
    who swallows the error must not publish what is left.
    """

    _error: OSError | None = None
    #: What `atomik_core.testing.before_writes` wants to be called first, and may fail the write with.
    _before_write: Callable[[], object] | None = None
    #: How many bytes the last write has written, if a signal handler's exception has kept its caller from learning that.
    _unreported: list[int] | None = None
    #: Whether a buffer is above, which writes again what it was not told of.
    _is_buffered = True
    #: Whether what is written is dropped: in a forked child, where the buffers' content is the parent's to write.
    _drops = False

    def write(self, data: Any, /) -> int:
        """Write `data` as :meth:`io.FileIO.write` does.

        A signal handler can raise between the kernel's answer and this method's: the buffer above would then write the same
        bytes again. So the count goes into a list before any handler may run, and the next write begins where this one
        began if nobody was told of it. Between the last call and the return no handler runs (CPython looks for signals
        when a call has ended, and at backward jumps).
        """
        if self._drops:
            return memoryview(data).nbytes
        if self._unreported is not None:
            self._take_back()
        try:
            if self._before_write is not None:
                self._before_write()
            if not self._is_buffered:
                return self._write_all(data)
            written: list[int] = []
            self._unreported = written
            written.extend(map(super().write, (data,)))
        except OSError as error:
            self._unreported = None
            error.filename = self.name
            self._error = self._error or error
            raise
        count = written[0]
        self._unreported = None
        return count

    def _write_all(self, data: Any) -> int:
        """Without a buffer above nobody sees to the rest of a short write (a full disk)."""
        view = memoryview(data).cast("B")
        total = 0
        while total < len(view):
            total += super().write(view[total:])
        return total

    def _take_back(self) -> None:
        """Undo the write that the buffer above does not know of, and will repeat."""
        if self._unreported:
            count = self._unreported[0]
            if fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & os.O_APPEND:
                # The offset does not say where appending writes.
                os.ftruncate(self.fileno(), os.fstat(self.fileno()).st_size - count)
            else:
                os.lseek(self.fileno(), -count, os.SEEK_CUR)
        self._unreported = None

    def __dir__(self) -> list[str]:
        return dir(io.FileIO)


#: What a mode means, by the mode: what a raw file takes for it, and whether it is binary.
_modes: Final[dict[str, tuple[str, bool]]] = {}


def _parse(mode: str) -> tuple[str, bool]:
    """Check `mode` as :func:`open` would; return what a raw file takes for it, and whether it is binary.

    Raises:
        ValueError: it is no mode, or does not write.
    """
    letters = set(mode)
    kinds = letters & _KINDS
    if (
        len(kinds) != 1
        or len(letters) != len(mode)
        or not letters <= _KINDS | {"b", "t", "+"}
        or letters >= {"b", "t"}
        or (kinds == {"r"} and "+" not in letters)
    ):
        msg = (
            f"mode is {mode!r}; atomik.file takes each mode of open() that writes: w, x, a, w+, x+, a+, r+, with b or t"
        )
        raise ValueError(msg)
    found = _modes[mode] = kinds.pop() + ("+" if "+" in letters else ""), "b" in letters
    return found


class Handle:
    """An open file to be: how it is opened, and then its layers.

    Attributes:
        mode: as :func:`open` takes it.
        raw_mode: what a raw file takes for it: ``w``, ``x``, ``a`` or ``r``, perhaps with ``+``.
    """

    __slots__ = ("_binary", "_buffering", "_encoding", "_errors", "_layers", "_newline", "mode", "raw_mode")

    def __init__(
        self, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
    ) -> None:
        """Check and remember how to open the file; the arguments are those of :func:`open`.

        Raises:
            ValueError: they contradict each other.
        """
        self.mode = mode
        self.raw_mode, self._binary = _modes.get(mode) or _parse(mode)
        if self._binary:
            if encoding is not None or errors is not None or newline is not None:
                name = "encoding" if encoding is not None else "errors" if errors is not None else "newline"
                msg = f"binary mode {mode!r} takes no {name}"
                raise ValueError(msg)
        elif buffering == 0:
            msg = "text cannot be unbuffered; use a binary mode, or buffering=1 for a line at a time"
            raise ValueError(msg)
        self._buffering = buffering
        self._encoding = encoding
        self._errors = errors
        self._newline = newline
        self._layers: tuple[Any, ...] = ()

    def open(self, fd: int, name: str) -> Any:
        """Put the usual layers over the descriptor and return the uppermost.

        Args:
            fd: the descriptor; it stays open when the layers are closed.
            name: what the user sees as the file's name.
        """
        raw = _Raw(fd, self.raw_mode, closefd=False)
        raw.name = name
        size = self._buffering
        if size == 0:
            raw._is_buffered = False
            self._layers = (raw,)
        else:
            buffered: Any = io.BufferedRandom if "+" in self.raw_mode else io.BufferedWriter
            buffer = buffered(raw, size if size > 1 else io.DEFAULT_BUFFER_SIZE)
            if self._binary:
                self._layers = (buffer, raw)
            else:
                text: Any = io.TextIOWrapper(buffer, self._encoding, self._errors, self._newline, size == 1)
                text.mode = self.mode  # as open() does
                self._layers = (text, buffer, raw)
        _open_handles.add(self)
        return self._layers[0]

    @property
    def raw(self) -> _Raw:
        """The lowest layer."""
        raw: _Raw = self._layers[-1]
        return raw

    def call_before_writes(self, call: Callable[[], object]) -> None:
        """Have ``call()`` called before each write to the kernel; what it raises fails the write."""
        self.raw._before_write = call

    def close(self) -> None:
        """Flush and close every layer.

        Raises:
            OSError: something that was written did not get to the file, now or before.
        """
        _open_handles.discard(self)
        for layer in self._layers:
            try:
                layer.close()
            except UnicodeError:
                raise
            except ValueError:
                continue  # detached: the layer below it still has to be flushed
        raw = self._layers[-1]
        if raw._error is not None:
            raise raw._error

    def abandon(self) -> None:
        """Close without flushing: the lowest layer first, or closing from above would write what is to be dropped."""
        _open_handles.discard(self)
        if self._layers:
            self._layers[-1].close()

    def neutralize_in_child(self) -> None:
        """In a forked child: have the layers drop what they hold and get, so that its exit and its collector write nothing.

        The descriptor stays what it is: programs that the child starts write to it.
        """
        if self._layers:
            self.raw._drops = True


def _neutralize_in_child() -> None:
    for handle in _open_handles:
        handle.neutralize_in_child()
    _open_handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_neutralize_in_child)
