"""What an errno means here: errors that name the destination, what Atomik knows of it, and the remedy."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from . import _mounts
from ._syscalls import UNSUPPORTED
from .errors import FileAlreadyExistsError, InvalidCrossDeviceError, UnsupportedFilesystemError

#: What the primitives are for, and what to do where they are missing.
_REMEDIES: Final = {
    "RENAME_EXCHANGE": "it cannot replace a folder in one instant; publish under a new name, or on another filesystem",
    "flock": "a version of a folder cannot be held there; copy it, or keep it on another filesystem",
    "RENAME_NOREPLACE or link(2)": (
        "it cannot publish a new file without the risk of overwriting a rival's; pass overwrite=True to accept that"
    ),
}


def already_exists(destination: str) -> FileAlreadyExistsError:
    """Return the error for a destination that exists and was not to be overwritten."""
    msg = "The destination exists already and was left as it is; pass overwrite=True to replace it"
    return FileAlreadyExistsError(errno.EEXIST, msg, destination)


def is_a_folder(destination: str) -> IsADirectoryError:
    """Return the error for a file where a folder stands."""
    msg = "A folder stands at the destination, and a file does not replace it; remove it first, or publish a folder"
    return IsADirectoryError(errno.EISDIR, msg, destination)


def is_not_a_folder(destination: str) -> NotADirectoryError:
    """Return the error for a folder where a file stands."""
    msg = "A file stands at the destination, and a folder does not replace it; remove it first, or publish a file"
    return NotADirectoryError(errno.ENOTDIR, msg, destination)


def is_special(destination: str, mode: int) -> FileAlreadyExistsError:
    """Return the error for a device, FIFO or socket, which is not replaced even when overwriting."""
    kind = "FIFO" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
    msg = (
        f"A {kind} stands at the destination, and only files and folders are replaced; remove it first if that is meant"
    )
    return FileAlreadyExistsError(errno.EEXIST, msg, destination)


def is_mount_point(destination: str) -> OSError:
    """Return the error for a destination on which something is mounted (a container's volume, a bind-mounted file)."""
    msg = "This is a mount point, which cannot be renamed, replaced or removed; publish inside it, or unmount it"
    return OSError(errno.EBUSY, msg, destination)


def unsupported(directory: int, destination: str, primitive: str, code: int) -> UnsupportedFilesystemError:
    """Return the error for a filesystem (the one that `directory` is on) that lacks `primitive`."""
    kind, point = _mounts.filesystem(directory)
    msg = f"{kind} (mounted at {point}) has no {primitive} ({os.strerror(code)}): {_REMEDIES[primitive]}"
    return UnsupportedFilesystemError(code, msg, destination)


def lower_layer(directory: int, destination: str) -> UnsupportedFilesystemError:
    """Return the error for a folder of an overlay's lower layer, such as a container's image."""
    _, point = _mounts.filesystem(directory)
    msg = (
        f"overlayfs, lower layer: a folder that came with the image (mounted at {point}) cannot be renamed or "
        "replaced; publish under a new name, or on a volume"
    )
    return UnsupportedFilesystemError(errno.EXDEV, msg, destination)


def renaming(
    error: OSError, directory: int, name: str, destination: str, primitive: str, source_directory: int | None = None
) -> OSError:
    """Say what the failed rename, link or exchange of something to `name` in `directory` means.

    Args:
        error: what the kernel answered.
        directory: the descriptor of the destination's directory.
        name: the destination's name in it.
        destination: what the caller calls it.
        primitive: what was missing, if the errno says that something was.
        source_directory: the descriptor of the directory that it was to come from, if that is the caller's choice.
    """
    code = error.errno or 0
    if code in {errno.EEXIST, errno.ENOTEMPTY}:
        return already_exists(destination)
    if code == errno.EISDIR:
        return is_a_folder(destination)
    if code == errno.ENOTDIR:
        return is_not_a_folder(destination)
    if code == errno.EXDEV:
        return _cross_device(directory, destination, directory if source_directory is None else source_directory)
    if code == errno.EBUSY and _mounts.is_mount_point(directory, name):
        return is_mount_point(destination)
    if primitive in _REMEDIES and (code in UNSUPPORTED or (code == errno.EPERM and primitive.endswith("link(2)"))):
        return unsupported(directory, destination, primitive, code)
    return at_destination(error, destination)


def _cross_device(directory: int, destination: str, source_directory: int) -> OSError:
    kind, point = _mounts.filesystem(directory)
    if kind == "overlay" and _mounts.mount_id(directory) == _mounts.mount_id(source_directory):
        return lower_layer(directory, destination)
    msg = f"Source and destination are on different filesystems (destination: {kind}, mounted at {point}); use atomik.copy"
    return InvalidCrossDeviceError(errno.EXDEV, msg, destination)


def at_destination(error: OSError, destination: str) -> OSError:
    """Return the same error with the destination's name in place of a staging name."""
    # One that a program made itself may have a text only.
    what = error.strerror or str(error)
    return OSError(error.errno or errno.EIO, f"{what} (nothing was changed)", destination)
