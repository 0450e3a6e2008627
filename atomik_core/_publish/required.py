"""What a publication will need of its filesystem, proved before the work begins, so that hours are not done for a refusal."""

from __future__ import annotations

import errno
import os
import stat

from .._os import calls, mounts, names, rename
from .._os.descriptors import Descriptors
from ..errors import UnsupportedFilesystemError
from . import explain
from .staging import Sibling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .destination import Destination, DestinationDirectory

#: What a filesystem answers that cannot sync a directory (vboxsf, CIFS before Linux 4.17, some FUSE servers).
_NO_DIRECTORY_SYNC: Final = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


def replaceable(destination: Destination, status: os.stat_result, *, exchange: bool, allow_gap: bool = False) -> None:
    """Require that what stands at the destination can be replaced.

    Args:
        destination: where it is.
        status: what stands there.
        exchange: whether a file, too, has to be replaced by RENAME_EXCHANGE.
        allow_gap: whether a folder may be replaced without it.

    Raises:
        OSError: EBUSY: it is a mount point. EPERM: it may not be renamed over.
        UnsupportedFilesystemError: it would need an exchange, and there is none here.
    """
    is_folder = stat.S_ISDIR(status.st_mode)
    _require_ordinary(destination)
    not_append_only(destination.directory, destination.path)
    user = os.geteuid()
    if user not in (0, status.st_uid):
        _require_not_sticky(destination, user)
    if not is_folder and not exchange:
        return
    needs_none = is_folder and allow_gap
    if needs_none and not destination.directory.filesystem.is_overlay:
        return
    missing = _missing_exchange(destination)
    # Plain rename replaces an empty folder, but cannot be undone.
    if missing is None or (not exchange and destination.is_empty_folder()):
        return
    if missing == errno.EXDEV:
        raise explain.lower_layer(destination.directory.fd, destination.path)
    if needs_none:
        return
    raise explain.unsupported(destination.directory.fd, destination.path, "RENAME_EXCHANGE", missing)


def _require_ordinary(destination: Destination) -> None:
    found = calls.entry_attributes(destination.directory.fd, destination.name)
    if mounts.is_mount_point(destination.directory.fd, destination.name, found):
        raise explain.is_mount_point(destination.path)
    if found is not None and found[0] & (calls.ATTRIBUTE_IMMUTABLE | calls.ATTRIBUTE_APPEND):
        flag = "i" if found[0] & calls.ATTRIBUTE_IMMUTABLE else "a"
        msg = (
            f"What stands at the destination is {'immutable' if flag == 'i' else 'append-only'} (chattr +{flag}), and cannot "
            f"be replaced; take that away first (chattr -{flag})"
        )
        raise PermissionError(errno.EPERM, msg, destination.path)


def _require_not_sticky(destination: Destination, user: int) -> None:
    """A sticky directory (like /tmp) lets only the owner of a file, or its own, rename over it (rename(2), EPERM)."""
    directory = os.fstat(destination.directory.fd)
    if directory.st_mode & stat.S_ISVTX and directory.st_uid != user:
        msg = "What stands at the destination is somebody else's, in a directory where only its owner may replace it (sticky bit)"
        raise PermissionError(errno.EPERM, msg, destination.path)


def not_append_only(directory: DestinationDirectory, destination: str) -> None:
    """Require that names in a directory can be renamed and removed; a new file without a staging name needs neither.

    Raises:
        PermissionError: they cannot; what is staged there could neither be published nor removed.
    """
    if directory.is_append_only:
        msg = (
            "The directory is append-only (chattr +a): nothing that is staged in it could be renamed or removed; take that "
            "away first (chattr -a), or publish a new file with atomik.file"
        )
        raise PermissionError(errno.EPERM, msg, destination)


def writable(destination: Destination) -> None:
    """Require that names can be made in the destination's directory, where it is not staged in.

    Raises:
        PermissionError: they cannot; what is staged elsewhere could never be published.
    """
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=destination.directory.fd, effective_ids=True):
        msg = "The destination's directory may not be written to"
        raise PermissionError(errno.EACCES, msg, destination.path)


