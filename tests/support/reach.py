"""Folders that every user can reach: root's own Python and checkout often are not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from support.images import new_folder
from support.namespace import command, lasting

_bound: dict[Path, Path] = {}


def reachable(folder: Path) -> Path:
    """FOLDER itself if every user can reach it, else the same folder seen through a bind mount that all can reach."""
    folder = Path(os.path.abspath(folder))
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in (folder, *folder.parents)):
        return folder
    for bound, seen in _bound.items():
        if folder.is_relative_to(bound):
            return seen / folder.relative_to(bound)
    seen = new_folder("reach")
    with lasting():
        command("mount", "--bind", folder, seen)
    _bound[folder] = seen
    return seen
