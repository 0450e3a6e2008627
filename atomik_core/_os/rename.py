"""One ladder each for a new name, a replaced one and an exchange; a function for every rung.

Every name is relative to a directory descriptor. A rung that the filesystem lacks sends on to the next; nothing is
remembered, since one mount's answer says nothing about another's. What comes out at the top is the kernel's OSError:
:mod:`atomik_core._publish.explain` says what it means.
"""

from __future__ import annotations

import errno
import os
import stat

from . import calls
from .calls import GONE, RENAME_EXCHANGE, RENAME_NOREPLACE, UNSUPPORTED
from .descriptors import REAL_DIRECTORY, Descriptors
from .filesystems import Filesystem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal, TypeAlias

    #: What a name has replaced: what now stands at the source, an empty folder of which nothing is left, or nothing.
    Replaced: TypeAlias = Literal["old", "empty folder", "nothing"]

#: A filter answers EPERM or EACCES for a call that it does not know, too; the next rung gives the true one, if it is one.
_NEXT_RUNG: Final = UNSUPPORTED | {errno.EPERM, errno.EACCES}

#: How often a destination may appear and vanish under us before it is called busy.
_ROUNDS: Final = 100


def link_unnamed(fd: int, directory: int, name: str) -> None:
    """Give the unnamed file `fd` its first name, atomically and exclusively (linkat(2); EEXIST if the name is taken).

    By AT_EMPTY_PATH; where that is not to be had (ENOENT before Linux 6.10), through /proc, which works for everybody.
    """
    try:
        calls.link_descriptor(fd, directory, name)
    except OSError as error:
        if error.errno not in _NEXT_RUNG and error.errno != errno.ENOENT:
            raise
        # os.link honours follow_symlinks only with a directory descriptor (cpython issue 81793).
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=True)


def new_file(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename a file to a name that must not exist: NOREPLACE, else link and unlink.

    The other way round where the filesystem is not known to be local: a flag that is accepted is not a flag that is enforced
    (on SMB two clients both won 28 of 60 rounds of NOREPLACE, none of 60 with link; Linux 6.12, Samba).
    """
    if not Filesystem(target_dir).is_local:
        try:
            _new_file_by_link(source_dir, source, target_dir, target)
        except OSError as error:
            if error.errno not in _NEXT_RUNG:
                raise
        else:
            return
    try:
        calls.renameat2(source_dir, source, target_dir, target, RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in _NEXT_RUNG:
            raise
        _new_file_by_link(source_dir, source, target_dir, target)


def _new_file_by_link(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """link(2) is as exclusive as NOREPLACE; for NFS, 9p, CephFS, FUSE without RENAME2 (EINVAL), ZFS before 2.2.

    vfat and some FUSE servers have no links (EPERM, EOPNOTSUPP): that is raised.
    """
    try:
        os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
    except OSError:
        # NFS repeats a request whose answer was lost, and the repetition fails with EEXIST: the link itself knows.
        if not _same_inode(source_dir, source, target_dir, target):
            raise
    os.unlink(source, dir_fd=source_dir)


def new_folder(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename a folder to a name that must not exist: NOREPLACE, else look and rename."""
    try:
        calls.renameat2(source_dir, source, target_dir, target, RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in _NEXT_RUNG:
            raise
        _new_folder_by_rename(source_dir, source, target_dir, target)


def _new_folder_by_rename(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Plain rename refuses whatever holds data: ENOTEMPTY (EEXIST on xfs) for a folder, ENOTDIR for a file or link.

    Only an empty folder made between the look and the rename is replaced, and nothing is lost with it. For NFS, FUSE
    without RENAME2, 9p.
    """
    try:
        os.stat(target, dir_fd=target_dir, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
    else:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)


def replace_file(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename a file over whatever file stands at `target`: atomic on every filesystem (rename(2))."""
    os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)


def exchange(a_dir: int, a: str, b_dir: int, b: str) -> None:
    """Swap two names in one instant, whatever they are (renameat2(2), RENAME_EXCHANGE); no other rung exists."""
    calls.renameat2(a_dir, a, b_dir, b, RENAME_EXCHANGE)


def swap_in(source_dir: int, source: str, target_dir: int, target: str, *, is_folder: bool) -> Replaced:
    """Put a file or folder where another stands or none does; say what it has replaced: an old one is at `source` then.

    EXCHANGE; ENOENT (nothing there any more): as a new one; EEXIST then (it is back): again. Where EXCHANGE is missing,
    an empty folder is still replaced by plain rename.
    """
    new = new_folder if is_folder else new_file
    for _ in range(_ROUNDS):
        try:
            exchange(source_dir, source, target_dir, target)
        except FileNotFoundError:
            try:
                new(source_dir, source, target_dir, target)
            except FileExistsError:
                continue
            return "nothing"
        except OSError as error:
            # EXDEV: an empty folder of an overlay's lower layer.
            if (
                error.errno not in UNSUPPORTED | {errno.EXDEV}
                or not is_folder
                or not is_empty_folder(target_dir, target)
            ):
                raise
            _replace_empty_folder(source_dir, source, target_dir, target, error)
            return "empty folder"
        return "old"
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), source, None, target)


def _replace_empty_folder(source_dir: int, source: str, target_dir: int, target: str, missing: OSError) -> None:
    """Plain rename puts a folder over an empty one; if it has been filled meanwhile, EXCHANGE is what is missing."""
    try:
        os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise missing from None
        raise


def is_folder(directory: int, name: str) -> bool:
    """Say whether `name` is a folder itself.

    Raises:
        OSError: nothing is there; or it cannot be looked at.
    """
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


def is_empty_folder(directory: int, name: str) -> bool:
    """Say whether `name` is a folder in which nothing is."""
    fds = Descriptors()
    try:
        return not os.listdir(fds.open(name, REAL_DIRECTORY, dir_fd=directory))
    except OSError:
        return False
    finally:
        fds.close_all()


def identity(directory: int, name: str) -> tuple[int, int] | None:
    """Return device and inode of what stands at `name` (a symbolic link itself), or None."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None
    return (status.st_dev, status.st_ino)


def _same_inode(a_dir: int, a: str, b_dir: int, b: str) -> bool:
    try:
        one = os.stat(a, dir_fd=a_dir, follow_symlinks=False)
        other = os.stat(b, dir_fd=b_dir, follow_symlinks=False)
    except OSError:
        return False
    return not stat.S_ISDIR(one.st_mode) and os.path.samestat(one, other)
