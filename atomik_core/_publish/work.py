"""What a program has made, or changed, while it was told a staged path: told from what stood there, and from what we put there."""

from __future__ import annotations

import os
import stat

from .._os import calls
from .._os.descriptors import REAL_DIRECTORY, Descriptors
from .._os.walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .destination import Destination


def was_changed(destination: Destination, before: os.stat_result | None, since: int) -> bool:
    """Say whether what stands at a destination was made, written to or replaced by itself.

    A version that is another inode, and was made before, is a rival's publication: the program cannot have made it.

    Args:
        destination: where to look.
        before: what stood there.
        since: when that was, in nanoseconds of the filesystem's clock.
    """
    now = destination.stat()
    if now is None:
        return False
    if before is None or (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
        born = calls.birth_time(destination.fd, destination.name)
        return born is None or born[0] * 10**9 + born[1] >= since
    if stat.S_ISDIR(now.st_mode):
        return is_newer(destination.fd, destination.name, since)
    return now.st_mtime_ns != before.st_mtime_ns or now.st_size != before.st_size


def is_newer(directory: int, name: str, since: int) -> bool:
    """Say whether an entry, or anything in it, has changed since a moment, by the one time that no program can set (ctime)."""
    fds = Descriptors()
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return status.st_ctime_ns >= since
        for level, done in Walk(fds.open(name, REAL_DIRECTORY, dir_fd=directory), "search"):
            if done:
                continue
            if os.fstat(level.fd).st_ctime_ns >= since:
                return True
            for each in level.files:
                if os.stat(each, dir_fd=level.fd, follow_symlinks=False).st_ctime_ns >= since:
                    return True
    except FileNotFoundError:
        return True  # it is being changed right now
    except PermissionError:
        return False  # what we may not read, we cannot know
    finally:
        fds.close_all()
    return False


def holds_more_than(directory: int, name: str, made: set[str]) -> bool:
    """Say whether an entry is, or holds, anything but the folders `made` (paths from the directory), which we made ourselves."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or name not in made:
        return True
    return any(True for _ in _foreign(directory, name, made))


def _foreign(directory: int, name: str, made: set[str]) -> Iterator[str]:
    fds = Descriptors()
    try:
        for level, done in Walk(fds.open(name, REAL_DIRECTORY, dir_fd=directory), "search"):
            if done:
                continue
            yield from (f"{name}/{level.path}{each}" for each in level.files)
            yield from (path for each in level.folders if (path := f"{name}/{level.path}{each}") not in made)
    finally:
        fds.close_all()


def remove_unused(directory: int, made: set[str]) -> None:
    """Remove those of the folders that we made in which nothing is, innermost first."""
    for path in sorted(made, reverse=True):
        try:
            os.rmdir(path, dir_fd=directory)
        except OSError:
            continue  # it is in use, or gone


def adapt_link(target: str, staged_in: str, published_in: str) -> str:
    """Return what a symbolic link has to say where it is published to lead where it led where it was made.

    An absolute path of the staging folder becomes one of the destination's. A relative one stays if it leads somewhere from
    the destination; if it only does from where it was made, it is reckoned anew.

    Args:
        target: what it says.
        staged_in: the folder that it was made in.
        published_in: the folder that it is published in.
    """
    if target.startswith("/"):
        inside = target == staged_in or target.startswith(f"{staged_in}/")
        return published_in + target[len(staged_in) :] if inside else target
    here, there = os.path.join(staged_in, target), os.path.join(published_in, target)
    if os.path.lexists(there) or not os.path.lexists(here):
        return target
    led_to = os.path.normpath(here)
    if led_to == staged_in or led_to.startswith(f"{staged_in}/"):
        return target  # to a neighbour, which is published beside it
    return os.path.relpath(led_to, published_in)
