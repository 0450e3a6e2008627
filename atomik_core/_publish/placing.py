"""The one instant: complete content goes from its staging name to its destination; and the way back from it."""

from __future__ import annotations

import errno
import os
import stat

from .._os import names, rename
from .._os.calls import UNSUPPORTED
from ..errors import FileAlreadyExistsError
from . import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal, TypeAlias

    from .._os.rename import Replaced
    from .destination import Destination
    from .staging import Sibling, Wrapped

    Kind: TypeAlias = Literal["file", "folder", "symlink"]
    Identity: TypeAlias = tuple[int, int]

#: Somebody else's entry at the destination: our version is not kept beside it.
RIVAL: Final = (FileAlreadyExistsError, IsADirectoryError, NotADirectoryError)

#: Filesystems without RENAME_EXCHANGE say one of these, and a filter that does not know it EPERM.
NO_EXCHANGE: Final = UNSUPPORTED | {errno.EPERM}

#: Filesystems without hard links say one of these (vfat, exFAT, some FUSE servers).
NO_LINKS: Final = UNSUPPORTED | {errno.EPERM, errno.EMLINK}


def place_new(staging: Sibling | Wrapped, destination: Destination, kind: Kind, *, undoable: bool) -> None:
    """Publish under a name that must not exist.

    To be undoable a file keeps its staging name, so that its inode cannot be given to another file meanwhile: what stands
    at the destination is ours exactly if it is that inode.
    """
    source = staging.source
    target = destination.directory.fd, destination.name
    if kind == "folder":
        rename.new_folder(*source, *target)
        return
    if undoable:
        try:
            os.link(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0], follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        else:
            return
    rename.new_file(*source, *target)


def place_over(
    staging: Sibling | Wrapped, destination: Destination, kind: Kind, *, exchange: bool, replaces_links: bool
) -> Replaced:
    """Publish in place of whatever stands there; say what that was: an old one is at the staging name then.

    Args:
        staging: the content.
        destination: where to.
        kind: what it is.
        exchange: whether a file, too, is exchanged, so that it can be undone, or the old version kept.
        replaces_links: whether a folder may replace a symbolic link, too.

    Raises:
        OSError: the kernel's. IsADirectoryError, NotADirectoryError: of two kinds, and nothing is published.
    """
    source = staging.source
    if kind == "folder":
        is_folder = True
    elif exchange:
        is_folder = False
    else:
        rename.replace_file(*source, destination.directory.fd, destination.name)
        return "nothing"
    replaced = rename.swap_in(*source, destination.directory.fd, destination.name, is_folder=is_folder)
    if replaced == "old" and not displaced_entry(staging, destination, kind, replaces_links=replaces_links):
        return "nothing"
    return replaced


def pin_inode(staging: Wrapped) -> None:
    """Give a file a second name in its wrapper: its inode cannot be given to another file before the wrapper goes."""
    directory, name = staging.source
    try:
        os.link(name, names.staging_name(), src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError:
        pass  # no links here: what stands at the destination is then compared as well as it can be


def displaced_entry(staging: Sibling | Wrapped, destination: Destination, kind: Kind, *, replaces_links: bool) -> bool:
    """Say whether an exchange brought anything to the staging name. EXCHANGE swaps any two kinds: the wrong one goes back.

    Raises:
        IsADirectoryError, NotADirectoryError: it was of the wrong kind, and nothing is published.
    """
    directory, name = staging.source
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if kind == "folder" and replaces_links and stat.S_ISLNK(status.st_mode):
        return True
    if stat.S_ISDIR(status.st_mode) != (kind == "folder"):
        rename.exchange(directory, name, destination.directory.fd, destination.name)
        raise explain.wrong_kind(destination.path, kind)
    return True


def undo(staging: Sibling | Wrapped, destination: Destination, kind: Kind, identity: Identity) -> bool:
    """Undo a placement, if it took place and what stands at the destination is still ours; say whether all is as before.

    Whether it took place is read from the disk, so an interrupted one can be undone, too.

    Raises:
        OSError: it could not be undone; the message says what became of a rival's version.
    """
    if not destination.holds(identity):
        return True
    directory, name = staging.source
    waiting = rename.identity(directory, name)
    if waiting is not None and waiting != identity:
        rename.exchange(directory, name, destination.directory.fd, destination.name)
        if rename.identity(directory, name) == identity:
            return True
        # A rival was quicker than the look: theirs goes back.
        rename.exchange(directory, name, destination.directory.fd, destination.name)
        return False
    spare = name if waiting is None else names.staging_name()
    os.rename(destination.name, spare, src_dir_fd=destination.directory.fd, dst_dir_fd=directory)
    if rename.identity(directory, spare) == identity:
        return True
    _give_back(directory, spare, destination, kind)
    return False


def _give_back(directory: int, spare: str, destination: Destination, kind: Kind) -> None:
    """Put a rival's version, which came between the look and the rename, back to its name; never lose it."""
    new = rename.new_folder if kind == "folder" else rename.new_file
    try:
        new(directory, spare, destination.directory.fd, destination.name)
    except OSError as error:
        kept = names.kept_name()
        os.rename(spare, kept, src_dir_fd=directory, dst_dir_fd=destination.directory.fd)
        where = os.path.join(destination.directory.current_path, kept)
        msg = f"{error.strerror}; the version that somebody had put there meanwhile is kept as {where!r}"
        raise OSError(error.errno, msg, destination.path) from error


def placement_error(error: OSError, destination: Destination, kind: Kind | None, *, overwrite: bool) -> OSError:
    """Return what an error of a placement means to the caller."""
    if kind == "folder":
        primitive = "RENAME_EXCHANGE" if overwrite else "RENAME_NOREPLACE"
    else:
        primitive = "rename(2)" if overwrite else "RENAME_NOREPLACE or link(2)"
    return explain.rename_error(error, destination.directory.fd, destination.name, destination.path, primitive)
