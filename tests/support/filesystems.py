"""Real filesystems for tests: one mount of each kind for the whole session, a fresh folder in it for each test."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from atomik_core._os.calls import KERNEL
from support.images import mount_image, new_folder, new_image, serve, serve_exfat
from support.namespace import command, lasting, mount_of, unmount_passing
from support.needs import need_kernel
from support.watch import litter


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of filesystem; `tests/support_selftest` proves it."""

    #: How the kind is called here, and what the mount table calls its filesystem.
    name: str
    type: str
    #: Does renameat2 take RENAME_NOREPLACE and RENAME_EXCHANGE?
    flags: bool = True
    #: Can a file be made without a name (O_TMPFILE)?
    unnamed: bool = True
    #: Are there hard links, symbolic links, modes and owners, extended attributes?
    posix: bool = True


#: A footnote of the documentation's table of filesystems.
_OVERLAY_HAS_UNNAMED = KERNEL >= (6, 2)

KINDS = {
    kind.name: kind
    for kind in (
        Kind("ext4", "ext4"),
        Kind("xfs", "xfs"),
        Kind("btrfs", "btrfs"),
        Kind("tmpfs", "tmpfs"),
        # A folder that is only in the upper layer, one of the lower layer, and one of it that has been copied up.
        Kind("overlay", "overlay", unnamed=_OVERLAY_HAS_UNNAMED),
        Kind("overlay-lower", "overlay", unnamed=_OVERLAY_HAS_UNNAMED),
        Kind("overlay-copied-up", "overlay", unnamed=_OVERLAY_HAS_UNNAMED),
        # A bind mount: st_dev is that of "ext4", yet a rename to there gives EXDEV.
        Kind("bind", "ext4"),
        # An xfs folder with a project: st_dev is that of "xfs", yet a rename into it gives EXDEV.
        Kind("xfs-project", "xfs"),
        # FUSE without rename's flags; and without nearly everything, as FAT is.
        Kind("bindfs", "fuse", flags=False, unnamed=False),
        Kind("exfat", "fuseblk", flags=False, unnamed=False, posix=False),
    )
}

#: The kinds on which every promise is kept, with every primitive that there is.
FULL = ("ext4", "xfs", "btrfs", "tmpfs", "overlay")

_numbers = itertools.count(1)

_FSXATTR = struct.Struct("=IIIII8x")
_FS_IOC_FSGETXATTR = 0x801C581F
_FS_IOC_FSSETXATTR = 0x401C5820
_FS_XFLAG_PROJINHERIT = 0x200


@dataclass(frozen=True)
class Filesystem:
    """A fresh folder on a filesystem of a known kind. `filesystem / "name"` is a path in it."""

    kind: Kind
    path: Path

    def __truediv__(self, name: str | Path) -> Path:
        return self.path / name


class Mounts:
    """Fresh folders on filesystems of every kind, and mounts of a test's own, which go with the test."""

    def __init__(self) -> None:
        #: The folders that this test was given.
        self.given: list[Path] = []

    def __call__(self, kind: str) -> Path:
        """A fresh folder on the session's filesystem of this KIND."""
        if kind == "overlay-lower":
            return self._give(self.layered(_make_folder) / "folder")
        if kind == "overlay-copied-up":
            return self._give(self.layered(_make_folder, copied_up=True) / "folder")
        folder = mount_point(kind) / f"given-{next(_numbers)}"
        folder.mkdir()
        if kind == "xfs-project":
            _set_project(folder)
        return self._give(folder)

    def pair(self, kind: str) -> tuple[Path, Path]:
        """Two fresh folders with one st_dev, where a rename from the first to the second gives EXDEV.

        KIND is "bind" (one of them seen through a bind mount) or "xfs-project" (one of them of another project).
        """
        return self("ext4" if kind == "bind" else "xfs"), self(kind)

    def layered(self, fill: Callable[[Path], None], *, copied_up: bool = False) -> Path:
        """A new overlay whose lower layer holds what FILL made in the folder that it was called with.

        A folder of a lower layer cannot be renamed (EXDEV), nor, without redirect_dir, after it was COPIED UP.
        """
        lower, layers = self("ext4"), self("ext4")
        fill(lower)
        point = mount_overlay(lower, layers)
        if copied_up:
            for path in point.rglob("*"):
                os.utime(path, follow_symlinks=False)
        return point

    def small(self, kind: str = "tmpfs", mebibytes: int = 8) -> Path:
        """A new filesystem of this size, to be filled up; KIND is "tmpfs" or "ext4"."""
        point = new_folder("small")
        if kind == "tmpfs":
            command("mount", "-t", kind, "-o", f"size={mebibytes}m,mode=755", "small", point)
        else:
            mount_image(kind, new_image(kind, mebibytes), point)
        return self._give(point)

    def bind(self, source: Path, target: Path) -> None:
        """Show SOURCE, a folder or file, at TARGET, too, until the test ends."""
        command("mount", "--bind", source, target)

    @contextmanager
    def read_only(self, path: Path) -> Iterator[None]:
        """Make the mount that PATH is in read-only for a while. Nothing in it may be open for writing (EBUSY)."""
        point = mount_of(path)
        command("mount", "-o", "remount,bind,ro", point)
        try:
            yield
        finally:
            command("mount", "-o", "remount,bind,rw", point)

    def _give(self, folder: Path) -> Path:
        self.given.append(folder)
        return folder


