"""The progress of a copy: one line on the terminal, rewritten as it goes on and erased at the end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

import click

from . import _format

_INTERVAL: Final = 0.1
_ERASE_LINE: Final = "\r\033[K"


class Progress:
    """What `atomik.copy` reports of its progress. Where standard error is no terminal, nothing is written."""

    def __init__(self, *, quiet: bool, total: int | None) -> None:
        """Write nothing yet.

        Args:
            quiet: whether to write nothing at all.
            total: the number of bytes of a single file; None for a tree, of which nobody has counted either.
        """
        self.wanted = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._total = total
        self._next = 0.0

    def __call__(self, files: int, count: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            click.echo(f"{_ERASE_LINE}{self._line(files, count)}", nl=False, err=True)

    def _line(self, files: int, count: int) -> str:
        if self._total is None:
            return f"{files:,} files, {_format.size(count)}"
        if count > self._total:  # it has grown meanwhile, or is one of /proc, which have no size
            return _format.size(count)
        return f"{_format.size(count)} of {_format.size(self._total)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._next:
            click.echo(_ERASE_LINE, nl=False, err=True)
