"""What the user of `atomik.file` writes to: the layers of :func:`open` over a descriptor that stays ours."""

from __future__ import annotations

import errno
import io
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from functools import partial
    from operator import index
    from typing import Any, Final

    _lru_cache_wrapper: Any
else:
    # What functools and operator are made of: they themselves take longer to import than a publication. The first is the class
    # of what functools.lru_cache returns; its arguments are the function, maxsize, typed and what `cache_info` calls.
    from _functools import _lru_cache_wrapper, partial
    from _operator import index

#: What the text layer collects before it writes: more than its usual 8 KiB, which makes up for the counting of the writes.
_TEXT_CHUNK: Final = 1 << 16

_KINDS: Final = frozenset("wxar")

#: What is open, for a forked child to be kept from writing it twice.
_open_handles: Final[set[Handle]] = set()


def _misses(*info: int) -> int:
    """Take hits, misses, maxsize and currsize, as `cache_info` does; where nothing is held, each call is a miss."""
    return info[1]


class _Step:
    """One of the calls that `sum` makes one after the other: each adds itself to what the one before it has returned."""

    __slots__ = ("__radd__",)
    __radd__: Callable[[Any], int]

    def __init__(self, call: Callable[[Any], int]) -> None:
        self.__radd__ = call


class _CountedWrites:
    """A raw file's `write`, which counts how often it is begun and how often completed, without a line of Python.

    Who swallows the error of a write must not publish what is left: the layers above may have lost what they held by it, even
    if later writes succeed (a `close()` that fails always has). But a function of Python's between the buffers and the kernel is
    a place where the interpreter runs signal handlers. What a handler raises there reaches the buffers as if nothing had been
    written, and they write it again, or drop it (io.TextIOWrapper); `open` has no such place. So C alone is called: lru_cache
    without a cache counts calls and lets them through, and `sum` adds the steps up from the left.

    Attributes:
        begin: the method to put in the place of the raw file's.
    """

    __slots__ = ("_completed", "begin")

    def __init__(self, write: Callable[[Any], int]) -> None:
        self._completed = _lru_cache_wrapper(index, 0, False, _misses)
        self.begin = _lru_cache_wrapper(partial(sum, (_Step(write), _Step(self._completed))), 0, False, _misses)

    @property
    def have_failed(self) -> bool:
        """Whether any write has failed."""
        failed: bool = self.begin.cache_info() != self._completed.cache_info()
        return failed


class _Unbuffered(io.FileIO):
    """A raw file without a buffer above it, that would see to the rest of a short write (a full disk)."""

    write_some: Callable[[Any], int]

    def write(self, data: Any, /) -> int:
        """Write all of `data`.

        Raises:
            OSError: not all of it could be written.
        """
        view = memoryview(data).cast("B")
        total = 0
        while total < len(view):
            total += self.write_some(view[total:])
        return total

    def __dir__(self) -> list[str]:
        return dir(io.FileIO)


def _kernel_write(raw: io.FileIO) -> Callable[[Any], int]:
    """Return the raw file's own method, which one write to the kernel is, whatever the file says its `write` is.

    It is bound with its type: Python 3.12 and 3.13 crash in the method that is bound without (PyCMethod_New, METH_METHOD).
    """
    write: Callable[[Any], int] = io.FileIO.write.__get__(raw, io.FileIO)
    return write


def _drop(data: Any) -> int:
    """Write nothing: in a forked child, where the buffers' content is the parent's to write."""
    return memoryview(data).nbytes


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

    __slots__ = (
        "_binary",
        "_buffering",
        "_encoding",
        "_errors",
        "_layers",
        "_newline",
        "_refusal",
        "_writes",
        "mode",
        "raw_mode",
    )

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
        self._writes: _CountedWrites | None = None
        self._refusal: OSError | None = None

    def open(self, fd: int, name: str) -> Any:
        """Put the usual layers over the descriptor and return the uppermost.

        Args:
            fd: the descriptor; it stays open when the layers are closed.
            name: what the user sees as the file's name.
        """
        size = self._buffering
        raw: Any = (_Unbuffered if size == 0 else io.FileIO)(fd, self.raw_mode, closefd=False)
        raw.name = name
        self._let_through(raw, _kernel_write(raw))
        if size == 0:
            self._layers = (raw,)
        else:
            buffered: Any = io.BufferedRandom if "+" in self.raw_mode else io.BufferedWriter
            # The text layer collects what it writes itself. A buffer of some size below it, which is flushed before it takes what the
            # text layer has let go of, would lose that to a handler's exception: io.BufferedWriter looks for signals then.
            default = io.DEFAULT_BUFFER_SIZE if self._binary else 1
            buffer = buffered(raw, size if size > 1 else default)
            if self._binary:
                self._layers = (buffer, raw)
            else:
                text: Any = io.TextIOWrapper(buffer, self._encoding, self._errors, self._newline, size == 1)
                text.mode = self.mode  # as open() does
                if "+" not in self.raw_mode:
                    text._CHUNK_SIZE = _TEXT_CHUNK
                self._layers = (text, buffer, raw)
        _open_handles.add(self)
        return self._layers[0]

    def _let_through(self, raw: Any, write: Callable[[Any], int]) -> None:
        """Have this called for each write to the kernel."""
        self._writes = _CountedWrites(write)
        setattr(raw, "write_some" if self._buffering == 0 else "write", self._writes.begin)

    def call_before_writes(self, call: Callable[[], object]) -> None:
        """Have ``call()`` called before each write to the kernel; what it raises fails the write."""
        raw = self._layers[-1]
        write = _kernel_write(raw)

        def write_after_call(data: Any) -> int:
            try:
                call()
            except OSError as error:
                self._refusal = error
                raise
            return int(write(data))

        self._let_through(raw, write_after_call)

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
            except OSError as error:
                error.filename = self._layers[-1].name
                raise
        if self._refusal is not None:
            raise self._refusal
        if self._writes is not None and self._writes.have_failed:
            msg = (
                "A write to this file has failed, and its error was caught: what was to be written then may be missing, "
                "and nothing is published"
            )
            raise OSError(errno.EIO, msg, self._layers[-1].name)
        self._forget()

    def abandon(self) -> None:
        """Close without flushing: the lowest layer first, or closing from above would write what is to be dropped."""
        _open_handles.discard(self)
        if self._layers:
            self._layers[-1].close()
            self._forget()

    def _forget(self) -> None:
        """Have no circle of references keep what is closed."""
        self._layers[-1].__dict__.clear()

    def neutralize_in_child(self) -> None:
        """In a forked child: have the layers drop what they hold and get, so that its exit and its collector write nothing.

        The descriptor stays what it is: programs that the child starts write to it.
        """
        if self._layers:
            setattr(self._layers[-1], "write_some" if self._buffering == 0 else "write", _drop)


def _neutralize_in_child() -> None:
    for handle in _open_handles:
        handle.neutralize_in_child()
    _open_handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_neutralize_in_child)
