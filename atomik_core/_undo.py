"""Publishing that can be undone: what a group needs to be all or nothing.

The new version keeps a second name in its staging folder until the group is done, so that its inode cannot be given to
another file meanwhile: what stands at the destination is ours exactly if it is that inode.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Container
from contextlib import suppress
from typing import Final

from . import _names, _placing, _rename
from ._destination import Destination
from ._placing import Kind
from ._staging import Staging
from ._syscalls import UNSUPPORTED

#: Filesystems without hard links say one of these (vfat, exFAT, some FUSE servers).
_NO_LINKS: Final = UNSUPPORTED | {errno.EPERM, errno.EMLINK}


def put(staging: Staging, target: Destination, kind: Kind, *, overwrite: bool, links: bool) -> bool:
    """Publish named content. Return whether the version that was replaced now stands at the staging name.

    Args:
        staging: the content.
        target: where to.
        kind: what it is.
        overwrite: whether anything may be replaced.
        links: whether a folder may replace a symbolic link, too.

    Raises:
        OSError: the kernel's; :func:`atomik_core._placing.failure` says what it means.
    """
    source = staging.source
    if overwrite:
        if kind == "file" and staging.inner is not None:
            with suppress(OSError):
                os.link(
                    source[1], _names.staging_name(), src_dir_fd=source[0], dst_dir_fd=source[0], follow_symlinks=False
                )
        return _placing.swap_in(staging, target, kind, links=links)
    if kind == "folder":
        _rename.new_folder(*source, target.directory, target.name)
        return False
    try:
        os.link(source[1], target.name, src_dir_fd=source[0], dst_dir_fd=target.directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename.new_file(*source, target.directory, target.name)
    return False


def take_back(staging: Staging, target: Destination, kind: Kind, identity: tuple[int, int]) -> bool:
    """Undo :func:`put`, if it took place and what stands at the destination is still ours; say whether all is as before.

    Whether it took place is read from the disk, so an interrupted `put` can be undone, too.

    Raises:
        OSError: it could not be undone; the message says what became of a rival's version.
    """
    if _rename.identity(target.directory, target.name) != identity:
        return True
    directory, name = staging.source
    waiting = _rename.identity(directory, name)
    if waiting is not None and waiting != identity:
        _rename.exchange(directory, name, target.directory, target.name)
        if _rename.identity(directory, name) == identity:
            return True
        # A rival was quicker than the look: theirs goes back.
        _rename.exchange(directory, name, target.directory, target.name)
        return False
    spare = name if waiting is None else _names.staging_name()
    os.rename(target.name, spare, src_dir_fd=target.directory, dst_dir_fd=directory)
    if _rename.identity(directory, spare) == identity:
        return True
    _give_back(directory, spare, target, kind)
    return False


def _give_back(directory: int, spare: str, target: Destination, kind: Kind) -> None:
    """Put a rival's version, which came between the look and the rename, back to its name; never lose it."""
    new = _rename.new_folder if kind == "folder" else _rename.new_file
    try:
        new(directory, spare, target.directory, target.name)
    except OSError as error:
        kept = _names.kept_name()
        os.rename(spare, kept, src_dir_fd=directory, dst_dir_fd=target.directory)
        where = os.path.join(target.folder, kept)
        msg = f"{error.strerror}; the version that somebody had put there meanwhile is kept as {where!r}"
        raise OSError(error.errno, msg, target.path) from error


def drop_second_names(wrapper: int, published: Container[tuple[int, int] | None]) -> None:
    """Remove the second names of what was published, and leave what was replaced, in the staging folder `wrapper`."""
    for name in os.listdir(wrapper):
        if _rename.identity(wrapper, name) in published:
            os.unlink(name, dir_fd=wrapper)
