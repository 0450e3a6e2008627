"""The one instant: sealed content goes from its staging name to its destination, or is kept where it is."""

from __future__ import annotations

import os
import stat
from typing import Final, Literal, TypeAlias

from . import _explain, _names, _rename
from ._destination import Destination
from ._staging import Staging
from .errors import FileAlreadyExistsError

Kind: TypeAlias = Literal["file", "folder"]

#: Somebody else's entry at the destination: our version is not kept beside it.
RIVAL: Final = (FileAlreadyExistsError, IsADirectoryError, NotADirectoryError)


def place(
    staging: Staging, target: Destination, kind: Kind, *, overwrite: bool, vacant: bool = False, links: bool = False
) -> bool:
    """Publish. Return whether the version that was replaced now stands at the staging name.

    Args:
        staging: the content.
        target: where to.
        kind: what it is.
        overwrite: whether anything may be replaced.
        vacant: whether nothing stood there a moment ago: then an unnamed file needs no second name, perhaps.
        links: whether a folder may replace a symbolic link, too.

    Raises:
        OSError: the kernel's; :func:`failure` says what it means.
    """
    names = (target.directory, target.name)
    if kind == "folder":
        if overwrite:
            return swap_in(staging, target, kind, links=links)
        _rename.new_folder(*staging.source, *names)
    elif staging.name is None and not overwrite:
        _rename.link_unnamed(staging.fd, *names)
    else:
        if staging.name is None:
            if vacant and _became_new(staging, target):
                return False
            staging.link_beside(target.directory, target.folder)
        if overwrite:
            _rename.replace_file(*staging.source, *names)
        else:
            _rename.new_file(*staging.source, *names)
    return False


def _became_new(staging: Staging, target: Destination) -> bool:
    """Publish an unnamed file by one linkat, if nothing stands at the destination: there is nothing to replace then."""
    try:
        _rename.link_unnamed(staging.fd, target.directory, target.name)
    except FileExistsError:
        return False
    return True


def swap_in(staging: Staging, target: Destination, kind: Kind, *, links: bool = False) -> bool:
    """Exchange the content with what stands at the destination, and see what came out.

    Return whether anything did; if nothing stood there any more, it is published as new.
    """
    if not _rename.swap_in(*staging.source, target.directory, target.name, folder=kind == "folder"):
        return False
    return came_out(staging, target, kind, links=links)


def came_out(staging: Staging, target: Destination, kind: Kind, *, links: bool) -> bool:
    """Say whether the exchange brought anything to the staging name. EXCHANGE swaps any two kinds: the wrong one goes back.

    Raises:
        IsADirectoryError, NotADirectoryError: it was of the wrong kind, and nothing is published.
    """
    directory, name = staging.source
    try:
        came = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if links and stat.S_ISLNK(came.st_mode):
        return True
    if stat.S_ISDIR(came.st_mode) != (kind == "folder"):
        _rename.exchange(directory, name, target.directory, target.name)
        raise _explain.is_not_a_folder(target.path) if kind == "folder" else _explain.is_a_folder(target.path)
    return True


def failure(error: OSError, target: Destination, kind: Kind | None, *, overwrite: bool) -> OSError:
    """Return what an error of :func:`place` means to the caller."""
    if kind == "folder":
        primitive = "RENAME_EXCHANGE" if overwrite else "RENAME_NOREPLACE"
    else:
        primitive = "rename(2)" if overwrite else "RENAME_NOREPLACE or link(2)"
    return _explain.renaming(error, target.directory, target.name, target.path, primitive)


def keep(staging: Staging, error: OSError) -> None:
    """Keep finished work that could not be published, under a name that no cleaner touches; `error` then says where."""
    name = _names.kept_name()
    try:
        if staging.name is None:
            _rename.link_unnamed(staging.fd, staging.directory, name)
        else:
            source_dir, source = staging.source
            os.rename(source, name, src_dir_fd=source_dir, dst_dir_fd=staging.directory)
    except OSError as trouble:
        where = f"the finished content could not be kept either ({trouble.strerror})"
    else:
        where = f"the finished content is kept as {os.path.join(staging.folder, name)!r}"
    error.strerror = f"{error.strerror}; {where}"
    error.args = (error.errno, error.strerror)  # what is pickled, when a worker process raises it
