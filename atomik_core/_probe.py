"""What a filesystem can do, found out by trying."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ._os import calls, locks, mounts, rename
from ._os.copying import FICLONE
from ._os.descriptors import DIRECTORY, REAL_DIRECTORY, Descriptors
from ._os.filesystems import Filesystem
from ._publish import explain
from ._publish.destination import OpenDirectory
from ._publish.required import create, exchange_errno
from ._publish.staging import Sibling, stage_unnamed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._os.filesystems import LockScope
    from ._publish.options import StrPath


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the filesystem of a directory can do.

    Attributes:
        directory: the directory.
        filesystem: its type, as the mount table has it: ``"ext4"``, ``"nfs4"``, ``"fuse.sshfs"``.
        noreplace: renameat2 with RENAME_NOREPLACE works: a new folder is published without any race.
        exchange: renameat2 with RENAME_EXCHANGE works: a folder is replaced in one instant.
        unnamed: a file can be staged without a name (O_TMPFILE): a killed process leaves nothing.
        locks: who sees a lock. ``"exact"``: everybody who can see this filesystem; ``"files"``: for a lock on a file, every
            host, for a lock on a folder, only its own host; ``"unknown"``: perhaps only one host; ``"none"``: there are no
            locks.
        reflink: a copy can share its blocks with the original (FICLONE).
        syncfs: one call writes everything back and reports every error; if False, each file is synced by itself.
    """

    directory: Path
    filesystem: str
    noreplace: bool
    exchange: bool
    unnamed: bool
    locks: LockScope | Literal["none"]
    reflink: bool
    syncfs: bool


def probe(directory: StrPath) -> Capabilities:
    """Find out what the filesystem of `directory` can do, by trying it; what is made for that is removed.

    Args:
        directory: a directory in which this process may make files.

    Raises:
        OSError: it does not exist, or nothing can be made in it.
    """
    path = os.fsdecode(directory)
    fds = Descriptors()
    sibling = None
    try:
        here = fds.open(path, DIRECTORY)
        sibling = Sibling(OpenDirectory(here, path))
        try:
            scratch = sibling.make_folder(fds)
        except OSError as error:
            raise explain.at_destination(error, path) from error
        return Capabilities(
            directory=Path(path),
            filesystem=mounts.filesystem(here)[0],
            noreplace=_refuses_to_replace(scratch),
            exchange=exchange_errno(scratch) is None,
            unnamed=_stages_unnamed(scratch),
            locks=_lock_scope(scratch),
            reflink=_clones(scratch),
            syncfs=Filesystem(here).has_reliable_syncfs,
        )
    finally:
        if sibling is not None:
            sibling.remove()
        fds.close_all()


def _refuses_to_replace(scratch: int) -> bool:
    create(scratch, "a", "b")
    try:
        # To a free name first: EEXIST comes from the kernel, before the filesystem has seen the flag.
        calls.renameat2(scratch, "a", scratch, "free", calls.RENAME_NOREPLACE)
        calls.renameat2(scratch, "free", scratch, "b", calls.RENAME_NOREPLACE)
    except OSError as error:
        return error.errno == errno.EEXIST
    return False


def _stages_unnamed(scratch: int) -> bool:
    fds = Descriptors()
    try:
        unnamed = stage_unnamed(fds, OpenDirectory(scratch, ""), 0o600)
        if unnamed is None:
            return False
        rename.link_unnamed(unnamed.content, scratch, "u")
    except OSError:
        return False
    finally:
        fds.close_all()
    return True


def _lock_scope(scratch: int) -> LockScope | Literal["none"]:
    fds = Descriptors()
    try:
        second = fds.open(".", REAL_DIRECTORY, dir_fd=scratch)
        if locks.try_lock_shared(second) == "unsupported" or locks.try_lock_exclusive(second) != "busy":
            return "none"
    finally:
        fds.close_all()
    return Filesystem(scratch).lock_scope


def _clones(scratch: int) -> bool:
    # Closed before they are removed: NFS and FUSE would hide them in the scratch folder instead.
    fds = Descriptors()
    try:
        source = fds.open("c", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=scratch)
        target = fds.open("d", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=scratch)
        os.write(source, bytes(65536))
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    finally:
        fds.close_all()
    return True
