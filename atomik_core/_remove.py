"""Removing what is out of sight, without ever leaving it: no link is followed, no mount crossed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from . import _locks, _mounts, _names
from ._descriptors import DIRECTORY, Descriptors
from ._tree import Walk, open_for_removal


def contents(fd: int) -> bool:
    """Remove everything in the folder `fd`; False if something had to stay.

    What is mounted inside stays, untouched: EXCHANGE moves a folder that contains a bind mount, whose device number is
    the same, and a naive rmtree then empties what is mounted there. Folders without u+rwx are given it.
    """
    if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(fd, stat.S_IRWXU)
    walk = Walk(fd, "remove")
    complete = True
    for level, done in walk:
        if not done:
            for name in level.files:
                complete &= _gone(os.unlink, name, level.fd)
        elif level.above is not None:
            complete &= _gone(os.rmdir, level.name, level.above.fd)
    return complete and walk.complete


def _gone(remove: Callable[..., None], name: str, directory: int) -> bool:
    try:
        remove(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def tree(directory: int, name: str, fd: int) -> bool:
    """Remove the folder `name`, held open as `fd`, with everything in it; False if something had to stay.

    If something is mounted there, `fd` is of that mount, and all of it stays.
    """
    try:
        if _mounts.mount_id(fd) != _mounts.mount_id(directory):
            return False
        return contents(fd) and _gone(os.rmdir, name, directory)
    except OSError:
        return False


def unneeded(directory: int, name: str, fd: int = -1) -> bool:
    """Remove the folder `name` by the rule for locks (or a link that was replaced); False if something had to stay.

    It stays if a reader, a publisher or a cleaner holds it: the last of them tidies. Where a filesystem has no locks,
    nobody can hold it.

    Args:
        directory: the descriptor of the directory that it is in.
        name: its staging name.
        fd: its descriptor, if we hold it (and perhaps its shared lock) already.
    """
    fds = Descriptors()
    try:
        if fd == -1:
            fd = open_for_removal(fds, directory, name)
        if _locks.claim(fd) is False or not _locks.is_named(fd, directory, name):
            return False
        return tree(directory, name, fd)
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return _gone(os.unlink, name, directory)
    except OSError:
        return False
    finally:
        fds.close()


def leave(fd: int) -> None:
    """Give up our shared lock on the folder `fd`, and remove it if it was replaced meanwhile and nobody else needs it.

    Unlocked first, looked at then: a writer that could not remove it, since we held it, had put it out of sight before. So
    the last one to leave tidies, be it a reader or the publisher itself.
    """
    fds = Descriptors()
    try:
        _locks.release(fd)
        folder, name = os.path.split(os.readlink(f"/proc/self/fd/{fd}"))
        if not _names.is_staging_name(name):
            return
        directory = fds.open(folder, DIRECTORY)
        if _locks.claim(fd) is True and _locks.is_named(fd, directory, name):
            tree(directory, name, fd)
    except OSError:
        pass  # it stays a leftover
    finally:
        fds.close()
