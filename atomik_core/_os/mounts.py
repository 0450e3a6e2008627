"""Which mount a descriptor is on, and what to call its filesystem in a message."""

from __future__ import annotations

import os
import sys

from . import calls
from .descriptors import DIRECTORY, Descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: More than the lines of fdinfo that come before those of locks and notifications.
_MOST_INFO: Final = 4096


def mount_id(fd: int) -> int | None:
    """Return the id of the mount that `fd` is on, or None where nobody can tell.

    The device number does not do: a bind mount has that of what it shows. By statx (STATX_MNT_ID, Linux 5.8), before that
    by /proc/self/fdinfo (proc(5)). Elsewhere than on Linux each mount has a device number of its own.
    """
    if sys.platform != "linux":
        return os.fstat(fd).st_dev
    found = calls.mount_id(fd)
    if found is not None:
        return found
    fds = Descriptors()
    try:
        # Not through open(): its layers cost five times as much, and this is asked for every folder of a tree.
        info = os.read(fds.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC), _MOST_INFO)
        return int(info.partition(b"mnt_id:")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return None
    finally:
        fds.close_all()


def mount_id_at(path: str) -> int | None:
    """Return the id of the mount that the directory at a path is on, or None where nobody can tell, or it cannot be opened."""
    fds = Descriptors()
    try:
        return mount_id(fds.open(path, DIRECTORY | getattr(os, "O_PATH", 0)))
    except OSError:
        return None
    finally:
        fds.close_all()


def is_mount_point(directory: int, name: str, attributes: tuple[int, int] | None = None) -> bool:
    """Say whether something is mounted on `name`, a folder or a file; no where nobody can tell: the kernel then does.

    Args:
        directory: the descriptor of the directory that it is in.
        name: its name there.
        attributes: what :func:`atomik_core._os.calls.entry_attributes` says of it, where the caller has asked already.
    """
    found = attributes or calls.entry_attributes(directory, name)
    if found is not None and found[1] & calls.ATTRIBUTE_MOUNT_ROOT:
        return bool(found[0] & calls.ATTRIBUTE_MOUNT_ROOT)
    if sys.platform != "linux":
        try:
            return os.stat(name, dir_fd=directory, follow_symlinks=False).st_dev != mount_id(directory)
        except OSError:
            return False
    fds = Descriptors()
    here = there = None
    try:
        fd = fds.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        here, there = mount_id(directory), mount_id(fd)
    except OSError:
        pass
    finally:
        fds.close_all()
    return None not in (here, there) and here != there


def filesystem(fd: int) -> tuple[str, str]:
    """Return the type of the filesystem that `fd` is on and where that is mounted, each "unknown" where /proc cannot tell."""
    point, kind, _ = _mount(fd)
    return kind, point


def has_local_locks(fd: int) -> bool:
    """Say whether `fd` is on a network mount that keeps its locks to itself: local_lock=all or flock (nfs(5)), localflock."""
    _, _, options = _mount(fd)
    return not {"local_lock=all", "local_lock=flock", "nolock", "localflock"}.isdisjoint(options)


def _mount(fd: int) -> tuple[str, str, list[str]]:
    """Return mount point, type and options of the mount of `fd` (proc(5), /proc/pid/mountinfo)."""
    wanted = mount_id(fd)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                fields, _, source = line.partition(" - ")
                identity, _, _, _, point, *_ = fields.split(" ")
                if int(identity) == wanted:
                    kind, _, options = source.rstrip("\n").split(" ", 2)
                    return _unescape(point), kind, options.split(",")
    except (OSError, ValueError):
        pass
    return "unknown", "unknown", []


def _unescape(path: str) -> str:
    """Undo the table's octal escapes of space, tab, newline and backslash."""
    first, *escaped = path.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in escaped)
