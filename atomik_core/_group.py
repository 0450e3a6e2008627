"""`atomik.group`: several publications as one."""

# ruff: noqa: F811 - these are overloads; typing itself is imported for type checkers only

from __future__ import annotations

import os

from ._file import open_file
from ._os.sync import resolve_level
from ._publish.block import JointBlock
from ._publish.claims import Claims
from ._publish.content import FolderContent, PathContent, SymlinkContent
from ._publish.options import Options
from ._publish.publication import Publication
from ._publish.transaction import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO, Any, BinaryIO, Literal, Self, TextIO, overload

    from ._file import BinaryMode, TextMode
    from ._mode import Mode
    from ._os.levels import Sync
    from ._publish.content import Extras
    from ._publish.entry import Content
    from ._publish.options import StrPath
    from ._publish.transaction import Members
else:
    from ._file import overload


class Group(JointBlock):
    """Several files and folders that are published together at the end of the group's block, or not at all.

    Made by :func:`atomik.group`. `file`, `folder`, `path` and `symlink` take the arguments of the functions of these names,
    except `sync`, which is the group's. A member is complete when its own block ends (or `publish` is called on it). The group
    publishes all members, in the order in which they were made. It belongs to one thread at a time.
    """

    __slots__ = ("__weakref__", "_claims", "_members", "_sync")

    def __init__(self, sync: Sync | None) -> None:
        self._was_opened = False
        self._sync = resolve_level(sync)
        self._members: list[Publication[Any]] = []
        self._claims = Claims()
        self._transaction = Transaction(self._sync, is_shared=True)

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
        """Publish a file with the group; like :func:`atomik.file`."""
        options = Options(
            overwrite=overwrite,
            sync=self._sync,
            tmp_dir=tmp_dir,
            parents=parents,
            permissions=permissions,
            follow_symlinks=follow_symlinks,
            backup=backup,
        )
        return self._add(path, options, open_file(mode, options, buffering, encoding, errors, newline))

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
        """Publish a folder with the group; like :func:`atomik.folder`."""
        options = Options(
            overwrite=overwrite,
            sync=self._sync,
            tmp_dir=tmp_dir,
            parents=parents,
            permissions=permissions,
            follow_symlinks=follow_symlinks,
            backup=backup,
        )
        return self._add(path, options, FolderContent())

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
        extras: Extras = "refuse",
    ) -> Publication[Path]:
        """Publish what is made at a path with the group; like :func:`atomik.path`."""
        options = Options(
            overwrite=overwrite,
            sync=self._sync,
            tmp_dir=tmp_dir,
            parents=parents,
            permissions=permissions,
            follow_symlinks=follow_symlinks,
            backup=backup,
        )
        return self._add(path, options, PathContent(extras))

    def symlink(self, target: StrPath, path: StrPath, *, overwrite: bool = False, parents: bool = False) -> None:
        """Publish a symbolic link with the group; like :func:`atomik.symlink`. It is complete immediately."""
        options = Options(overwrite=overwrite, sync=self._sync, parents=parents, follow_symlinks=False)
        with self._add(path, options, SymlinkContent(os.fsdecode(target))):
            pass

    # The life cycle.

    @property
    def publications(self) -> tuple[Publication[Any], ...]:
        """The members, in the order in which they were made and are published."""
        if self.state != "discarded":
            self._members = [member for member in self._members if member.state != "discarded"]
        return tuple(self._members)

    def publish(self) -> None:
        """Publish every member, in order. Repeated, it does nothing.

        Raises:
            FileAlreadyExistsError: a rival was first at one destination; those already published are taken back.
            NotDurableError: all are published, but the sync of a directory failed.
            AtomikError: a member had failed before, and its error was swallowed; nothing is published.
            OSError: a member could not be completed, synced or published, and nothing is published; the error names the
                member. Or all are published, but an old version could not be moved to its backup; the error says where it is.
            ValueError: the group was discarded.
        """
        if self.state == "published" or self._transaction.is_foreign:
            return
        if self.state == "discarded":
            msg = "the group cannot be published: it was discarded"
            raise ValueError(msg)
        for member in self._members:
            if member.state == "new":
                member.discard()
        self._transaction.commit(self._entries())

    def __enter__(self) -> Self:
        if self.state != "new":
            msg = f"the group was opened before; it is {self.state}"
            raise ValueError(msg)
        if not self._members:
            self._transaction = Transaction(self._sync, is_shared=True)  # this process's, if it was made in another
        self._was_opened = True
        return self

    def _entries(self) -> Members:
        return {member._entry: member for member in self.publications}

    def _add(self, path: StrPath, options: Options, content: Content) -> Publication[Any]:
        if self.state not in {"new", "open"}:
            msg = f"the group takes no more members: it is {self.state}"
            raise ValueError(msg)
        if self._transaction.is_foreign:
            msg = "the group belongs to the process that this one was forked from; make another one here"
            raise ValueError(msg)
        member: Publication[Any] = Publication(os.fsdecode(path), options, content, self._transaction)
        self._claims.claim(member._entry)
        self._members.append(member)
        return member


def group(*, sync: Sync | None = None) -> Group:
    """Publish several files and folders together: all of them, or none.

    ::

        with atomik.group() as g:
            with g.file("model.json") as f:
                json.dump(model, f)
            with g.folder("plots", overwrite=True) as d:
                draw(d)

    Members are complete when their own blocks end, and published when the group's block ends, in the order in which they
    were made. An exception anywhere discards all of them. If a member cannot be published (a rival's file, a full disk),
    those already published are undone in reverse order, unless somebody has replaced them meanwhile; the error names the
    member.

    What a reader sees: the members appear one after the other, each in one instant, microseconds apart. A reader that looks at
    two names in between sees one new and one old. A kill or power cut between two renames leaves them like that. For a strict
    all or nothing, publish one folder.

    Destinations that exist, even files, are replaced by RENAME_EXCHANGE, since only that can be undone; on a filesystem
    without it, such a member raises when it is opened. Syncs are shared: one for each filesystem and one for each directory.

    Args:
        sync: as for :func:`atomik.file`, for all members.

    Returns:
        a group; its ``with`` yields it.

    Raises:
        ValueError: `sync` is not a level; or, when a member is made: its destination is another member's, or lies inside one.
    """
    return Group(sync)
