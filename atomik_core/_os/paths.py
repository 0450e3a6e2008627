"""Paths as text: which lies in which, and which are above one."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def is_in(path: str, folder: str) -> bool:
    """Say whether a path is that of a folder, or of something in it. Neither ends with a slash."""
    return f"{path}/".startswith(f"{folder}/")


def above(path: str) -> Iterator[str]:
    """Yield the folders above an absolute path, the nearest first, the root last."""
    while path.strip("/"):
        path = os.path.dirname(path.rstrip("/"))
        yield path
