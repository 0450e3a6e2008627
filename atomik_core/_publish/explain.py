"""What an errno means here: errors that name the destination, what Atomik knows of it, and the remedy."""

from __future__ import annotations

import errno
import os
import stat

from .._os import mounts
from .._os.calls import UNSUPPORTED
from ..errors import (
    FileAlreadyExistsError,
    InvalidCrossDeviceError,
    NotDurableError,
    UnsupportedFilesystemError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What the primitives are for, and what to do where they are missing.
_REMEDIES: Final = {
    "RENAME_EXCHANGE": "it cannot replace a folder in one instant; publish under a new name, or on another filesystem",
    "symbolic links": "nothing but files and folders can be published here; publish on another filesystem",
    "flock": "a version of a folder cannot be held there; copy it, or keep it on another filesystem",
    "RENAME_NOREPLACE or link(2)": (
        "it cannot publish a new file without the risk of overwriting a rival's; pass overwrite=True to accept that"
    ),
}


def already_exists(
    destination: str, status: os.stat_result | None = None, kind: str | None = None
) -> FileAlreadyExistsError:
    """Return the error for a destination that exists and was not to be overwritten.

    Args:
        destination: what the caller calls it.
        status: what stands there, if that is known: not everything can be replaced.
        kind: what was to be published, if that is known.
    """
    if status is not None and not stat.S_ISLNK(status.st_mode):
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            return is_special(destination, status.st_mode)
        if kind is not None and stat.S_ISDIR(status.st_mode) != (kind == "folder"):
            there = "folder" if stat.S_ISDIR(status.st_mode) else "file"
            ours = "symbolic link" if kind == "symlink" else kind
            msg = f"A {there} stands at the destination already, and a {ours} does not replace it; remove it first, or choose another name"
            return FileAlreadyExistsError(errno.EEXIST, msg, destination)
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


def wrong_kind(destination: str, kind: str) -> OSError:
    """Return the error for content of this kind where something of another stands."""
    return is_not_a_folder(destination) if kind == "folder" else is_a_folder(destination)


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
    kind, point = mounts.filesystem(directory)
    msg = f"{kind} (mounted at {point}) has no {primitive} ({os.strerror(code)}): {_REMEDIES[primitive]}"
    return UnsupportedFilesystemError(code, msg, destination)


def locks_stay_on_a_host(directory: int, destination: str) -> UnsupportedFilesystemError:
    """Return the error for a folder whose lock writers on other hosts would not see."""
    kind, point = mounts.filesystem(directory)
    msg = (
        f"on {kind} (mounted at {point}) a folder's lock may stay on one host, and a writer on another would not see it: "
        f"{_REMEDIES['flock']}"
    )
    return UnsupportedFilesystemError(errno.ENOLCK, msg, destination)


def lower_layer(directory: int, destination: str) -> UnsupportedFilesystemError:
    """Return the error for a folder of an overlay's lower layer, such as a container's image."""
    _, point = mounts.filesystem(directory)
    msg = (
        f"overlayfs, lower layer: a folder that came with the image (mounted at {point}) cannot be renamed or "
        "replaced; publish under a new name, or on a volume"
    )
    return UnsupportedFilesystemError(errno.EXDEV, msg, destination)


def rename_error(
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
    if code == errno.EBUSY and mounts.is_mount_point(directory, name):
        return is_mount_point(destination)
    if primitive in _REMEDIES and (code in UNSUPPORTED or (code == errno.EPERM and primitive.endswith("link(2)"))):
        return unsupported(directory, destination, primitive, code)
    return at_destination(error, destination)


def _cross_device(directory: int, destination: str, source_directory: int) -> OSError:
    kind, point = mounts.filesystem(directory)
    if kind == "overlay" and mounts.mount_id(directory) == mounts.mount_id(source_directory):
        return lower_layer(directory, destination)
    msg = f"Source and destination are on different filesystems (destination: {kind}, mounted at {point}); use atomik.copy"
    return InvalidCrossDeviceError(errno.EXDEV, msg, destination)


def at_destination(error: OSError, destination: str) -> OSError:
    """Return the same error with the destination's name in place of a staging name."""
    # One that a program made itself may have a text only.
    what = error.strerror or str(error)
    return OSError(error.errno or errno.EIO, f"{what} (nothing was changed)", destination)


def add_outcome(error: OSError, outcome: str) -> None:
    """Have an error of ours say what has become of finished work, too."""
    error.strerror = f"{error.strerror}; {outcome}"
    error.args = (error.errno, error.strerror)  # what is pickled, when a worker process raises it


def not_durable(error: OSError, destination: str) -> NotDurableError:
    """Return the error for what is published, but may be undone by a power cut."""
    msg = f"Done and visible, but a power cut may undo it: the directory could not be synced ({error.strerror})"
    return NotDurableError(error.errno, msg, destination)


def changed_by_itself(destination: str) -> FileAlreadyExistsError:
    """Return the error for a destination that was written to in place while its next version was being made."""
    msg = (
        "The destination itself was written to during the block, and is left as it is; write to the file that the block "
        "is given, or use atomik.path for a program that opens it by its name"
    )
    return FileAlreadyExistsError(errno.EEXIST, msg, destination)
