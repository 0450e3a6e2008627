"""`atomik.folder`: a folder to fill, published when the block ends."""

from __future__ import annotations

import os

from ._publish.content import FolderContent
from ._publish.options import Options
from ._publish.publication import Publication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ._os.levels import Sync
    from ._publish.options import StrPath


def folder(
    path: StrPath,
    overwrite: bool = False,
    tmp_dir: StrPath | None = None,
    *,
    sync: Sync | None = None,
    parents: bool = False,
    permissions: int | None = None,
    follow_symlinks: bool = True,
    backup: StrPath | None = None,
) -> Publication[Path]:
    """Publish a folder: what is made in it appears at `path` as a whole when the block ends, or not at all.

    ::

        with atomik.folder("results") as d:
            (d / "a.csv").write_text(a)
            (d / "b.csv").write_text(b)

    The staged folder is beside its destination, is called ``.atomik-…``, and is closed to all other users while it is filled.
    It gets its final mode when it is complete, before it is synced and published. A folder that exists is exchanged with the
    new one in one instant (renameat2(2), RENAME_EXCHANGE) and then removed; what is mounted inside it is left alone.

    Args:
        path: the destination; a slash at its end is dropped. Its directory must exist, unless `parents`.
        overwrite: replace a folder that exists. False by default: of N rivals exactly one wins, and the others get an error.
        sync: as for :func:`atomik.file`. It covers everything in the folder, whoever wrote it.
        tmp_dir: a directory to stage in; beside the destination by default.
        parents: make missing parent directories (on discard, those that were made are removed again if they are empty).
        permissions: the mode to publish the folder itself with. By default a new one gets 0o777 less the umask, and one
            that replaces another keeps that one's mode, owner, group, ACL and extended attributes.
        follow_symlinks: when overwriting, replace the folder that a symbolic link at `path` points to; False replaces
            the link.
        backup: with `overwrite`, where to keep the version that is replaced, on the same filesystem; an older backup there
            is replaced. ``atomik.exchange(path, backup)`` goes back to it.

    Returns:
        a publication; its ``with`` yields the path of an empty folder.

    Raises:
        ValueError: an argument makes no sense; `path` ends in ``.`` or ``..``, or is the root.
        FileAlreadyExistsError: `path` exists and `overwrite` is false; or it is a device, FIFO or socket.
        NotADirectoryError: a file stands there.
        FileNotFoundError: the parent directory is missing.
        NothingStagedError: the staged folder was removed in the block.
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
    return Publication(os.fsdecode(path), options, FolderContent())
