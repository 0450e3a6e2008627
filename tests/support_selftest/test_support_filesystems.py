"""The real filesystems that tests run on are what they are said to be."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from support.filesystems import FULL, KINDS, Filesystem, Mounts
from support.namespace import mount_of, unmount_passing
from support.processes import run

pytestmark = pytest.mark.system

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


def renameat2(source: Path, target: Path, flags: int) -> str:
    """Say what renameat2 answers: an errno's name, or "ok"."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags) == 0:
        return "ok"
    return errno.errorcode[ctypes.get_errno()]


def test_kinds(any_filesystem: Filesystem) -> None:
    """Each kind of filesystem has the primitives that the table says, and no others."""
    kind = any_filesystem.kind
    folder, file = any_filesystem / "folder", any_filesystem / "file"
    folder.mkdir()
    file.write_text("x")

    assert renameat2(folder, any_filesystem / "moved", RENAME_NOREPLACE) == ("ok" if kind.flags else "EINVAL")
    folder = any_filesystem / ("moved" if kind.flags else "folder")
    assert renameat2(folder, file, RENAME_EXCHANGE) == ("ok" if kind.flags else "EINVAL")
    file = any_filesystem / ("moved" if kind.flags else "file")

    def unnamed() -> None:
        os.close(os.open(any_filesystem.path, os.O_TMPFILE | os.O_RDWR))

    def links() -> None:
        os.link(file, any_filesystem / "hard")
        os.symlink(file, any_filesystem / "soft")
        os.chmod(file, 0o640)
        assert file.stat().st_mode & 0o777 == 0o640
        os.chown(file, 1, 1)
        os.setxattr(file, "user.test", b"x")

    for has, use in ((kind.unnamed, unnamed), (kind.posix, links)):
        if has:
            use()
        else:
            with pytest.raises(OSError, match=r"not supported|not permitted"):
                use()


def test_fresh(mounts: Mounts) -> None:
    """Two folders of one kind are different, empty, on one filesystem, and everybody can reach them."""
    one, two = mounts("tmpfs"), mounts("tmpfs")

    assert one != two
    assert one.stat().st_dev == two.stat().st_dev
    assert os.listdir(one) == []
    assert all(folder.stat().st_mode & 0o001 for folder in one.parents)


def test_filesystem_type(any_filesystem: Filesystem) -> None:
    """The mount table names the type that the table of kinds names."""
    point = os.fspath(mount_of(any_filesystem.path))
    types = {line.split()[1]: line.split()[2] for line in Path("/proc/self/mounts").read_text().splitlines()}

    assert types[point].partition(".")[0] == any_filesystem.kind.type


@pytest.mark.parametrize("kind", ["bind", "xfs-project"])
def test_pair(mounts: Mounts, kind: str) -> None:
    """Two folders of a pair have one st_dev, but a rename between them gives EXDEV."""
    here, there = mounts.pair(kind)
    (here / "file").write_text("x")

    assert here.stat().st_dev == there.stat().st_dev
    with pytest.raises(OSError, match="cross-device") as caught:
        (here / "file").rename(there / "file")
    assert caught.value.errno == errno.EXDEV


@pytest.mark.parametrize("copied_up", [False, True])
def test_layered(mounts: Mounts, copied_up: bool) -> None:
    """A folder of an overlay's lower layer cannot be renamed, copied up or not; a file can."""

    def fill(lower: Path) -> None:
        (lower / "folder").mkdir()
        (lower / "file").write_text("x")

    top = mounts.layered(fill, copied_up=copied_up)

    assert renameat2(top / "folder", top / "moved", RENAME_NOREPLACE) == "EXDEV"
    assert renameat2(top / "file", top / "moved", RENAME_NOREPLACE) == "ok"


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_small(mounts: Mounts, kind: str) -> None:
    """A small filesystem is soon full."""
    with pytest.raises(OSError, match="No space") as caught:
        (mounts.small(kind) / "file").write_bytes(bytes(16 << 20))

    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("kind", FULL)
def test_read_only(mounts: Mounts, kind: str) -> None:
    """A filesystem can be read-only for a while."""
    folder = mounts(kind)
    with mounts.read_only(folder), pytest.raises(OSError, match="Read-only"):
        (folder / "file").write_text("x")

    (folder / "file").write_text("x")


def test_mounts_go_with_the_test(mounts: Mounts) -> None:
    """What a test has mounted is unmounted after it, wherever it has moved, and its content stays."""
    source, folder = mounts("ext4"), mounts("ext4")
    (source / "precious").write_text("x")
    (folder / "inside" / "target").mkdir(parents=True)
    mounts.bind(source, folder / "inside" / "target")
    (folder / "inside").rename(folder / "moved")
    assert os.listdir(folder / "moved" / "target") == ["precious"]

    unmount_passing()

    assert os.listdir(folder / "moved" / "target") == []
    assert os.listdir(source) == ["precious"]


def test_mounts_of_others_stay(mounts: Mounts) -> None:
    """A process that has mounted nothing unmounts nothing: what it sees may be the machine's."""
    folder = mounts("tmpfs")
    mounts.bind(folder, folder)

    finished = run(
        "from support.namespace import mounted, unmount_passing\n"
        "before = mounted()\n"
        "unmount_passing()\n"
        "print(mounted() == before)\n"
    )

    assert finished == (0, "True\n", "")


def test_processes_see_the_mounts(mounts: Mounts) -> None:
    """Processes started by a test see its mounts."""
    folder = mounts("xfs")

    assert run("import os; open('x', 'w').close(); print(os.getcwd())", cwd=folder).out == f"{folder}\n"
    assert os.listdir(folder) == ["x"]


def test_other_processes_do_not(mounts: Mounts) -> None:
    """The mounts are private: the first process of the machine has none of them."""
    folder = mounts("tmpfs")

    assert os.fspath(mount_of(folder)) not in Path("/proc/1/mounts").read_text()


def test_every_full_kind_is_known() -> None:
    """The kinds on which every promise is kept have every primitive."""
    assert all(KINDS[name].flags and KINDS[name].unnamed and KINDS[name].posix for name in FULL)
