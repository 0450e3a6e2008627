"""Standard output that says when it cannot be written to: closed, full, or read by nobody any more."""

from __future__ import annotations

import errno
import io
import os
import signal
from typing import Any, Final, TextIO

from ._errors import Failure
from ._signals import EndedBySignal

_DESCRIPTOR: Final = 1


def checked(stream: TextIO | None) -> TextIO:
    """Return what to use as ``sys.stdout`` in place of `stream`: writing to it raises what the command says and ends with.

    Args:
        stream: what Python has made of standard output; None if it was closed when the process started, whatever has its
            descriptor by now.
    """
    raw = _StandardOutput(is_open=stream is not None)
    encoding, errors = (stream.encoding, stream.errors) if stream is not None else ("utf-8", None)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors)


class _StandardOutput(io.RawIOBase):
    """The descriptor. After its first error it takes everything, so that nothing is left to fail at exit."""

    def __init__(self, *, is_open: bool) -> None:
        super().__init__()
        self._is_open = is_open
        self._failed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _DESCRIPTOR

    def isatty(self) -> bool:
        return self._is_open and os.isatty(_DESCRIPTOR)

    def write(self, data: Any, /) -> int:
        if self._failed:
            return len(data)
        if not self._is_open:
            self._failed = True
            msg = "standard output is closed"
            raise Failure(msg)
        try:
            return os.write(_DESCRIPTOR, data)
        except OSError as error:
            self._failed = True
            if error.errno == errno.EPIPE:
                # As the signal that Python ignores would have ended it.
                raise EndedBySignal(signal.SIGPIPE) from error
            msg = f"standard output cannot be written to: {error.strerror}"
            raise Failure(msg) from error
