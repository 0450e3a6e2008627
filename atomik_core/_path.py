"""`atomik.path`: a path at which any program makes a file or folder, published when the block ends."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path

from . import _explain
from ._destination import StrPath
from ._publication import Publication
from ._staging import Staging
from ._sync import Sync
from .errors import NothingStagedError


class PathPublication(Publication[Path]):
    """A file or folder on its way: `open` returns a path with the destination's own name, where nothing exists yet."""

    __slots__ = ()

    def _check(self, status: os.stat_result) -> None:
        if self._kind == "folder" and not stat.S_ISDIR(status.st_mode):
            raise _explain.is_not_a_folder(self._target.path)
        if self._kind == "file" and stat.S_ISDIR(status.st_mode):
            raise _explain.is_a_folder(self._target.path)

    def _stage(self, staging: Staging) -> Path:
        staging.make_wrapper(self._target.given_name)
        return self.staged

    def _seal(self) -> int | None:
        staging = self._stagings[-1]
        status = staging.find()
        others = staging.others()
        if status is None or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise self._nothing(status, others)
        if others:
            logging.getLogger("atomik").warning(
                "%s: not published, since only the destination's own name is: %s", self._target.path, ", ".join(others)
            )
        self._kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        return stat.S_IMODE(status.st_mode)  # its maker's, which may have been opened up to look at it

    def _nothing(self, status: os.stat_result | None, others: list[str]) -> NothingStagedError:
        if status is not None:
            msg = "What was made at the staged path is neither a file nor a folder, and nothing else is published"
        elif others:
            made = ", ".join(map(repr, sorted(others)))
            msg = f"Nothing was made at the staged path, but beside it: {made}; a program that adds a suffix wants it in the name"
        else:
            msg = "Nothing was made at the staged path; make a file or a folder there, or call discard() in the block"
        return NothingStagedError(errno.ENOENT, msg, self._target.path)


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
) -> Publication[Path]:
    """Publish whatever is made at a path: for programs and libraries that want a name and make the file or folder.

    ::

        with atomik.path("table.parquet") as p:
            frame.to_parquet(p)

    The staged path does not exist yet. Its last component is exactly the destination's name, so that a library that goes
    by the suffix, or stores the name, works. It lies in a folder of its own, readable by nobody else; what is made in
    there under other names is not published.

    Args:
        path: the destination; a slash at its end is dropped. Its directory must exist, unless `parents`.
        overwrite: replace a file by a file, a folder by a folder. False by default: of N rivals exactly one wins.
        sync: as :func:`atomik.file`'s.
        tmp_dir: a directory to stage in; beside the destination by default.
        parents: make missing parent directories (and remove those made, if they are empty, on discard).
        permissions: the mode to publish with. By default what was made keeps its mode, and what replaces another file or
            folder gets that one's mode, owner, group, ACL and extended attributes.
        follow_symlinks: when overwriting, replace what a symbolic link at `path` points to; False replaces the link.
        backup: with `overwrite`, where the version that is replaced is kept, in place of an older one there; on the same
            filesystem. ``atomik.exchange(path, backup)`` is the way back.

    Returns:
        a publication; its ``with`` yields the path to make something at.

    Raises:
        ValueError: an argument makes no sense; `path` ends in ``.`` or ``..``, or is the root.
        FileAlreadyExistsError: `path` exists and `overwrite` is false; or it is a device, FIFO or socket.
        IsADirectoryError, NotADirectoryError: a folder stands there and a file was made, or the reverse.
        FileNotFoundError: the parent directory is missing.
        NothingStagedError: neither a file nor a folder was made there.
        UnsupportedFilesystemError: the filesystem cannot keep a promise; the message says which, and the remedy.
        NotDurableError: published, but the sync of its directory failed.
        OSError: whatever else the kernel says. Finished work is kept, and the error says where.

    All but ValueError are raised when the block begins or ends, not by this call.
    """
    return PathPublication(path, overwrite, sync, tmp_dir, parents, permissions, follow_symlinks, backup)
