"""Copies of a directory, removals, and room beside it, that no mock deceives."""

from __future__ import annotations

import contextlib
import posix
import posixpath
import stat
import sys
from typing import Final

from ._log import clone, copy_range

_ALL: Final = 1 << 62


def keep(top: str, folder: str, name: str) -> None:
    """Copy what is in a directory to ``folder/name``, making the folders, and taking the place of an earlier copy."""
    made = ""
    for part in folder.split("/"):
        made += f"{part}/"
        with contextlib.suppress(FileExistsError):
            posix.mkdir(made)
    remove(f"{folder}/{name}")
    _copy(top, f"{folder}/{name}")


def remove(path: str) -> None:
    """Remove what is at a path, if anything is, without following links."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return
    except OSError:
        with contextlib.suppress(PermissionError):
            posix.chmod(path, 0o700)
        for name in posix.listdir(path):
            remove(f"{path}/{name}")
        posix.rmdir(path)


def _copy(source: str, target: str) -> None:
    status = posix.lstat(source)
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        posix.mkdir(target, 0o700)
        with contextlib.suppress(PermissionError):
            for name in posix.listdir(source):
                _copy(f"{source}/{name}", f"{target}/{name}")
    elif stat.S_ISLNK(mode):
        posix.symlink(posix.readlink(source), target)
        return
    elif stat.S_ISREG(mode):
        with contextlib.suppress(PermissionError):
            _copy_content(source, target)
    else:
        posix.mknod(target, mode, status.st_rdev)
    posix.chmod(target, stat.S_IMODE(mode))
    posix.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_content(source: str, target: str) -> None:
    fd = posix.open(source, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        copy = posix.open(target, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
        try:
            if not clone(fd, copy):
                copy_range(fd, copy, _ALL, 0, 0)
        finally:
            posix.close(copy)
    finally:
        posix.close(fd)


def folder_beside(top: str) -> str:
    """Make a folder beside a directory, where what a crash does not leave can wait."""
    parent, _, name = top.rpartition("/")
    number = 0
    while True:
        number += 1
        folder = f"{parent}/.{name[:100]}-crashes-{posix.getpid()}-{number}"
        try:
            posix.mkdir(folder, 0o700)
        except FileExistsError:
            continue
        if posix.stat(folder).st_dev != posix.stat(top).st_dev:
            posix.rmdir(folder)
            msg = f"{top} is a mount point: atomic_tmp.crashes needs room beside it, on the same filesystem"
            raise RuntimeError(msg)
        return folder


def real_path(path: str) -> str:
    """Return a directory's path without links, as the kernel has it."""
    if sys.platform != "linux":
        return posixpath.realpath(path)
    fd = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        return posix.readlink(f"/proc/self/fd/{fd}")
    finally:
        posix.close(fd)
