"""`atomik.file`: a file that is open for writing, and published when the block ends."""

# ruff: noqa: F811 - these are overloads; typing itself is imported for type checkers only

from __future__ import annotations

import os

from ._publish.content import FileContent
from ._publish.handle import Handle
from ._publish.options import Options
from ._publish.publication import Publication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, BinaryIO, Literal, TextIO, TypeAlias, overload

    from ._mode import Mode
    from ._os.levels import Sync
    from ._publish.options import StrPath

    TextMode: TypeAlias = Literal[
        "w", "wt", "tw", "x", "xt", "tx", "a", "at", "ta", "w+", "wt+", "w+t", "x+", "xt+", "x+t", "a+", "at+", "a+t", "r+",
        "rt+", "r+t",
    ]  # fmt: skip
    BinaryMode: TypeAlias = Literal[
        "wb", "bw", "xb", "bx", "ab", "ba", "wb+", "w+b", "xb+", "x+b", "ab+", "a+b", "rb+", "r+b"
    ]
else:

    def overload(function: object) -> object:
        """Stand for typing's, which takes longer to import than a publication takes."""
        return function


@overload
def file(
    path: StrPath,
    mode: TextMode | Literal[Mode.TEXT] = ...,
    overwrite: bool = ...,
    tmp_dir: StrPath | None = ...,
    *,
    sync: Sync | None = ...,
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
    overwrite: bool = ...,
    tmp_dir: StrPath | None = ...,
    *,
    sync: Sync | None = ...,
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
    overwrite: bool = ...,
    tmp_dir: StrPath | None = ...,
    *,
    sync: Sync | None = ...,
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
    overwrite: bool = False,
    tmp_dir: StrPath | None = None,
    *,
    sync: Sync | None = None,
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
    destination; for a program that opens the file again by its name, use :func:`atomik.path`. Closing `f` inside the block
    is fine: the file is published at the end of the block. An exception in the block discards it, and is raised unchanged.

    Args:
        path: the destination. Its directory must exist, unless `parents`.
        mode: as for :func:`open`, any mode that writes: ``w x a w+ x+ a+ r+``, with ``b`` or ``t``; or :class:`atomik.Mode`.
            ``x`` is the same as ``overwrite=False``. ``a`` and ``r+`` start from a copy of the file that is there; if there
            is one, they need ``overwrite=True``.
        overwrite: replace a file that exists. False by default: of N rivals exactly one wins, and the others get an error.
        sync: ``"full"``: durable when the block ends; ``"normal"``: after a power cut, old or new, never torn; ``"off"``:
            safe only from crashes of the process. None: what the environment variable ATOMIK_SYNC says, else ``"full"``.
        tmp_dir: a directory to stage in; beside the destination by default.
        parents: make missing parent directories (on discard, those that were made are removed again if they are empty).
        permissions: the mode to publish with. By default a new file gets 0o666 less the umask, and one that replaces
            another keeps that one's mode, owner, group, ACL and extended attributes, as far as the process may set them.
        follow_symlinks: when overwriting, replace what a symbolic link at `path` points to, as :func:`open` does; False
            replaces the link.
        backup: with `overwrite`, where to keep the version that is replaced, on the same filesystem; an older backup there
            is replaced. ``atomik.exchange(path, backup)`` goes back to it.
        buffering, encoding, errors, newline: as for :func:`open`.

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
    options = Options(
        overwrite=overwrite,
        sync=sync,
        tmp_dir=tmp_dir,
        parents=parents,
        permissions=permissions,
        follow_symlinks=follow_symlinks,
        backup=backup,
    )
    return Publication(os.fsdecode(path), options, open_file(mode, options, buffering, encoding, errors, newline))


def open_file(
    mode: str, options: Options, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> FileContent:
    """Check how a file is to be opened.

    Raises:
        ValueError: the arguments contradict each other.
    """
    handle = Handle(mode, buffering, encoding, errors, newline)
    if handle.raw_mode[0] == "x" and options.overwrite:
        msg = (
            f"mode {mode!r} means that the destination must not exist, and overwrite=True that it may: say one of them"
        )
        raise ValueError(msg)
    return FileContent(handle)
