"""What killed processes left: found by name, told from what is alive by its lock, removed without touching anything else."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ._os import locks, metadata, mounts, names, remove
from ._os.calls import GONE
from ._os.descriptors import DIRECTORY, REAL_DIRECTORY, Descriptors
from ._os.filesystems import Filesystem
from ._os.walk import Level, Walk, open_file, open_for_removal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._publish.options import StrPath

_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a publication has staged, or moved out of the way, and has not removed (yet).

    Attributes:
        path: where it is.
        destination: the name that it was to be published under, if that can be seen; else None.
        live: True if a publication, a reader or a cleaner holds it now, and False if nobody does; None if that cannot be known
            on this filesystem, since its locks stay on one host.
        size: its size in bytes, with everything in it.
        changed: when it, or anything in it, was last changed, in seconds since the epoch.
    """

    path: Path
    destination: str | None
    live: bool | None
    size: int
    changed: float


def leftovers(directory: StrPath, *, recursive: bool = False) -> list[Leftover]:
    """List what publications have staged in `directory`, and say whether somebody still holds it. This changes nothing.

    What a killed stage with a root has left elsewhere, and would be removed by :func:`clean` here, is listed, too.

    Args:
        directory: where to look.
        recursive: look in the folders below it, too; not across mounts, and not in what cannot be read.

    Raises:
        OSError: `directory` cannot be opened.
    """
    here = [leftover for _, _, leftover in _find_inspected(directory, recursive=recursive)]
    found = {os.path.realpath(leftover.path): leftover for leftover in here}
    for noted in [noted for leftover in here if not leftover.live for noted in _noted(leftover.path)]:
        with contextlib.suppress(OSError):
            for _, _, leftover in _find_dead_in_noted(noted):
                found.setdefault(os.path.realpath(leftover.path), leftover)
    return list(found.values())


def clean(directory: StrPath, *, recursive: bool = False, force: bool = False) -> list[Leftover]:
    """Remove what killed processes left in `directory`; return what was removed.

    A leftover has a name that only Atomik makes, is a file or a folder, and belongs to the user who runs this (for root: to
    anyone). It is removed only if its lock can be had: whatever is in use is locked, in every container of this kernel. So
    process numbers and ages play no part. No mount is crossed; if something is mounted inside a leftover, both stay. No link is
    followed, but for the notes of a killed stage with a root: they say in which other directories it has staged something,
    and these are cleaned, too. Finished work that was kept (``atomik-kept-…``) is never removed.

    Args:
        directory: where to look.
        recursive: look in the folders below it, too; not across mounts, and not in what cannot be read.
        force: remove also where locks may stay on one host (FUSE, CIFS, 9p), and nobody can know whether another host
            is publishing right now. Be sure that none is. It does not hold for directories that are only noted.

    Raises:
        OSError: `directory` cannot be opened.
    """
    removed: list[Leftover] = []
    for level, name, leftover in _find_inspected(directory, recursive=recursive):
        if leftover.live:
            continue
        is_done = [_clean_noted(noted, removed) for noted in _noted(leftover.path)]
        if all(is_done) and _remove_dead(level.fd, name, force=force):
            removed.append(leftover)
    return removed


def _clean_noted(directory: str, removed: list[Leftover]) -> bool:
    """Clean a directory that is noted in a staging folder; False if that folder has to stay, to say so once more."""
    try:
        for level, name, leftover in _find_dead_in_noted(directory):
            if leftover.live is None:
                return False
            if _remove_dead(level.fd, name, force=False):
                removed.append(leftover)
    except OSError as error:
        return error.errno in {*GONE, errno.ENOTDIR}
    return True


def _find_dead_in_noted(directory: str) -> Iterator[tuple[Level, str, Leftover]]:
    """Yield what nobody is known to hold in a directory that is noted.

    A folder there that has notes itself is left to who cleans that directory.
    """
    for level, name, leftover in _find_inspected(directory, recursive=False):
        if not leftover.live and not _noted(leftover.path):
            yield level, name, leftover


def _noted(staging: Path) -> list[str]:
    """Return the directories that are noted in a staging folder."""
    found = []
    with contextlib.suppress(OSError):
        for name in filter(names.is_reserved, os.listdir(staging)):
            with contextlib.suppress(OSError):
                found.append(os.readlink(staging / name))
    return [directory for directory in found if os.path.isabs(directory)]


