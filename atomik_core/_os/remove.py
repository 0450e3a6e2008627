"""Removing what is out of sight, without ever leaving it: no link is followed, no mount crossed, no reader robbed."""

from __future__ import annotations

import os
import stat
import time

from . import locks, mounts, names
from .calls import GONE
from .descriptors import DIRECTORY, Descriptors
from .filesystems import Filesystem
from .walk import Walk, ensure_u_rwx, list_folder, open_for_removal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal, TypeAlias

    #: It is gone; somebody who holds it will remove it; something of it has to stay.
    Removal: TypeAlias = Literal["removed", "held", "left"]

#: How often, and for how many seconds each, a file that NFS hides is waited for.
_HIDDEN_ROUNDS: Final = 25
_HIDDEN_PAUSE: Final = 0.02


def _remove_contents(fd: int, *, keeps_lock: bool = False) -> Removal:
    """Remove everything in the folder `fd`, but for its lock file if that is to be kept.

    What is mounted inside stays, untouched: EXCHANGE moves a folder that contains a bind mount, whose device number is
    the same, and a naive rmtree then empties what is mounted there. So does a folder inside that somebody has locked: a
    reader (:func:`atomik.snapshot`, :func:`atomik.copy`) holds it, and tidies when it leaves. Folders without u+rwx are
    given it.
    """
    ensure_u_rwx(fd)
    walk = Walk(fd, "remove")
    complete = True
    for level, done in walk:
        if not done:
            for name in level.files:
                if keeps_lock and level.above is None and name == names.LOCK:
                    continue
                complete &= _remove_entry(os.unlink, name, level.fd)
        elif level.above is not None:
            complete &= _remove_entry(os.rmdir, level.name, level.above.fd)
    if walk.held:
        return "held"
    return "removed" if complete and walk.complete else "left"


def _remove_entry(remove: Callable[..., None], name: str, directory: int) -> bool:
    try:
        remove(name, dir_fd=directory)
    except OSError as error:
        return error.errno in GONE
    return True


def remove_tree(directory: int, name: str, fd: int, *, release: Callable[[], None] | None = None) -> Removal:
    """Remove the folder `name`, held open as `fd`, with everything in it.

    If something is mounted there, `fd` is of that mount, and all of it stays. Where only files' locks travel, its lock file
    is locked until all else is gone, and goes last: if something has to stay (NFS hides what is open instead of removing
    it), that tells whoever cleans up later that nobody needs it any more.

    Args:
        directory: the descriptor of the directory that it is in.
        name: its name.
        fd: its descriptor.
        release: closes the lock file, if the caller has it locked.
    """
    fds = Descriptors()
    try:
        if mounts.mount_id(fd) != mounts.mount_id(directory):
            return "left"
        has_lock = Filesystem(fd).lock_scope == "files"
        if has_lock and release is None and _lock_abandoned(fds, fd) == "busy":
            return "held"
        removal = _remove_hidden_contents(fd) if has_lock else _remove_contents(fd)
        if removal != "removed":
            return removal
        if has_lock:
            # Unlinked first, while nobody else can lock it; NFS hides it, and it goes when it is closed.
            _remove_entry(os.unlink, names.LOCK, fd)
            (release or fds.close_all)()
        return "removed" if _remove_entry(os.rmdir, name, directory) else "left"
    except OSError:
        return "left"
    finally:
        fds.close_all()


def _remove_hidden_contents(fd: int) -> Removal:
    """Remove everything in a folder but its lock file, and wait a moment for what cannot be removed at once.

    NFS hides a file that is open, or that is still being written back, under a name of its own (`.nfs…`), and removes it then.
    """
    for _ in range(_HIDDEN_ROUNDS):
        removal = _remove_contents(fd, keeps_lock=True)
        if removal == "held":
            return removal
        if not set(list_folder(fd)) - {names.LOCK}:
            return "removed"
        time.sleep(_HIDDEN_PAUSE)
    return "left"


def _lock_abandoned(fds: Descriptors, fd: int) -> locks.Lock:
    """Give a folder that is out of sight a lock file, unless it has one, and lock that."""
    ensure_u_rwx(fd)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return locks.try_lock_exclusive(fds.open(names.LOCK, flags, stat.S_IRUSR | stat.S_IWUSR, dir_fd=fd))


def remove_if_unlocked(directory: int, name: str, fd: int = -1) -> Removal:
    """Remove the folder `name` by the rule for locks (or a link that was replaced).

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
        if locks.try_lock_exclusive(fd) == "busy":
            return "held"
        # Another name by now: it is somebody else's.
        return remove_tree(directory, name, fd) if locks.is_named(fd, directory, name) else "held"
    except NotADirectoryError:
        return "removed" if _remove_entry(os.unlink, name, directory) else "left"
    except OSError as error:
        return "removed" if error.errno in GONE else "left"
    finally:
        fds.close_all()


def unlock_and_reap(fd: int) -> None:
    """Give up our shared lock on the folder `fd`, and remove what it is in if that was replaced meanwhile and nobody needs it.

    Unlocked first, looked at then: a writer that could not remove it, since we held it, had put it out of sight before. So
    the last one to leave tidies, be it a reader or the publisher itself. What was put out of sight may be a folder above:
    the whole of it is removed.
    """
    fds = Descriptors()
    try:
        locks.unlock(fd)
        parts = os.readlink(f"/proc/self/fd/{fd}").split("/")
        for depth, name in enumerate(parts):
            if not names.is_staging_name(name):
                continue
            directory = fds.open("/".join(parts[:depth]) or "/", DIRECTORY)
            top = fd if depth == len(parts) - 1 else open_for_removal(fds, directory, name)
            # Only by a lock that everybody sees: what is above may be somebody's work in progress.
            is_exact = Filesystem(top).lock_scope == "exact"
            if is_exact and locks.try_lock_exclusive(top) == "held" and locks.is_named(top, directory, name):
                remove_tree(directory, name, top)
            return
    except OSError:
        pass  # it stays a leftover
    finally:
        fds.close_all()