def _missing_exchange(destination: Destination) -> int | None:
    """Return the errno if RENAME_EXCHANGE is missing beside the destination, or on overlayfs for what stands there."""
    filesystem = destination.directory.filesystem
    if filesystem.is_known_to_exchange:
        return _refused_exchange(destination.directory.fd)
    fds = Descriptors()
    sibling = Sibling(destination.directory)
    try:
        missing = exchange_errno(sibling.make_folder(fds))
        if missing is None and filesystem.is_overlay:
            missing = _lower_layer_errno(destination, sibling)
        return missing
    finally:
        sibling.remove()
        fds.close_all()


def _refused_exchange(directory: int) -> int | None:
    """Return the errno if a filter (seccomp) refuses the call: what it lets through is ENOENT, there being nothing."""
    name = names.staging_name()
    try:
        rename.exchange(directory, name, directory, name)
    except OSError as error:
        return None if error.errno == errno.ENOENT else error.errno
    return None


def _lower_layer_errno(destination: Destination, sibling: Sibling) -> int | None:
    """Return EXDEV if the folder at the destination is one of an overlay's lower layer, without renaming it.

    overlayfs looks at that before it looks at where to: over a folder that holds something (as the scratch folder does
    now) nothing is ever renamed, and the answer for any other folder is ENOTEMPTY or EEXIST (fs/overlayfs/dir.c).
    """
    directory, name = sibling.source
    try:
        os.rename(destination.name, name, src_dir_fd=destination.directory.fd, dst_dir_fd=directory)
    except OSError as error:
        return errno.EXDEV if error.errno == errno.EXDEV else None
    return None


def new_file(destination: Destination) -> None:
    """Require that a file can be published as new, where it cannot be staged without a name.

    Raises:
        UnsupportedFilesystemError: there is neither RENAME_NOREPLACE nor link(2), as on FAT and exFAT.
    """
    if destination.directory.filesystem.is_known_to_link:
        return
    fds = Descriptors()
    sibling = Sibling(destination.directory)
    try:
        missing = _new_file_errno(sibling.make_folder(fds))
    finally:
        sibling.remove()
        fds.close_all()
    if missing is not None:
        raise explain.unsupported(destination.directory.fd, destination.path, "RENAME_NOREPLACE or link(2)", missing)


def _new_file_errno(scratch: int) -> int | None:
    create(scratch, "n")
    try:
        rename.new_file(scratch, "n", scratch, "m")
    except OSError as error:
        if error.errno in calls.UNSUPPORTED | {errno.EPERM}:
            return error.errno
        raise
    return None


def directory_sync(place: DestinationDirectory, destination: str) -> None:
    """Find out at the start whether names in a directory can be made durable at all.

    Raises:
        UnsupportedFilesystemError: the filesystem cannot sync a directory.
        PermissionError: the directory may be written to, but not read, and can so not be synced by this process.
    """
    readable(place, destination)
    if place.filesystem.has_reliable_sync:
        return
    try:
        os.fsync(place.fd)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
        kind, point = mounts.filesystem(place.fd)
        msg = (
            f"{kind} (mounted at {point}) has no fsync of a directory ({error.strerror}): what is published may be gone "
            'after a power cut; pass sync="normal" to accept that'
        )
        raise UnsupportedFilesystemError(error.errno, msg, destination) from error


def readable(place: DestinationDirectory, destination: str) -> None:
    """Require that a directory can be synced by this process, as far as its mode goes.

    Raises:
        PermissionError: it may be written to, but not read.
    """
    if not place.readable:
        msg = (
            "The destination's directory may not be read, and so cannot be synced: what is published may be gone after a "
            'power cut; pass sync="normal" to accept that'
        )
        raise PermissionError(errno.EACCES, msg, destination)


def create(scratch: int, *new_names: str) -> None:
    """Make empty files in the folder `scratch`."""
    fds = Descriptors()
    try:
        for name in new_names:
            fds.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=scratch)
    finally:
        fds.close_all()


def exchange_errno(scratch: int) -> int | None:
    """Swap two folders in the folder `scratch`; return the errno if RENAME_EXCHANGE is missing."""
    for name in ("x", "y"):
        os.mkdir(name, dir_fd=scratch)
    try:
        rename.exchange(scratch, "x", scratch, "y")
    except OSError as error:
        if error.errno in calls.UNSUPPORTED | {errno.EPERM}:
            return error.errno
        raise
    return None
