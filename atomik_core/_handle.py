"""What the user of `atomik.file` writes to: the layers of :func:`open` over a descriptor that stays ours."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any, Final

_KINDS: Final = frozenset("wxar")


class _Raw(io.FileIO):
    """The descriptor as the buffers see it; remembers the first write that failed.

    The layers above may have lost what they held by it, even if later writes succeed (a `close()` that fails always has):
    who swallows the error must not publish what is left.
    """

    error: OSError | None = None
    #: What `atomik_core.testing.before_writes` wants to be called first, and may fail the write with.
    before_write: Callable[[], object] | None = None

    def write(self, data: Any, /) -> int:
        try:
            if self.before_write is not None:
                self.before_write()
            return super().write(data)
        except OSError as error:
            error.filename = self.name
            self.error = self.error or error
            raise


@cache
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
    return kinds.pop() + ("+" if "+" in letters else ""), "b" in letters


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
        self.raw_mode, self._binary = _parse(mode)
        if self._binary:
            for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
                if value is not None:
                    msg = f"binary mode {mode!r} takes no {name}"
                    raise ValueError(msg)
        elif buffering == 0:
            msg = "text cannot be unbuffered; use a binary mode, or buffering=1 for a line at a time"
            raise ValueError(msg)
        self._buffering = buffering
        self._encoding = encoding
        self._errors = errors
        self._newline = newline
        self._layers: list[Any] = []

    def open(self, fd: int, name: str) -> Any:
        """Put the usual layers over the descriptor and return the uppermost.

        Args:
            fd: the descriptor; it stays open when the layers are closed.
            name: what the user sees as the file's name.
        """
        raw = _Raw(fd, self.raw_mode, closefd=False)
        raw.name = name
        layers: list[Any] = [raw]
        self._layers = layers
        size = self._buffering
        if size != 0:
            buffered = io.BufferedRandom if "+" in self.raw_mode else io.BufferedWriter
            layers.insert(0, buffered(raw, size if size > 1 else io.DEFAULT_BUFFER_SIZE))
        if not self._binary:
            text = io.TextIOWrapper(layers[0], self._encoding, self._errors, self._newline, size == 1)
            text.mode = self.mode  # type: ignore[misc]  # as open() does
            layers.insert(0, text)
        return layers[0]

    @property
    def raw(self) -> _Raw:
        """The lowest layer."""
        raw: _Raw = self._layers[-1]
        return raw

    def close(self) -> None:
        """Flush and close every layer.

        Raises:
            OSError: something that was written did not get to the file, now or before.
        """
        for layer in self._layers:
            try:
                layer.close()
            except UnicodeError:
                raise
            except ValueError:
                continue  # detached: the layer below it still has to be flushed
        if self.raw.error is not None:
            raise self.raw.error

    def abandon(self) -> None:
        """Close without flushing: the lowest layer first, or closing from above would write what is to be dropped."""
        if self._layers:
            self.raw.close()
