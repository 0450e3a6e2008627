"""Publishing what a job has made: all of it in one group, each output as it was made."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import atomik

from . import _capabilities, _settings
from ._staging import Staged

#: What Snakemake puts into a directory to keep the time of its making; here before it is published, not after.
_TIMESTAMP = ".snakemake_timestamp"


def publish(outputs: Sequence[Staged], *, extras: Sequence[Staged] = (), timestamps: bool = True) -> None:
    """Publish all of these outputs, each of which exists at its staged path, or none.

    Files and folders are one group: synced together, then renamed one after the other. Links come last, since they may
    point to these. Where the filesystem has no RENAME_EXCHANGE, which a group needs for what exists already (NFS), such
    outputs follow one by one: a file still replaces the old one in one instant, an old directory is taken away first.

    Args:
        outputs: what to publish.
        extras: what was made beside them, and goes with them as it is.
        timestamps: put Snakemake's time stamp into directories.

    Raises:
        AtomikError, OSError: what :func:`atomik.path` raises; then nothing is published, unless it says so, and what was
            made is at the staged paths still, or kept where the error says.
    """
    outer = [staged for staged in outputs if not staged.nested]
    for staged in outer:
        _touch(staged.path, timestamps=timestamps)
    outer += extras
    links = [staged for staged in outer if os.path.islink(staged.path)]
    single = [staged for staged in outer if staged not in links and _must_be_removed_first(staged)]
    sync = _settings.sync()
    with atomik.group(sync=sync) as group:
        handed_over: list[tuple[Staged, atomik.Publication[Path]]] = []
        try:
            for staged in outer:
                if staged not in links and staged not in single:
                    publication = group.path(
                        staged.destination, overwrite=True, follow_symlinks=False, **_publish_options(staged)
                    )
                    with publication as path:
                        os.rename(staged.path, path)
                    handed_over.append((staged, publication))
        except Exception as error:
            for staged, publication in handed_over:
                _take_back(staged, publication, error)
            raise
    for staged in single:
        if os.path.isdir(staged.path):
            _take_away(staged)
        with atomik.path(
            staged.destination, overwrite=True, follow_symlinks=False, sync=sync, **_publish_options(staged)
        ) as path:
            os.rename(staged.path, path)
    for staged in links:
        if staged.folder:
            _take_away(staged)
        atomik.rename(staged.path, staged.destination, overwrite=True, sync=sync)


def _take_back(staged: Staged, publication: atomik.Publication[Path], error: Exception) -> None:
    """Put an output back where the job made it: the group is about to discard what it has, since another one failed."""
    try:
        shutil.move(publication.staged, staged.path)
    except OSError as trouble:
        error.add_note(f"{staged.output} is lost: {trouble}")


def _publish_options(staged: Staged) -> dict[str, Any]:
    """Say from where an output is published, and that it keeps the mode that it was made with."""
    return {"tmp_dir": staged.tmp_dir, "permissions": stat.S_IMODE(os.lstat(staged.path).st_mode)}


def _touch(path: str, *, timestamps: bool) -> None:
    """Give an output the time of now: what was unpacked or copied may be older than the job's input."""
    if timestamps and os.path.isdir(path) and not os.path.islink(path):
        path = os.path.join(path, _TIMESTAMP)
        with open(path, "a", encoding="ascii"):
            pass
    os.utime(path, follow_symlinks=False)


def _must_be_removed_first(staged: Staged) -> bool:
    """Say whether it replaces something on a filesystem without RENAME_EXCHANGE."""
    return os.path.lexists(staged.destination) and not _capabilities.can_exchange(os.path.dirname(staged.destination))


def _take_away(staged: Staged) -> None:
    """Take an old directory from its destination, if there is one: in one instant, but before the new one is there.

    It is removed with the staging folder, where readers that still have a part of it open are given the most time: FUSE lets
    nobody delete what is open.
    """
    path = staged.destination
    if not os.path.isdir(path) or os.path.islink(path):
        return
    try:
        os.rename(path, os.path.join(os.path.dirname(staged.path), f".replaced-{os.urandom(4).hex()}"))
    except OSError:  # from another filesystem, or a directory whose mode forbids to move it to another parent
        with contextlib.suppress(atomik.LeftoverError):
            atomik.remove(path, sync="off")
