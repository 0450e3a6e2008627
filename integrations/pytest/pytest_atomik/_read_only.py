"""What is built is nobody's to change: made read-only, looked at where the kernel lets this user write all the same."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections import defaultdict
from pathlib import Path

from ._tree import walk

_WRITE = 0o222


def protect(top: Path) -> None:
    """Take all permissions to write from a file, or from everything in a folder.

    A file that has a name elsewhere, too, is replaced by a copy of it first: the other name is somebody else's.
    """
    names: dict[tuple[int, int], list[Path]] = defaultdict(list)
    folders = []
    for path, status in _entries(top):
        if stat.S_ISREG(status.st_mode):
            names[status.st_dev, status.st_ino].append(path)
        elif stat.S_ISDIR(status.st_mode):
            folders.append(path)
    for same in names.values():
        if same[0].stat().st_nlink > len(same):
            _separate(same)
        _change_mode(same[0], clear=_WRITE)
    for folder in reversed(folders):  # the innermost first, though nobody needs to write to the outer ones any more
        _change_mode(folder, clear=_WRITE)


def unprotect(top: Path) -> None:
    """Let the owner write to a file, or to everything in a folder."""
    if top.is_dir():
        _change_mode(top, add=0o300)  # or what is in it could not be looked at
    for path, status in _entries(top):
        if stat.S_ISDIR(status.st_mode):
            _change_mode(path, add=0o300)
        elif stat.S_ISREG(status.st_mode):
            _change_mode(path, add=0o200)


def is_writable(built: Path) -> bool:
    """Say whether this process can write to `built` although it is read-only: root can, and some filesystems have no modes."""
    return os.access(built, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def state_of(top: Path) -> dict[str, tuple[int, ...]]:
    """Return what changes when something in `top` is changed: of each entry its mode, inode, size and time."""
    return {
        str(path): (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns) for path, status in _entries(top)
    }


def changes(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> list[str]:
    """Say what has come, gone and changed, one line each; a folder only if nothing that is in it is named."""
    found = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    named = sorted(path for path in found if not any(other.startswith(f"{path}/") for other in found))
    return [
        f"{path} {'is new' if path not in before else 'is gone' if path not in after else 'has changed'}"
        for path in named
    ]


def _entries(top: Path) -> list[tuple[Path, os.stat_result]]:
    """List `top` and everything in it; nothing if it is gone."""
    try:
        first = os.lstat(top)
    except FileNotFoundError:
        return []
    return [(top, first), *((top / name, status) for name, status in walk(top) if stat.S_ISDIR(first.st_mode))]


def _change_mode(path: Path, *, clear: int = 0, add: int = 0) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = mode & ~clear | add
    if wanted != mode:
        path.chmod(wanted)


def _separate(names: list[Path]) -> None:
    """Give these names of one file a file of their own."""
    fd, copied = tempfile.mkstemp(dir=names[0].parent)
    os.close(fd)
    shutil.copy2(names[0], copied)
    for name in names[1:]:
        name.unlink()
    os.replace(copied, names[0])
    for name in names[1:]:
        os.link(names[0], name)
