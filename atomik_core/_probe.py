"""What a filesystem can do, found out there and then."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from . import _explain, _filesystems, _locks, _mounts, _rename, _syscalls, _transfer
from ._descriptors import DIRECTORY, REAL_DIRECTORY, Descriptors
from ._destination import StrPath
from ._filesystems import Locks
from ._required import create, exchange_errno
from ._staging import Staging


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the filesystem of a directory can do.

    Attributes:
        directory: the directory.
        filesystem: its type, as the mount table says it: ``"ext4"``, ``"nfs4"``, ``"fuse.sshfs"``.
        noreplace: renameat2 with RENAME_NOREPLACE works: a new folder is published without any race.
        exchange: renameat2 with RENAME_EXCHANGE works: a folder is replaced in one instant.
        unnamed: a file can be staged without a name (O_TMPFILE): a killed process leaves nothing.
        locks: how far a lock reaches: ``"exact"``: over everybody who can see this filesystem; ``"files"``: on files over
            the network, on folders on one host; ``"unknown"``: perhaps on one host only; ``"none"``: there are none.
        reflink: a copy can share its blocks with the original (FICLONE).
        syncfs: one call writes everything back and reports every error; else each file is synced.
    """

    directory: Path
    filesystem: str
    noreplace: bool
    exchange: bool
    unnamed: bool
    locks: Locks
    reflink: bool
    syncfs: bool


def probe(directory: StrPath) -> Capabilities:
    """Find out what the filesystem of `directory` can do, by doing it; what is made for that is removed.

    Args:
        directory: a directory in which this process may make files.

    Raises:
        OSError: it does not exist, or nothing can be made in it.
    """
    path = os.fsdecode(directory)
    fds = Descriptors()
    staging = None
    try:
        here = fds.open(path, DIRECTORY)
        staging = Staging(fds, here, path)
        try:
            scratch = staging.make_folder()
        except OSError as error:
            raise _explain.at_destination(error, path) from error
        return Capabilities(
            directory=Path(path),
            filesystem=_mounts.filesystem(here)[0],
            noreplace=_refuses_to_replace(scratch),
            exchange=exchange_errno(scratch) is None,
            unnamed=_stages_unnamed(scratch),
            locks=_reach(scratch),
            reflink=_clones(scratch),
            syncfs=_filesystems.is_trusted(here) and _syscalls.kernel() >= (5, 8),
        )
    finally:
        if staging is not None:
            staging.remove()
        fds.close()


def _refuses_to_replace(scratch: int) -> bool:
    create(scratch, "a", "b")
    try:
        # To a free name first: EEXIST comes from the kernel, before the filesystem has seen the flag.
        _syscalls.renameat2(scratch, "a", scratch, "free", _syscalls.RENAME_NOREPLACE)
        _syscalls.renameat2(scratch, "free", scratch, "b", _syscalls.RENAME_NOREPLACE)
    except OSError as error:
        return error.errno == errno.EEXIST
    return False


def _stages_unnamed(scratch: int) -> bool:
    fds = Descriptors()
    try:
        staging = Staging(fds, scratch, "")
        if not staging.make_unnamed(0o600):
            return False
        _rename.link_unnamed(staging.fd, scratch, "u")
    except OSError:
        return False
    finally:
        fds.close()
    return True


def _reach(scratch: int) -> Locks:
    fds = Descriptors()
    try:
        second = fds.open(".", REAL_DIRECTORY, dir_fd=scratch)
        if _locks.share(second) is None or _locks.claim(second) is not False:
            return "none"
    finally:
        fds.close()
    return _filesystems.reach_of_locks(scratch)


def _clones(scratch: int) -> bool:
    # Closed before they are removed: NFS and FUSE would hide them in the scratch folder instead.
    fds = Descriptors()
    try:
        source = fds.open("c", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=scratch)
        target = fds.open("d", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=scratch)
        os.write(source, bytes(65536))
        fcntl.ioctl(target, _transfer.FICLONE, source)
    except OSError:
        return False
    finally:
        fds.close()
    return True
