"""The lines of code that lead to a step."""

from __future__ import annotations

import linecache
import posixpath
import sysconfig
from collections.abc import Sequence
from typing import Final, TypeAlias

#: File, line and function.
Frame: TypeAlias = tuple[str, int, str]

_PACKAGE: Final = posixpath.dirname(posixpath.dirname(__file__))
_STANDARD: Final = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib"))
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")
_ATOMIK: Final = ("/atomik_core/", "/atomik/__init__.py")


def own_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames of the function, without those that have called it; innermost first."""
    own = []
    for frame in frames:
        if frame[0].startswith(_PACKAGE):
            break
        own.append(frame)
    return own


def is_users(file: str) -> bool:
    """Return whether a file is neither Python's, nor installed, nor Atomik's."""
    if file.startswith("<") or any(part in file for part in (*_INSTALLED, *_ATOMIK)):
        return False
    return not file.startswith(_STANDARD)


def line_of(frames: Sequence[Frame], base: str) -> str:
    """Return the innermost line that is the user's own: where it is, and what stands there."""
    own = own_frames(frames)
    frame = next((frame for frame in own if is_users(frame[0])), own[0] if own else None)
    if frame is None:
        return ""
    file, number, _ = frame
    return f"{file.removeprefix(f'{base}/')}:{number}  {linecache.getline(file, number).strip()}".rstrip()


def traceback_of(frames: Sequence[Frame]) -> str:
    """Return the frames as Python prints them, the most recent last."""
    lines = []
    for file, number, function in reversed(own_frames(frames)):
        lines.append(f'  File "{file}", line {number}, in {function}')
        if text := linecache.getline(file, number).strip():
            lines.append(f"    {text}")
    return "\n".join(lines)