def _find_inspected(directory: StrPath, *, recursive: bool) -> Iterator[tuple[Level, str, Leftover]]:
    """Yield the folder, the name and the state of each entry that is Atomik's and may be the caller's to remove."""
    for level, path, name in _find(directory, recursive=recursive):
        leftover = _inspect(level, path, name)
        if leftover is not None:
            yield level, name, leftover


def _find(directory: StrPath, *, recursive: bool) -> Iterator[tuple[Level, str, str]]:
    """Yield the folder, its path and the name of each entry that is Atomik's and may be the caller's to remove."""
    top = os.fsdecode(directory)
    fds = Descriptors()
    try:
        fd = fds.open(top, DIRECTORY)
        for level, done in Walk(fd, "search"):
            if done:
                continue
            ours = [name for name in (*level.files, *level.folders) if names.is_staging_name(name)]
            level.folders = [name for name in level.folders if recursive and not names.is_staging_name(name)]
            for name in ours:
                if _is_ours(level.fd, name):
                    yield level, os.path.join(top, level.path), name
    finally:
        fds.close_all()


def _is_ours(directory: int, name: str) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    user = os.geteuid()
    if user not in (0, status.st_uid) or not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return False
    try:
        return not mounts.is_mount_point(directory, name)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return False


def _inspect(level: Level, path: str, name: str) -> Leftover | None:
    """Look at an entry; None if it is gone meanwhile."""
    fds = Descriptors()
    try:
        status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
        size, changed = status.st_size, status.st_mtime
        destination = live = None
        try:
            fd = fds.open(name, REAL_DIRECTORY if stat.S_ISDIR(status.st_mode) else _FILE, dir_fd=level.fd)
            if stat.S_ISDIR(status.st_mode):
                size, changed = _measure(fd, changed)
                destination = _destination(fd, name)
            # Last, and not for long: while we hold it, whoever would remove it leaves it to us.
            live = _is_live(fds, fd, status)
        except PermissionError:
            pass  # nothing can be seen without changing its mode, which `clean` does
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None
    finally:
        fds.close_all()
    return Leftover(Path(path, name), destination, live, size, changed)


def _is_live(fds: Descriptors, fd: int, status: os.stat_result) -> bool | None:
    """Try to get the lock, and keep it; say whether somebody else has it, None if nobody here can know."""
    scope = Filesystem(fd).lock_scope
    known = scope == "exact"
    if scope == "files" and stat.S_ISDIR(status.st_mode):
        try:
            fd = fds.open(names.LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            known = True
        except FileNotFoundError:
            # Nothing is lost with an empty one: whoever has just made it makes another.
            known = not os.listdir(fd)
    lock = locks.try_lock_exclusive(fd)
    if lock == "busy":
        return True
    return False if lock == "held" and known else None


def _measure(fd: int, changed: float) -> tuple[int, float]:
    size = 0
    for level, done in Walk(fd, "search"):
        for name in () if done else level.files:
            try:
                status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            except OSError as error:
                if error.errno not in GONE:
                    raise
                continue  # somebody is still at work there
            size += status.st_size
            changed = max(changed, status.st_mtime)
    return size, changed


def _destination(fd: int, name: str) -> str | None:
    if not names.is_wrapper_name(name):
        return None
    inner = [each for each in os.listdir(fd) if not names.is_reserved(each)]
    return inner[0] if len(inner) == 1 else None


def _remove_dead(directory: int, name: str, *, force: bool) -> bool:
    """Remove an entry if its lock can be had; False if it is alive, gone, or has to stay."""
    fds, lock_files = Descriptors(), Descriptors()
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        is_folder = stat.S_ISDIR(status.st_mode)
        fd = open_for_removal(fds, directory, name) if is_folder else open_file(fds, directory, name)
        live = _is_live(lock_files, fd, status)
        if live or (live is None and not force) or not locks.is_named(fd, directory, name):
            if is_folder and stat.S_IMODE(os.fstat(fd).st_mode) == stat.S_IRWXU:
                metadata.set_mode(fd, stat.S_IMODE(status.st_mode))  # it had to be given that to be opened
            return False
        if is_folder:
            release = lock_files.close_all if [*lock_files] else None
            return remove.remove_tree(directory, name, fd, release=release) == "removed"
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False  # gone meanwhile, or not ours to remove
    finally:
        lock_files.close_all()
        fds.close_all()
    return True
