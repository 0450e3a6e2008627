"""`atomik.symlink`: a symbolic link that appears, or is replaced, in one instant."""

from __future__ import annotations

import os

from ._publish.content import SymlinkContent
from ._publish.options import Options
from ._publish.publication import Publication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._os.levels import Sync
    from ._publish.options import StrPath


def symlink(
    target: StrPath, path: StrPath, *, overwrite: bool = False, sync: Sync | None = None, parents: bool = False
) -> None:
    """Make or replace a symbolic link in one instant: at every moment either the old link or the new one is there.

    ::

        atomik.symlink("releases/7", "current", overwrite=True)

    ``ln -sfn``, and ``os.unlink`` with ``os.symlink``, remove the old link first, and a reader in between finds none.

    Args:
        target: what the link points to, stored unchanged; a relative path is relative to the link's directory. It need not
            exist.
        path: the link itself. Its directory must exist, unless `parents`.
        overwrite: replace a link or a file at `path`; of a link, the link itself, never what it points to. False by default:
            of N rivals exactly one wins.
        sync: as for :func:`atomik.file`.
        parents: make missing parent directories.

    Raises:
        FileAlreadyExistsError: `path` exists, and `overwrite` is false; or it is a device, FIFO or socket.
        IsADirectoryError: a folder stands at `path`, or it ends with a slash.
        FileNotFoundError: the parent directory is missing.
        ValueError: `path` ends in ``.`` or ``..``; `target` is empty.
        NotDurableError: published, but the sync of its directory failed.
        UnsupportedFilesystemError: the filesystem has no symbolic links (FAT).
        OSError: whatever else the kernel says, such as ENAMETOOLONG for a long `target`.
    """
    options = Options(overwrite=overwrite, sync=sync, parents=parents, follow_symlinks=False)
    with Publication[None](os.fsdecode(path), options, SymlinkContent(os.fsdecode(target))):
        pass
