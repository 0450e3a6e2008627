"""How far a copy is: one line on the terminal, written over and over, gone at the end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

import click

from . import _words

_EVERY: Final = 0.1
_WIPE: Final = "\r\033[K"


class Progress:
    """What `atomik.copy` tells of its progress. Where standard error is no terminal, nothing is written."""

    def __init__(self, *, quiet: bool) -> None:
        self.wanted = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, files: int, size: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            click.echo(f"{_WIPE}{files:,} files, {_words.size(size)}", nl=False, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._next:
            click.echo(_WIPE, nl=False, err=True)
