"""What a publication will need of its filesystem, proved before the work begins, so that hours are not done for a refusal."""

from __future__ import annotations

import errno
import os
import stat

from . import _explain, _filesystems, _mounts, _rename, _syscalls
from ._descriptors import Descriptors
from ._destination import Destination
from ._staging import Staging


def replacing(target: Destination, status: os.stat_result, *, exchange: bool, hurried: bool) -> None:
    """Require that what stands at the destination can be replaced.

    Args:
        target: the destination.
        status: of what stands there.
        exchange: whether a file, too, has to be replaced by RENAME_EXCHANGE.
        hurried: whether a file's mount may go unchecked: two reads of /proc, which only who asks for no sync would notice.

    Raises:
        OSError: EBUSY: it is a mount point.
        UnsupportedFilesystemError: it would need an exchange, and there is none here.
    """
    folder = stat.S_ISDIR(status.st_mode)
    if (folder or not hurried) and _mounts.is_mount_point(target.directory, target.name):
        raise _explain.is_mount_point(target.path)
    if not (folder or exchange) or _filesystems.exchanges(target.directory):
        return
    missing = _missing_exchange(target)
    # Plain rename replaces an empty folder, but cannot be undone.
    if missing is None or (not exchange and target.is_empty_folder()):
        return
    if missing == errno.EXDEV:
        raise _explain.lower_layer(target.directory, target.path)
    raise _explain.unsupported(target.directory, target.path, "RENAME_EXCHANGE", missing)


def _missing_exchange(target: Destination) -> int | None:
    """Prove RENAME_EXCHANGE beside `target`, and on overlayfs for what stands there; return the errno if it is missing."""
    fds = Descriptors()
    staging = Staging(fds, target.directory, target.path)
    try:
        missing = exchange_errno(staging.make_folder())
        if missing is None and _filesystems.is_overlay(target.directory):
            missing = _lower_layer_errno(target, staging)
        return missing
    finally:
        staging.remove()
        fds.close()


def _lower_layer_errno(target: Destination, staging: Staging) -> int | None:
    """Return EXDEV if the folder at `target` is one of an overlay's lower layer, without renaming it.

    overlayfs looks at that before it looks at where to: over a folder that holds something (as the scratch folder does
    now) nothing is ever renamed, and the answer for any other folder is ENOTEMPTY or EEXIST (fs/overlayfs/dir.c).
    """
    assert staging.name is not None  # noqa: S101 - made just now
    try:
        os.rename(target.name, staging.name, src_dir_fd=target.directory, dst_dir_fd=target.directory)
    except OSError as error:
        return errno.EXDEV if error.errno == errno.EXDEV else None
    return None


def new_file(target: Destination) -> None:
    """Require that a file can be published as new, where it cannot be staged without a name.

    Raises:
        UnsupportedFilesystemError: there is neither RENAME_NOREPLACE nor link(2), as on FAT and exFAT.
    """
    if _filesystems.links(target.directory):
        return
    fds = Descriptors()
    staging = Staging(fds, target.directory, target.path)
    try:
        missing = _new_file_errno(staging.make_folder())
    finally:
        staging.remove()
        fds.close()
    if missing is not None:
        raise _explain.unsupported(target.directory, target.path, "RENAME_NOREPLACE or link(2)", missing)


def _new_file_errno(scratch: int) -> int | None:
    create(scratch, "n")
    try:
        _rename.new_file(scratch, "n", scratch, "m")
    except OSError as error:
        if error.errno in _syscalls.UNSUPPORTED | {errno.EPERM}:
            return error.errno
        raise
    return None


def create(scratch: int, *names: str) -> None:
    """Make empty files in the folder `scratch`."""
    fds = Descriptors()
    try:
        for name in names:
            fds.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=scratch)
    finally:
        fds.close()


def exchange_errno(scratch: int) -> int | None:
    """Swap two folders in the folder `scratch`; return the errno if RENAME_EXCHANGE is missing."""
    for name in ("x", "y"):
        os.mkdir(name, dir_fd=scratch)
    try:
        _rename.exchange(scratch, "x", scratch, "y")
    except OSError as error:
        if error.errno in _syscalls.UNSUPPORTED | {errno.EPERM}:
            return error.errno
        raise
    return None
