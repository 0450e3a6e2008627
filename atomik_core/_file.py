"""`atomik.file`: a file that is open for writing, and published when the block ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from enum import StrEnum
from typing import IO, Any, BinaryIO, Literal, TextIO, TypeAlias, cast, overload

from . import _explain, _required
from ._destination import StrPath
from ._handle import Handle
from ._publication import H_co, Publication
from ._staging import Staging
from ._sync import Sync
from ._transfer import Transfer


class Mode(StrEnum):
    """The two modes that most files are written in; every other mode of :func:`open` that writes is a string."""

    TEXT = "w"
    BYTES = "wb"


TextMode: TypeAlias = Literal[
    "w",
    "wt",
    "tw",
    "x",
    "xt",
    "tx",
    "a",
    "at",
    "ta",
    "w+",
    "wt+",
    "w+t",
    "x+",
    "xt+",
    "x+t",
    "a+",
    "at+",
    "a+t",
    "r+",
    "rt+",
    "r+t",
]
BinaryMode: TypeAlias = Literal[
    "wb", "bw", "xb", "bx", "ab", "ba", "wb+", "w+b", "xb+", "x+b", "ab+", "a+b", "rb+", "r+b"
]


class FilePublication(Publication[H_co]):
    """A file on its way: `open` returns it open for writing, as the built-in :func:`open` does."""

    __slots__ = ("_handle",)
    _known_kind = "file"
    _takes_slash = False

    def use(self, handle: Handle) -> None:
        """Say how the file is to be opened.

        Raises:
            ValueError: that contradicts `overwrite`.
        """
        if handle.raw_mode[0] == "x" and self._overwrite:
            msg = (
                f"mode {handle.mode!r} means that the destination must not exist, and overwrite=True that it may: "
                "say one of them"
            )
            raise ValueError(msg)
        self._handle = handle

    def _check(self, status: os.stat_result) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise _explain.is_a_folder(self._target.path)

    def _stage(self, staging: Staging) -> H_co:
        unnamed = staging.make_unnamed(0o666)
        if not self._overwrite and (self._tmp_dir is not None or not unnamed):
            _required.new_file(self._target)
        if not unnamed:
            staging.make_file(self._target.given_name, 0o666)
        if self._handle.raw_mode[0] in "ar":
            self._start_from_old(staging.content)
        return cast("H_co", self._handle.open(staging.content, self._target.path))

    def _start_from_old(self, fd: int) -> None:
        """Copy what is there, to be appended to or changed; a reflink where the filesystem has them."""
        target = self._target
        try:
            old = self._fds.open(target.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=target.directory)
        except FileNotFoundError:
            if self._handle.raw_mode[0] == "r":
                msg = f"mode {self._handle.mode!r} changes a file that exists, and none does; use 'w+' or 'a+' to begin a new one"
                raise FileNotFoundError(errno.ENOENT, msg, target.path) from None
        else:
            Transfer().file(old, fd)
            self._fds.close_one(old)
        if self._handle.raw_mode[0] == "a":
            # Not before: pwrite would append whatever its offset, and a reflink would be refused (pwrite(2), EBADF).
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)

    def _seal(self) -> int | None:
        self._handle.close()
        return None

    def _release(self) -> None:
        self._handle.abandon()


@overload
def file(
    path: StrPath,
    mode: TextMode | Literal[Mode.TEXT] = ...,
    *,
    overwrite: bool = ...,
    sync: Sync | None = ...,
    tmp_dir: StrPath | None = ...,
    parents: bool = ...,
    permissions: int | None = ...,
    follow_symlinks: bool = ...,
    backup: StrPath | None = ...,
    buffering: int = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
) -> Publication[TextIO]: ...
@overload
def file(
    path: StrPath,
    mode: BinaryMode | Literal[Mode.BYTES],
    *,
    overwrite: bool = ...,
    sync: Sync | None = ...,
    tmp_dir: StrPath | None = ...,
    parents: bool = ...,
    permissions: int | None = ...,
    follow_symlinks: bool = ...,
    backup: StrPath | None = ...,
    buffering: int = ...,
    encoding: None = ...,
    errors: None = ...,
    newline: None = ...,
) -> Publication[BinaryIO]: ...
@overload
def file(
    path: StrPath,
    mode: str,
    *,
    overwrite: bool = ...,
    sync: Sync | None = ...,
    tmp_dir: StrPath | None = ...,
    parents: bool = ...,
    permissions: int | None = ...,
    follow_symlinks: bool = ...,
    backup: StrPath | None = ...,
    buffering: int = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
) -> Publication[IO[Any]]: ...
def file(
    path: StrPath,
    mode: str = "w",
    *,
    overwrite: bool = False,
    sync: Sync | None = None,
    tmp_dir: StrPath | None = None,
    parents: bool = False,
    permissions: int | None = None,
    follow_symlinks: bool = True,
    backup: StrPath | None = None,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Publication[Any]:
    """Publish a file: what is written in the block appears at `path` as a whole when the block ends, or not at all.

    ::

        with atomik.file("result.json") as f:
            json.dump(result, f)

    The file has no name while it is written (O_TMPFILE, open(2)), so a killed process leaves nothing. ``f.name`` is the
    destination: a program that opens the file again by its name wants :func:`atomik.path`. Closing `f` inside the block
    is fine; publication is the end of the block. An exception in the block discards, and is raised unchanged.

    Args:
        path: the destination. Its directory must exist, unless `parents`.
        mode: as :func:`open`'s, any that writes: ``w x a w+ x+ a+ r+``, with ``b`` or ``t``; or :class:`atomik.Mode`.
            ``x`` is ``overwrite=False`` said twice. ``a`` and ``r+`` start from a copy of what is there, and need
            ``overwrite=True`` if something is.
        overwrite: replace a file that exists. False by default: of N rivals exactly one wins, the others get an error.
        sync: ``"full"``: durable when the block ends; ``"normal"``: after a power cut old or new, never torn; ``"off"``:
            safe from crashes of the process only. None: what the environment variable ATOMIK_SYNC says, else ``"full"``.
        tmp_dir: a directory to stage in; beside the destination by default.
        parents: make missing parent directories (and remove those made, if they are empty, on discard).
        permissions: the mode to publish with. By default a new file gets 0o666 less the umask, and one that replaces
            another keeps that one's mode, owner, group, ACL and extended attributes, as far as the process may set them.
        follow_symlinks: when overwriting, replace what a symbolic link at `path` points to, as :func:`open` does; False
            replaces the link.
        backup: with `overwrite`, where the version that is replaced is kept, in place of an older one there; on the same
            filesystem. ``atomik.exchange(path, backup)`` is the way back.
        buffering, encoding, errors, newline: as :func:`open`'s.

    Returns:
        a publication; its ``with`` yields the open file.

    Raises:
        ValueError: an argument makes no sense; `path` ends in ``.`` or ``..``.
        FileAlreadyExistsError: `path` exists and `overwrite` is false; or it is a device, FIFO or socket.
        IsADirectoryError: a folder stands there, or `path` ends with a slash.
        FileNotFoundError: the parent directory is missing.
        UnsupportedFilesystemError: the filesystem cannot keep a promise; the message says which, and the remedy.
        NotDurableError: published, but the sync of its directory failed.
        OSError: whatever else the kernel says. Finished work is kept, and the error says where.

    All but ValueError are raised when the block begins or ends, not by this call.
    """
    publication: FilePublication[Any] = FilePublication(
        path, overwrite, sync, tmp_dir, parents, permissions, follow_symlinks, backup
    )
    publication.use(Handle(mode, buffering, encoding, errors, newline))
    return publication
