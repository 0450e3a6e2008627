"""What makes content and names survive a power cut, in the order that the crash tests proved.

Content is synced before it gets its name, the directory after it, and only then may the old version go: exchanging and
removing without the first sync loses the old *and* the new (ext4 and xfs, on the next commit of the journal).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias, cast, get_args

from . import _filesystems, _mounts, _syscalls
from ._descriptors import Descriptors
from ._tree import Walk
from .errors import NotDurableError, UnsupportedFilesystemError

#: SQLite's words for how much a power cut may take: nothing, the newest version, anything.
Sync: TypeAlias = Literal["full", "normal", "off"]

#: Up to so many files and folders are fsynced each: syncfs flushes everybody else's data, too.
HANDFUL: Final = 8

#: What a filesystem answers that cannot sync a directory (vboxsf, CIFS before Linux 4.17, some FUSE servers).
_NO_DIRECTORY_SYNC: Final = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


def level(sync: str | None) -> Sync:
    """Return the level that is meant: `sync`, else what ATOMIK_SYNC says now, else "full".

    Raises:
        ValueError: for any other word.
    """
    word = sync if sync is not None else os.environ.get("ATOMIK_SYNC") or "full"
    if word not in {"full", "normal", "off"}:
        where = "sync" if sync is not None else "the environment variable ATOMIK_SYNC"
        msg = f"{where} is {word!r}; it takes {', '.join(map(repr, get_args(Sync)))}"
        raise ValueError(msg)
    return cast("Sync", word)


def require_directory_sync(directory: int, destination: str) -> None:
    """Find out at the start whether names in `directory` can be made durable at all.

    Raises:
        UnsupportedFilesystemError: where the filesystem cannot sync a directory.
    """
    if _filesystems.is_trusted(directory):
        return
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
        kind, point = _mounts.filesystem(directory)
        msg = (
            f"{kind} (mounted at {point}) has no fsync of a directory ({error.strerror}): what is published may be gone "
            'after a power cut; pass sync="normal" to accept that'
        )
        raise UnsupportedFilesystemError(error.errno, msg, destination) from error


def flush(fd: int) -> None:
    """Have a network filesystem say now whether it took what was written: it does at each close, not only the last."""
    if not _filesystems.is_trusted(fd):
        os.close(os.dup(fd))


def names(directories: Iterable[int], destination: str) -> None:
    """Make names durable that were made or changed in these directories, and are visible already.

    Raises:
        NotDurableError: one of them could not be synced.
    """
    try:
        for directory in directories:
            os.fsync(directory)
    except OSError as error:
        raise not_durable(error, destination) from error


def not_durable(error: OSError, destination: str) -> NotDurableError:
    """Return the error for what is published, but may be undone by a power cut."""
    msg = f"Done and visible, but a power cut may undo it: the directory could not be synced ({error.strerror})"
    return NotDurableError(error.errno, msg, destination)


def folder(fd: int) -> None:
    """Make everything in the folder `fd` durable, which was opened before anything was made in it.

    Raises:
        OSError: something may not have reached the disk; a second try would only say so no more.
    """
    contents([fd], fd)


def contents(fds: Sequence[int], oldest: int) -> None:
    """Make files and folders durable: fsync for a handful, syncfs where it tells the truth, else a walk.

    Args:
        fds: the files and folders, all on one filesystem.
        oldest: a descriptor on it, opened before anything was made: syncfs reports the write-back errors since then,
            where a late fsync of a file says success after an earlier failure (ext4, xfs; seen).

    Raises:
        OSError: something may not have reached the disk; a second try would only say so no more.
    """
    trusted = can_sync_whole(oldest)
    try:
        if not trusted or _are_a_handful(fds):
            for fd in fds:
                _each(fd)
            return
    except PermissionError:  # a file or folder in it that even its owner may not read
        if not trusted:
            raise
    _syscalls.syncfs(oldest)


def _are_a_handful(fds: Sequence[int]) -> bool:
    count = len(fds)
    for fd in fds:
        if count > HANDFUL:
            return False
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            continue
        for inner, done in Walk(fd, "read"):
            if not done:
                count += len(inner.files) + len(inner.folders)
                if count > HANDFUL:
                    return False
    return count <= HANDFUL


def can_sync_whole(fd: int) -> bool:
    """Say whether syncfs does here what fsync of each file would; before Linux 5.8 it hid write-back errors (syncfs(2))."""
    return _syscalls.kernel() >= (5, 8) and _filesystems.is_trusted(fd)


def _each(fd: int) -> None:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        os.fsync(fd)
        return
    for inner, done in Walk(fd, "read"):
        if done:
            os.fsync(inner.fd)
        else:
            for name in inner.files:
                _file(inner.fd, name)


def _file(directory: int, name: str) -> None:
    fds = Descriptors()
    try:
        # O_NONBLOCK: a FIFO in the folder must not wait for a writer.
        fd = fds.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.fsync(fd)
    except OSError as error:
        # A symbolic link or a socket is in its folder's blocks; fsync says neither.
        if error.errno not in {errno.ELOOP, errno.ENXIO}:
            raise
    finally:
        fds.close()
