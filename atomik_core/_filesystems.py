"""What is known of filesystems by their magic numbers (fstatfs(2), include/uapi/linux/magic.h); all else is tried."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from . import _mounts, _syscalls

_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS = 0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994
_OVERLAY, _RAMFS, _ZFS, _BCACHEFS = 0x794C7630, 0x858458F6, 0x2FC12FC1, 0xCA451A4E
_FAT, _EXFAT, _NTFS3, _JFS, _NILFS, _UBIFS = 0x4D44, 0x2011BAB0, 0x7366746E, 0x3153464A, 0x3434, 0x24051905
_NFS, _LUSTRE, _CEPH = 0x6969, 0x0BD00BD0, 0x00C36400

#: How far a lock reaches: over every process that can see the directory; on files only, directories' locks staying on one
#: host; or nobody can say.
Locks: TypeAlias = Literal["exact", "files", "unknown", "none"]

#: Everything else may be shared with other hosts (FUSE, 9p, CIFS, GPFS, BeeGFS, GFS2, what comes tomorrow): nobody can say.
_LOCAL: Final = {
    *(_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS, _OVERLAY, _RAMFS, _ZFS, _BCACHEFS),
    *(_FAT, _EXFAT, _NTFS3, _JFS, _NILFS, _UBIFS),
}
_BY_FILES: Final = {_NFS, _LUSTRE, _CEPH}


def is_trusted(fd: int) -> bool:
    """Say whether syncfs writes everything back here and reports every error, and a directory can be fsynced.

    Not overlayfs, whose syncfs hides the error, nor FUSE, where it does nothing.
    """
    return _syscalls.filesystem_magic(fd) in {_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS}


def exchanges(fd: int) -> bool:
    """Say whether it is known without trying that RENAME_EXCHANGE works here."""
    return _syscalls.filesystem_magic(fd) in {_EXT4, _XFS, _BTRFS, _TMPFS}


def links(fd: int) -> bool:
    """Say whether it is known without trying that link(2) works here."""
    return _syscalls.filesystem_magic(fd) in {_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS, _OVERLAY} | _BY_FILES


def is_overlay(fd: int) -> bool:
    """Say whether this is overlayfs, which may refuse to rename a folder (EXDEV) though others beside it can be."""
    return _syscalls.filesystem_magic(fd) == _OVERLAY


def ignores_unnamed(fd: int) -> bool:
    """Say whether fsync does nothing for a file without a name: btrfs (rust-atomic-write-file issue 6)."""
    return _syscalls.filesystem_magic(fd) == _BTRFS


def reach_of_locks(fd: int) -> Locks:
    """Say how far flock(2) reaches on the filesystem of `fd`: a local one is seen by this kernel alone.

    NFS sends a file's locks to the server unless it is mounted with local_lock (nfs(5)); a directory's never.
    """
    magic = _syscalls.filesystem_magic(fd)
    if magic in _LOCAL:
        return "exact"
    if magic in _BY_FILES and not _mounts.has_local_locks(fd):
        return "files"
    return "unknown"
