"""The options that every publication has, checked once."""

from __future__ import annotations

import os

from .._os import sync as _sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from .._os.levels import Sync

    #: A path, in each of the forms that os takes.
    StrPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Options:
    """What was asked for, beside the destination and the content.

    Attributes:
        overwrite: whether anything may be replaced.
        sync: how much a power cut may take.
        tmp_dir: the directory to stage in; None: the destination's.
        parents: whether missing parent directories are made.
        permissions: the mode to publish with, or None.
        follow_symlinks: whether a symbolic link at the destination is followed when overwriting.
        inherit: whether what replaces something takes over its metadata.
        allow_gap: whether a folder that cannot be exchanged may be taken away before the new one is there.
        backup: where the version that is replaced goes, or None.
    """

    __slots__ = (
        "allow_gap",
        "backup",
        "follow_symlinks",
        "inherit",
        "overwrite",
        "parents",
        "permissions",
        "sync",
        "tmp_dir",
    )

    def __init__(
        self,
        *,
        overwrite: bool,
        sync: str | None,
        tmp_dir: StrPath | None = None,
        parents: bool = False,
        permissions: int | None = None,
        follow_symlinks: bool = True,
        inherit: bool = True,
        allow_gap: bool = False,
        backup: StrPath | None = None,
    ) -> None:
        """Check them.

        Raises:
            ValueError: `sync` is no level, `permissions` no mode; a backup without overwriting.
            TypeError: `permissions` is no number.
        """
        self.overwrite = overwrite
        self.sync: Sync = _sync.resolve_level(sync)
        self.tmp_dir = None if tmp_dir is None else os.fsdecode(tmp_dir)
        self.parents = parents
        self.permissions = None if permissions is None else _checked_mode(permissions)
        self.follow_symlinks = follow_symlinks
        self.inherit = inherit
        self.allow_gap = allow_gap
        self.backup = None if backup is None else os.fsdecode(backup)
        if backup is not None and not overwrite:
            msg = "backup keeps the version that is replaced, and nothing is replaced without overwrite=True"
            raise ValueError(msg)


def _checked_mode(permissions: int) -> int:
    number: object = permissions
    if not isinstance(number, int) or isinstance(number, bool):
        msg = f"permissions is {permissions!r}; it takes a mode as a number, such as 0o644"
        raise TypeError(msg)
    if not 0 <= permissions <= 0o7777:
        msg = f"permissions is {permissions!r}; it takes a mode from 0 to 0o7777, such as 0o644"
        raise ValueError(msg)
    if not _is_plausible(permissions) and _is_octal(str(permissions)) and _is_plausible(int(str(permissions), 8)):
        msg = f"permissions is {permissions}, which is the mode {permissions:#o}; for the usual mode write 0o{permissions}"
        raise ValueError(msg)
    return permissions


def _is_octal(digits: str) -> bool:
    return len(digits) in {3, 4} and not set(digits) & {"8", "9"}


def _is_plausible(mode: int) -> bool:
    """Say whether the owner may read, and nobody may more than the owner nor others more than the group."""
    owner, group, others = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return owner & 4 == 4 and group & ~owner == 0 and others & ~group == 0
