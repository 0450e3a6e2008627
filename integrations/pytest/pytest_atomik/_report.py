"""What the report of a failed test says: what it published and discarded, by which of its lines, and what is on disk."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Final

from ._tree import walk

#: How many entries of a directory are told.
_MANY: Final = 30


def account(story: Iterable[str], tops: Iterable[Path]) -> str:
    """Return the section of a report: what has happened, and what is in the directories `tops`."""
    lines = [*story] or ["nothing was published, and nothing was discarded"]
    for top in tops:
        if not os.path.isdir(top):
            lines.append(f"on disk in {top}: it is gone")
            continue
        there = _listing(top)
        lines.append(f"on disk in {top}:" if there else f"on disk in {top}: nothing")
        lines += [f"  {line}" for line in there]
    return "\n".join(lines)


def current_line(test_file: str) -> str:
    """Return the line of the test's file that is being run; in a thread that has none, that of the innermost other file."""
    nearest = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name == test_file:
            return f"{os.path.basename(name)}:{frame.f_lineno}"
        module = frame.f_globals.get("__name__") or ""
        if nearest is None and not module.startswith(("atomik", "pytest_atomik")):
            nearest = f"{os.path.basename(name)}:{frame.f_lineno}"
        frame = frame.f_back
    return nearest or "nobody"


def _listing(top: Path) -> list[str]:
    """Tell what is on disk in `top`, one line each."""
    lines: list[str] = []
    for name, status in walk(top):
        if len(lines) == _MANY:
            lines.append("and more")
            break
        if stat.S_ISREG(status.st_mode):
            lines.append(f"{name}  {status.st_size} bytes")
        elif stat.S_ISLNK(status.st_mode):
            lines.append(f"{name} -> {os.readlink(top / name)}")
        else:
            lines.append(f"{name}/" if stat.S_ISDIR(status.st_mode) else name)
    return lines
