"""`atomik.copy`: a file or tree from anywhere, published in one instant."""

from __future__ import annotations

import os

from ._os.copying import Transfer
from ._os.descriptors import Descriptors
from ._os.filesystems import Filesystem
from ._os.held import leave, open_held
from ._os.paths import is_in
from ._publish.content import CopyContent
from ._publish.options import Options
from ._publish.publication import Publication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._os.copying import Progress
    from ._os.levels import Sync
    from ._publish.options import StrPath


def copy(
    src: StrPath,
    dst: StrPath,
    *,
    overwrite: bool = False,
    sync: Sync | None = None,
    parents: bool = False,
    backup: StrPath | None = None,
    progress: Progress | None = None,
) -> None:
    """Copy a file or a whole tree, from any filesystem: it appears at `dst` in one instant, complete.

    Blocks are shared where the filesystem can do that (a reflink). Elsewhere the kernel copies the content or, where it
    cannot, this process does, in constant memory. Mode, times, ACL, extended attributes and, as far as the process may set
    them, owner and group come with it; holes stay holes, and hard links within the tree stay hard links. A folder that is
    replaced by Atomik meanwhile is copied as it was when the copy began; where locks cannot ensure that (network
    filesystems), the copy fails instead.

    Args:
        src: a file or a folder; a symbolic link is followed. Links inside a tree are copied as links.
        dst: the destination, as for :func:`atomik.file` and :func:`atomik.folder`. Not a folder to copy into.
        overwrite: replace a file by a file, a folder by a folder.
        sync: as for :func:`atomik.file`.
        parents: make missing parent directories.
        backup: as for :func:`atomik.file`: with `overwrite`, where to keep the version that is replaced.
        progress: called with the number of files and of bytes copied so far, now and then and at the end of each file. If it
            raises an exception, that ends the copy, and nothing is published.

    Raises:
        FileNotFoundError: `src` or the parent of `dst` does not exist.
        FileAlreadyExistsError: `dst` exists, and `overwrite` is false.
        IsADirectoryError, NotADirectoryError: one is a folder and the other is not.
        ValueError: `dst` lies inside `src`, or its last component is not a name.
        OSError: whatever reading, writing or publishing raises; EINVAL if `src` is a device, FIFO or socket.
    """
    source = os.fsdecode(src)
    fds = Descriptors()
    fd = -1
    try:
        fd, lock = open_held(fds, source)
        if os.path.isdir(source) and is_in(os.path.realpath(os.fsdecode(dst)), os.path.realpath(source)):
            msg = f"{os.fsdecode(dst)!r} lies inside {source!r}: a copy cannot contain itself; choose a destination beside it"
            raise ValueError(msg)
        is_held = lock == "held" and Filesystem(fd).lock_scope == "exact"
        options = Options(overwrite=overwrite, sync=sync, parents=parents, backup=backup)
        content = CopyContent(fd, source, Transfer(progress, source), is_held=is_held)
        with Publication[None](os.fsdecode(dst), options, content):
            pass
    finally:
        try:
            if fd != -1:
                leave(fd)
        finally:
            fds.close_all()
