"""What is known of filesystems by their magic numbers (fstatfs(2), include/uapi/linux/magic.h); all else is tried."""

from __future__ import annotations

from . import calls, mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal, TypeAlias

    #: How far a lock reaches: over every process that can see the directory; on files only, directories' locks staying on one
    #: host; nobody can say.
    LockScope: TypeAlias = Literal["exact", "files", "unknown"]

_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS = 0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994
_OVERLAY, _RAMFS, _ZFS, _BCACHEFS = 0x794C7630, 0x858458F6, 0x2FC12FC1, 0xCA451A4E
_FAT, _EXFAT, _NTFS3, _JFS, _NILFS, _UBIFS = 0x4D44, 0x2011BAB0, 0x7366746E, 0x3153464A, 0x3434, 0x24051905
_NFS, _LUSTRE, _CEPH = 0x6969, 0x0BD00BD0, 0x00C36400

#: Everything else may be shared with other hosts (FUSE, 9p, CIFS, GPFS, BeeGFS, GFS2, what comes tomorrow): nobody can say.
_LOCAL: Final = {
    *(_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS, _OVERLAY, _RAMFS, _ZFS, _BCACHEFS),
    *(_FAT, _EXFAT, _NTFS3, _JFS, _NILFS, _UBIFS),
}
_LOCKED_BY_FILES: Final = {_NFS, _LUSTRE, _CEPH}
_RELIABLE_SYNC: Final = {_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS}
_EXCHANGES: Final = {_EXT4, _XFS, _BTRFS, _TMPFS}
_LINKS: Final = {_EXT4, _XFS, _BTRFS, _F2FS, _TMPFS, _OVERLAY, *_LOCKED_BY_FILES}


class Filesystem:
    """The filesystem that a descriptor is on, asked for its magic number once."""

    __slots__ = ("_fd", "_magic")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._magic = calls.filesystem_magic(fd)

    @property
    def is_local(self) -> bool:
        """Whether this kernel alone sees it. Only there is an accepted flag known to be an enforced one.

        On SMB two clients both won 28 of 60 rounds of NOREPLACE (Linux 6.12, Samba).
        """
        return self._magic in _LOCAL

    @property
    def has_reliable_sync(self) -> bool:
        """Whether syncfs writes everything back and reports every error, and a directory can be fsynced.

        Not overlayfs, whose syncfs hides the error, nor FUSE, where it does nothing.
        """
        return self._magic in _RELIABLE_SYNC

    @property
    def has_reliable_syncfs(self) -> bool:
        """Whether syncfs does what fsync of each file would; before Linux 5.8 it hid write-back errors (syncfs(2))."""
        return self._magic in _RELIABLE_SYNC and calls.KERNEL >= (5, 8)

    @property
    def is_known_to_exchange(self) -> bool:
        """Whether RENAME_EXCHANGE is known to work without trying."""
        return self._magic in _EXCHANGES

    @property
    def is_known_to_link(self) -> bool:
        """Whether link(2) is known to work without trying."""
        return self._magic in _LINKS

    @property
    def is_overlay(self) -> bool:
        """Whether this is overlayfs, which may refuse to rename a folder (EXDEV) though others beside it can be."""
        return self._magic == _OVERLAY

    @property
    def fsync_ignores_unlinked(self) -> bool:
        """Whether fsync does nothing for a file without a name: btrfs (rust-atomic-write-file issue 6)."""
        return self._magic == _BTRFS

    @property
    def lock_scope(self) -> LockScope:
        """How far flock(2) reaches: a local filesystem is seen by this kernel alone.

        NFS sends a file's locks to the server unless it is mounted with local_lock (nfs(5)); a directory's never.
        """
        if self._magic in _LOCAL:
            return "exact"
        if self._magic in _LOCKED_BY_FILES and not mounts.has_local_locks(self._fd):
            return "files"
        return "unknown"
