"""What is at a path, in one word. It imports little: watchers and their like start with it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import select
import stat
import sys
from pathlib import Path

#: The state of a path with nothing at it, and of one that the user may not read.
ABSENT = "absent"
FORBIDDEN = "forbidden"

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def state(path: str | Path) -> str:
    """What is at PATH: ABSENT, FORBIDDEN, or a digest of kinds, modes, names and contents.

    A folder is read through one descriptor. If another one has taken its place meanwhile, what was read may be a tree
    in the middle of its removal, which is nobody's state: the new one is read instead.
    """
    while True:
        try:
            descriptor = os.open(path, _OPEN)
        except FileNotFoundError:
            return ABSENT
        except PermissionError:
            return FORBIDDEN
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return f"link {os.readlink(path)}"
        try:
            opened = os.fstat(descriptor)
            found = _digest(descriptor, opened)
            if not stat.S_ISDIR(opened.st_mode) or _is_at(path, opened):
                return found
        finally:
            os.close(descriptor)


def watch() -> None:
    """Run a watcher's process: look at `sys.argv[1]` until standard input ends.

    Then print how often, and the states one after another.
    """
    path = sys.argv[1]
    history = [state(path)]
    looks = 1
    sys.stdout.write("looking\n")
    sys.stdout.flush()
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    while not poll.poll(0):
        seen = state(path)
        looks += 1
        if history[-1] != seen:
            history.append(seen)
    json.dump([looks, history], sys.stdout)


def _is_at(path: str | Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), opened)
    except FileNotFoundError:
        return False


def _digest(descriptor: int, status: os.stat_result) -> str:
    """Digest the file or folder that DESCRIPTOR is open on; that an entry vanishes while it is read is part of it."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode):
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read()
        return f"file {mode:o} {len(content)} bytes {hashlib.blake2b(content, digest_size=8).hexdigest()}"
    entries = hashlib.blake2b(digest_size=8)
    names = sorted(os.listdir(descriptor))
    for name in names:
        try:
            entries.update(os.fsencode(f"{name}\0{_entry(name, descriptor)}\0"))
        except FileNotFoundError:
            entries.update(os.fsencode(f"{name}\0vanished\0"))
    return f"folder {mode:o} {len(names)} entries {entries.hexdigest()}"


def _entry(name: str, folder: int) -> str:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return f"link {os.readlink(name, dir_fd=folder)}"
    descriptor = os.open(name, _OPEN, dir_fd=folder)
    try:
        return _digest(descriptor, os.fstat(descriptor))
    finally:
        os.close(descriptor)
