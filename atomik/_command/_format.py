"""Paths, numbers and tables as people read them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import click


def printable(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed on one line, whatever bytes are in it."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)[1:-1]


def size(count: float) -> str:
    """Return a number of bytes, such as ``1.5 MB`` (10^6 bytes)."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def age(seconds: float) -> str:
    """Return how long something was ago, such as ``3 h``."""
    for most, length, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{max(0, seconds) // length:.0f} {unit}"
    return f"{seconds // 86_400:,.0f} days"


def duration(seconds: float) -> str:
    """Return how long something takes, such as ``1.3 ms``."""
    return f"{seconds * 1e6:.0f} us" if seconds < 0.001 else f"{seconds * 1e3:.1f} ms"


def table(rows: Iterable[Sequence[str]], indent: int = 0) -> str:
    """Align the columns of a table; the last one is not padded."""
    rows = list(rows)
    widths = [max(map(len, map(click.unstyle, column))) for column in list(zip(*rows, strict=True))[:-1]]
    lines = []
    for row in rows:
        cells = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=False)]
        lines.append(" " * indent + "  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)
