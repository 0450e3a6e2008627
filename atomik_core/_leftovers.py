"""What killed processes left: found by name, told from what is alive by its lock, removed without touching anything else."""

from __future__ import annotations

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

    Args:
        directory: where to look.
        recursive: look in the folders below it, too; not across mounts, and not in what cannot be read.

    Raises:
        OSError: `directory` cannot be opened.
    """
    found = (_inspect(level, path, name) for level, path, name in _find(directory, recursive=recursive))
    return [leftover for leftover in found if leftover is not None]


def clean(directory: StrPath, *, recursive: bool = False, force: bool = False) -> list[Leftover]:
    """Remove what killed processes left in `directory`; return what was removed.

    A leftover has a name that only Atomik makes, is a file or a folder, and belongs to the user who runs this (for root: to
    anyone). It is removed only if its lock can be had: whatever is in use is locked, in every container of this kernel. So
    process numbers and ages play no part. No link is followed and no mount crossed; if something is mounted inside a leftover,
    both stay. Finished work that was kept (``atomik-kept-…``) is never removed.

    Args:
        directory: where to look.
        recursive: look in the folders below it, too; not across mounts, and not in what cannot be read.
        force: remove also where locks may stay on one host (FUSE, CIFS, 9p), and nobody can know whether another host
            is publishing right now. Be sure that none is.

    Raises:
        OSError: `directory` cannot be opened.
    """
    removed = []
    for level, path, name in _find(directory, recursive=recursive):
        leftover = _inspect(level, path, name)
        if leftover is not None and not leftover.live and _remove_dead(level.fd, name, force=force):
            removed.append(leftover)
    return removed


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
    inner = [each for each in os.listdir(fd) if each != names.LOCK]
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
