"""What a new version takes over from the one that it replaces: owner, group, ACL, extended attributes, mode."""

from __future__ import annotations

import errno
import os
import stat
import sys

from .calls import UNSUPPORTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ACCESS_ACL: Final = "system.posix_acl_access"
_DEFAULT_ACL: Final = "system.posix_acl_default"
_CAPABILITIES: Final = "security.capability"
#: The kernel's own: checksums of the old content, and xfs's other way of saying the ACLs (xattr.conf(5) skips them, too).
_SKIPPED: Final = {"security.ima", "security.evm", "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"}


def new_folder_mode(fd: int, scratch: str) -> int:
    """Return the mode that mkdir gives in the folder `fd`: 0o777 less the umask, or what a default ACL says.

    The kernel is asked, by a folder that is made and removed: reading the umask means setting it, for every thread.
    """
    os.mkdir(scratch, 0o777, dir_fd=fd)
    try:
        return stat.S_IMODE(os.stat(scratch, dir_fd=fd).st_mode)
    finally:
        os.rmdir(scratch, dir_fd=fd)


def inherit(
    fd: int,
    old: os.stat_result,
    attributes: dict[str, bytes] | None,
    mode: int | None,
    *,
    may_have_acl: bool = True,
    new: os.stat_result | None = None,
) -> None:
    """Give the new version `fd` what the old one has, as far as this process may; all after the last write to it.

    Owner and group first, since chown clears setuid and capabilities; capabilities last. Where owner, group or ACL
    cannot be kept, or not be read, permissions are never widened: setuid and setgid are dropped, and the group may only do
    what everybody may.

    Args:
        fd: the new file or folder.
        old: the status of the old one.
        attributes: its extended attributes; None if they cannot be read.
        mode: the mode to give instead of the old one's, as it is.
        new: the status of the new one, if that is known.
        may_have_acl: whether the new one may have got an ACL from its folder, to be lost where the old one has none.
    """
    if new is None:
        new = os.fstat(fd)
    owned = new.st_uid == old.st_uid and new.st_gid == old.st_gid
    kept = owned or _own(fd, new, old)
    if attributes is None:
        kept = False
        attributes = {}
    capabilities = attributes.pop(_CAPABILITIES, None)
    for name, value in attributes.items():
        if not _set(fd, name, value) and name == _ACCESS_ACL:
            kept = False
    # A directory's default ACL may have given the new one what the old one had not.
    for name in {_ACCESS_ACL, _DEFAULT_ACL}.difference(attributes).intersection(
        (_names(fd) if may_have_acl else None) or ()
    ):
        os.removexattr(fd, name)
        owned = False
    wanted = stat.S_IMODE(old.st_mode) if mode is None else mode
    if not kept and mode is None:
        wanted = _restrict(wanted)
    # An ACL changes the mode, and so does chown.
    if not owned or attributes or stat.S_IMODE(new.st_mode) != wanted:
        os.fchmod(fd, wanted)
    if capabilities is not None and kept:
        _set(fd, _CAPABILITIES, capabilities)


def clone(fd: int, old: os.stat_result, source: int, *, may_have_acl: bool = True) -> None:
    """Give the copy `fd` all the metadata of the original, which is open as `source`; its times, too."""
    inherit(fd, old, read_attributes(source), None, may_have_acl=may_have_acl)
    os.utime(fd, ns=(old.st_atime_ns, old.st_mtime_ns))


def clone_status(name: str, directory: int, old: os.stat_result) -> None:
    """Give a copied link or special file its owner and times; the link itself, not what it points to."""
    try:
        os.chown(name, old.st_uid, old.st_gid, dir_fd=directory, follow_symlinks=False)
    except OSError:
        pass  # only root may give files away
    os.utime(name, ns=(old.st_atime_ns, old.st_mtime_ns), dir_fd=directory, follow_symlinks=False)


def set_mode(fd: int, mode: int) -> None:
    """Give the file or folder `fd` this mode, if it has another."""
    if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
        os.fchmod(fd, mode)


def prepare_folder(fd: int, old: os.stat_result, attributes: dict[str, bytes] | None) -> None:
    """Give a staged folder the old one's setgid bit, group and default ACL, so that what is made in it inherits them.

    Args:
        fd: the staged folder.
        old: the status of the old one.
        attributes: its extended attributes; None if they cannot be read.
    """
    if attributes is not None and _DEFAULT_ACL in attributes:
        _set(fd, _DEFAULT_ACL, attributes[_DEFAULT_ACL])
    elif _DEFAULT_ACL in (_names(fd) or ()):
        os.removexattr(fd, _DEFAULT_ACL)
    if old.st_mode & stat.S_ISGID and _chown(fd, -1, old.st_gid):
        os.fchmod(fd, stat.S_ISGID | stat.S_IRWXU)
    elif not old.st_mode & stat.S_ISGID:
        os.fchmod(fd, stat.S_IRWXU)


def _own(fd: int, new: os.stat_result, old: os.stat_result) -> bool:
    kept = True
    if new.st_gid != old.st_gid:
        kept = _chown(fd, -1, old.st_gid)
    if new.st_uid != old.st_uid:
        kept = _chown(fd, old.st_uid, -1) and kept
    return kept


def _chown(fd: int, owner: int, group: int) -> bool:
    try:
        os.fchown(fd, owner, group)
    except OSError:
        return False
    return True


def _restrict(mode: int) -> int:
    everybody = mode & stat.S_IRWXO
    return mode & (stat.S_IRWXU | stat.S_IRWXO | stat.S_ISVTX) | (mode & stat.S_IRWXG & everybody << 3)


def require_chmod(fd: int) -> None:
    """See that the mode of the file or folder `fd` can be changed, by giving it the one that it has.

    Raises:
        OSError: it cannot (a filter).
    """
    os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode))


def _names(target: int | str) -> list[str] | None:
    """Return the names of all extended attributes; None if they cannot be read."""
    if sys.platform != "linux":
        return []
    try:
        return os.listxattr(target)
    except OSError as error:
        return [] if error.errno in UNSUPPORTED else None


def passes_acl_on(fd: int) -> bool:
    """Say whether what is made in the open folder `fd` gets an ACL from it."""
    return _DEFAULT_ACL in (_names(fd) or ())


def read_attributes(source: int | str) -> dict[str, bytes] | None:
    """Return the extended attributes that are to be kept; None if it cannot be known whether there are any.

    Args:
        source: a descriptor, or a path that leads to the file or folder.
    """
    names = _names(source)
    if names is None:
        return None
    found: dict[str, bytes] = {}
    for name in set(names) - _SKIPPED:
        try:
            found[name] = os.getxattr(source, name)
        except OSError as error:
            if name == _ACCESS_ACL and error.errno != errno.ENODATA:
                return None
    return found


def _set(fd: int, name: str, value: bytes) -> bool:
    try:
        os.setxattr(fd, name, value)
    except OSError:
        return False
    return True
