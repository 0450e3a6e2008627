"""`atomik.group`: several publications as one."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from ._destination import StrPath
from ._file import BinaryMode, Mode, TextMode
from ._handle import Handle
from ._joint import Joint
from ._members import FileMember, FolderMember, PathMember
from ._publication import Publication
from ._sync import Sync


class Group(Joint):
    """Several files and folders that are published together at the end of the group's block, or not at all.

    Made by :func:`atomik.group`. `file`, `folder` and `path` take the arguments of their namesakes but `sync`, which is the
    group's. A member is complete when its own block ends (or `publish` is called on it); the group publishes all of them,
    in the order in which they were made. It belongs to one thread at a time.
    """

    @overload
    def file(
        self,
        path: StrPath,
        mode: TextMode | Literal[Mode.TEXT] = ...,
        *,
        overwrite: bool = ...,
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
        self,
        path: StrPath,
        mode: BinaryMode | Literal[Mode.BYTES],
        *,
        overwrite: bool = ...,
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
        self,
        path: StrPath,
        mode: str,
        *,
        overwrite: bool = ...,
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
        self,
        path: StrPath,
        mode: str = "w",
        *,
        overwrite: bool = False,
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
        """Publish a file with the group; as :func:`atomik.file`."""
        member: FileMember[Any] = FileMember(
            path, overwrite, self._sync, tmp_dir, parents, permissions, follow_symlinks, backup
        )
        member.use(Handle(mode, buffering, encoding, errors, newline))
        return self._add(member)

    def folder(
        self,
        path: StrPath,
        *,
        overwrite: bool = False,
        tmp_dir: StrPath | None = None,
        parents: bool = False,
        permissions: int | None = None,
        follow_symlinks: bool = True,
        backup: StrPath | None = None,
    ) -> Publication[Path]:
        """Publish a folder with the group; as :func:`atomik.folder`."""
        return self._add(
            FolderMember(path, overwrite, self._sync, tmp_dir, parents, permissions, follow_symlinks, backup)
        )

    def path(
        self,
        path: StrPath,
        *,
        overwrite: bool = False,
        tmp_dir: StrPath | None = None,
        parents: bool = False,
        permissions: int | None = None,
        follow_symlinks: bool = True,
        backup: StrPath | None = None,
    ) -> Publication[Path]:
        """Publish what is made at a path with the group; as :func:`atomik.path`."""
        return self._add(
            PathMember(path, overwrite, self._sync, tmp_dir, parents, permissions, follow_symlinks, backup)
        )


def group(*, sync: Sync | None = None) -> Group:
    """Publish several files and folders together: all of them, or none.

    ::

        with atomik.group() as g:
            with g.file("model.json") as f:
                json.dump(model, f)
            with g.folder("plots", overwrite=True) as d:
                draw(d)

    Members are complete when their own blocks end, and published when the group's block ends, in the order in which they
    were made. An exception anywhere discards all. If one cannot be published (a rival's file, a full disk), those already
    published are undone in reverse order, unless somebody has replaced them meanwhile; the error names the member.

    What a reader sees: each member appears in one instant, one after the other, microseconds apart; who reads two names in
    between sees one new and one old. A kill or power cut between two renames leaves it like that. One folder is the strict
    way to all or nothing.

    Destinations that exist are replaced by RENAME_EXCHANGE, files, too, since only that can be undone; on a filesystem
    without it such a member raises when it is opened. Syncs are shared: once for each filesystem and each directory.

    Args:
        sync: as :func:`atomik.file`'s, for all members.

    Returns:
        a group; its ``with`` yields it.

    Raises:
        ValueError: `sync` is no level; or, when a member is made: its destination is another member's, or inside it.
    """
    return Group(sync)
