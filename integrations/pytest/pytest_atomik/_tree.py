"""What is in a directory: to compare one moment with another."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: Finished work that Atomik could not publish, and kept beside its destination.
_KEPT = "atomik-kept-"


def walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the relative name and status of everything in `top`, sorted, folders before what is in them."""
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            yield os.path.relpath(path, top), os.lstat(path)


def contents(top: Path) -> dict[str, str]:
    """Return what is in `top`, by relative name: the same value, the same content. What Atomik has kept is left out."""
    found: dict[str, str] = {}
    for name, status in walk(top):
        if any(part.startswith(_KEPT) for part in name.split("/")):
            continue
        path = top / name
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                found[name] = f"file {hashlib.file_digest(file, 'sha256').hexdigest()}"
        elif stat.S_ISLNK(status.st_mode):
            found[name] = f"link {os.readlink(path)}"
        else:
            found[name] = f"folder or other {stat.S_IFMT(status.st_mode)}"
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Say what has come, gone and changed, one line each."""
    return [
        f"{name}: {'is new' if name not in before else 'is gone' if name not in after else 'has changed'}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
