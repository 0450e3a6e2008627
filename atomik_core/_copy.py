"""`atomik.copy`: a file or tree from anywhere, published at once."""

from __future__ import annotations

import errno
import os
import stat

from . import _explain, _metadata, _required
from ._descriptors import Descriptors
from ._destination import StrPath
from ._publication import Publication
from ._staging import Staging
from ._sync import Sync
from ._transfer import Progress, Transfer


def copy(
    src: StrPath,
    dst: StrPath,
    *,
    overwrite: bool = False,
    sync: Sync | None = None,
    parents: bool = False,
    progress: Progress | None = None,
) -> None:
    """Copy a file or a whole tree, from any filesystem: it appears at `dst` in one instant, complete.

    The content is shared where the filesystem can (a reflink), else copied in the kernel, else through this process in
    constant memory. Mode, times, ACL, extended attributes and, as far as the process may, owner and group come with it;
    holes stay holes, and hard links within the tree stay hard links.

    Args:
        src: a file or a folder; a symbolic link is followed. Links inside a tree are copied as links.
        dst: the destination, as :func:`atomik.file`'s and :func:`atomik.folder`'s. Not a folder to copy into.
        overwrite: replace a file by a file, a folder by a folder.
        sync: as :func:`atomik.file`'s.
        parents: make missing parent directories.
        progress: called with the number of files and of bytes copied so far, now and then and at the end of each file. What
            it raises ends the copy; nothing is published then.

    Raises:
        FileNotFoundError: `src` or the parent of `dst` does not exist.
        FileAlreadyExistsError: `dst` exists, and `overwrite` is false.
        IsADirectoryError, NotADirectoryError: one is a folder and the other is not.
        ValueError: `dst` lies inside `src`, or its last component is no name.
        OSError: whatever reading, writing or publishing says; a device, FIFO or socket as `src` is EINVAL.
    """
    source = os.fsdecode(src)
    fds = Descriptors()
    try:
        _require_plain(os.stat(source), source)
        fd = fds.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
        _require_plain(status, source)
        if _is_inside(os.fsdecode(dst), source):
            msg = f"{os.fsdecode(dst)!r} lies inside {source!r}: a copy cannot contain itself; choose a destination beside it"
            raise ValueError(msg)
        publication = _CopyPublication(dst, overwrite, sync, None, parents, None, True, None)
        publication.prepare(source, fd, status, progress)
        with publication:
            pass
    finally:
        fds.close()


def _require_plain(status: os.stat_result, source: str) -> None:
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        msg = "Only files and folders are copied, and this is a device, FIFO or socket"
        raise OSError(errno.EINVAL, msg, source)


def _is_inside(path: str, folder: str) -> bool:
    return (os.path.realpath(path) + "/").startswith(os.path.realpath(folder) + "/") and os.path.isdir(folder)


class _CopyPublication(Publication[None]):
    """A copy on its way: sealing it fills it."""

    __slots__ = ("_source", "_status", "_transfer")

    def prepare(self, name: str, source: int, status: os.stat_result, progress: Progress | None) -> None:
        self._source = source
        self._status = status
        self._transfer = Transfer(progress, name)
        self._kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"

    def _check(self, status: os.stat_result) -> None:
        if stat.S_ISDIR(status.st_mode) != (self._kind == "folder"):
            path = self._target.path
            raise _explain.is_not_a_folder(path) if self._kind == "folder" else _explain.is_a_folder(path)

    def _stage(self, staging: Staging) -> None:
        if self._kind == "folder":
            staging.make_folder_to_fill(self._target.given_name)
        elif not staging.make_unnamed(stat.S_IRUSR | stat.S_IWUSR):
            if not self._overwrite:
                _required.new_file(self._target)
            staging.make_file(self._target.given_name, stat.S_IRUSR | stat.S_IWUSR)

    def _seal(self) -> int | None:
        content = self._stagings[-1].content
        if self._kind == "folder":
            self._transfer.tree(self._source, content)
        else:
            self._transfer.file(self._source, content)
        return None

    def _inherit(self, default_mode: int | None) -> None:  # noqa: ARG002
        """The original's metadata, not that of what is replaced."""
        if self._kind == "file":
            _metadata.clone(self._stagings[-1].content, self._status, self._source)
