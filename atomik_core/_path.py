"""`atomik.path`: a path at which any program makes a file, folder or symbolic link, published when the block ends."""

from __future__ import annotations

import os

from ._publish.content import PathContent
from ._publish.options import Options
from ._publish.publication import Publication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ._os.levels import Sync
    from ._publish.content import Extras
    from ._publish.options import StrPath


def path(
    path: StrPath,
    *,
    overwrite: bool = False,
    sync: Sync | None = None,
    tmp_dir: StrPath | None = None,
    parents: bool = False,
    permissions: int | None = None,
    follow_symlinks: bool = True,
    backup: StrPath | None = None,
    extras: Extras = "refuse",
) -> Publication[Path]:
    """Publish whatever is made at a path: for programs and libraries that want a name and make the file or folder themselves.

    ::

        with atomik.path("table.parquet") as p:
            frame.to_parquet(p)

    Nothing exists at the staged path yet. Its last component is exactly the destination's name, so a library that goes by the
    suffix, or stores the name, works. The path is in a folder of its own, which no other user can read. What is made in that
    folder under other names (``m.dbf`` beside ``m.shp``) is never dropped unasked: see `extras`.

    Args:
        path: the destination; with a slash at its end, what is made must be a folder. Its directory must exist, unless
            `parents`.
        overwrite: replace a file by a file, a folder by a folder. False by default: of N rivals exactly one wins.
        sync: as for :func:`atomik.file`.
        tmp_dir: a directory to stage in; beside the destination by default.
        parents: make missing parent directories (on discard, those that were made are removed again if they are empty).
        permissions: the mode to publish with. By default what was made keeps its mode, and what replaces another file or
            folder gets that one's mode, owner, group, ACL and extended attributes.
        follow_symlinks: when overwriting, replace what a symbolic link at `path` points to; False replaces the link.
        backup: with `overwrite`, where to keep the version that is replaced, on the same filesystem; an older backup there
            is replaced. ``atomik.exchange(path, backup)`` goes back to it.
        extras: what to do with what is made beside the staged path. ``"refuse"``: raise an error and keep everything;
            ``"publish"``: publish it with the rest, beside the destination, where it replaces what is there if `overwrite` is
            true; ``"discard"``: drop it.

    Returns:
        a publication; its ``with`` yields the path to make something at.

    Raises:
        ValueError: an argument makes no sense; `path` ends in ``.`` or ``..``, or is the root.
        FileAlreadyExistsError: `path` exists and `overwrite` is false; or it is a device, FIFO or socket.
        IsADirectoryError, NotADirectoryError: a folder stands there and a file was made, or the reverse.
        FileNotFoundError: the parent directory is missing.
        NothingStagedError: no file, folder or symbolic link was made there.
        ExtrasError: something was made beside it, and `extras` is ``"refuse"``.
        UnsupportedFilesystemError: the filesystem cannot keep a promise; the message says which, and the remedy.
        NotDurableError: published, but the sync of its directory failed.
        OSError: whatever else the kernel says. Finished work is kept, and the error says where.

    All but ValueError are raised when the block begins or ends, not by this call.
    """
    options = Options(
        overwrite=overwrite,
        sync=sync,
        tmp_dir=tmp_dir,
        parents=parents,
        permissions=permissions,
        follow_symlinks=follow_symlinks,
        backup=backup,
    )
    return Publication(os.fsdecode(path), options, PathContent(extras))