@functools.cache
def mount_point(kind: str) -> Path:
    """Where the session's filesystem of this KIND is mounted; mounted when it is first asked for."""
    point = new_folder(kind)
    with lasting():
        match kind:
            case "ext4" | "xfs" | "btrfs":
                mount_image(kind, new_image(kind, 512), point)
            case "tmpfs":
                command("mount", "-t", "tmpfs", "-o", "size=512m,mode=755", "tmpfs", point)
            case "overlay":
                lower, layers = mount_point("ext4") / "lower", mount_point("ext4") / "layers"
                lower.mkdir()
                layers.mkdir()
                return mount_overlay(lower, layers)
            case "bind":
                source = mount_point("ext4") / "bound"
                source.mkdir()
                command("mount", "--bind", source, point)
            case "xfs-project":
                return mount_point("xfs")
            case "bindfs":
                serve(point, "bindfs", "-f", new_folder("bindfs-source"), point)
            case "exfat":
                serve_exfat(point, 64)
            case _:
                msg = f"no such kind of filesystem: {kind}"
                raise ValueError(msg)
    return point


def mount_overlay(lower: Path, layers: Path) -> Path:
    """Mount a new overlay over LOWER, with its upper layer in LAYERS."""
    need_kernel("overlay")
    upper, work, point = layers / "upper", layers / "work", new_folder("overlay")
    upper.mkdir()
    work.mkdir()
    command("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", point)
    return point


def _make_folder(lower: Path) -> None:
    (lower / "folder").mkdir()


def _set_project(folder: Path) -> None:
    """Give FOLDER, and what is made in it, a project of its own: no rename enters it from another one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        old = _FSXATTR.unpack(fcntl.ioctl(descriptor, _FS_IOC_FSGETXATTR, bytes(_FSXATTR.size)))
        flags, extents, count, _, copies = old
        new = _FSXATTR.pack(flags | _FS_XFLAG_PROJINHERIT, extents, count, folder.stat().st_ino, copies)
        fcntl.ioctl(descriptor, _FS_IOC_FSSETXATTR, new)
    finally:
        os.close(descriptor)


@pytest.fixture
def mounts(request: pytest.FixtureRequest) -> Iterator[Mounts]:
    """Real filesystems, by kind: `mounts("xfs")` is a fresh folder on an xfs. Needs root.

    Afterwards what the test mounted is unmounted, and what it was given is looked through for litter and removed.
    """
    given = Mounts()
    yield given
    left = [found for folder in given.given if folder.exists() for found in litter(folder)]
    unmount_passing()
    for folder in given.given:
        command("rm", "--recursive", "--force", "--one-file-system", folder)
    if left and request.node.get_closest_marker("leaves_litter") is None:
        pytest.fail(f"the test left behind: {left}")


@pytest.fixture(params=FULL)
def filesystem(request: pytest.FixtureRequest, mounts: Mounts) -> Filesystem:
    """A fresh folder on each kind of filesystem that has every primitive."""
    return Filesystem(KINDS[request.param], mounts(request.param))


@pytest.fixture(params=list(KINDS))
def any_filesystem(request: pytest.FixtureRequest, mounts: Mounts) -> Filesystem:
    """A fresh folder on every kind of filesystem, with what is known of it in `kind`."""
    return Filesystem(KINDS[request.param], mounts(request.param))
