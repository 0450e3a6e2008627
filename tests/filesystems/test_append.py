"""Modes `a` and `r+` start from a copy of what is there, on every filesystem, and publish it changed."""

from __future__ import annotations

import os

import pytest

import atomik
from filesystems.extents import MIB, allocated, blocks, make_sparse
from support.filesystems import KINDS

everywhere = pytest.mark.parametrize("kind", list(KINDS))


@everywhere
@pytest.mark.parametrize("mode", ["a", "at", "a+", "ab", "ab+"])
def test_append(mounts, kind, mode):
    """What is written goes to the end of what was there, which stays until the end of the block."""
    path = mounts(kind) / "a"
    path.write_text("old\n")

    with atomik.file(path, mode, overwrite=True) as f:
        f.write("new\n" if "b" not in mode else b"new\n")
        f.flush()
        assert path.read_text() == "old\n"

    assert path.read_text() == "old\nnew\n"
    assert os.listdir(path.parent) == ["a"]


@everywhere
@pytest.mark.parametrize("mode", ["r+", "rt+", "r+b"])
def test_change(mounts, kind, mode):
    """What is there can be read, changed in place and truncated."""
    path = mounts(kind) / "a"
    path.write_text("old version")

    with atomik.file(path, mode, overwrite=True) as f:
        assert f.read(3) in {"old", b"old"}
        f.seek(0)
        f.write("new" if "b" not in mode else b"new")
        f.truncate(7)
        assert path.read_text() == "old version"

    assert path.read_text() == "new ver"
    assert os.listdir(path.parent) == ["a"]


def test_append_wherever_it_is_sought(mounts):
    """As with open(), mode `a` appends wherever one has sought to, and `a+` reads what was there."""
    path = mounts("ext4") / "a"
    path.write_text("old\n")

    with atomik.file(path, "a+", overwrite=True) as f:
        assert f.tell() == 4
        f.seek(0)
        assert f.read() == "old\n"
        f.seek(0)
        f.write("new\n")

    assert path.read_text() == "old\nnew\n"


@pytest.mark.parametrize("mode", ["a", "a+", "ab"])
def test_append_to_nothing(mounts, mode):
    """Where nothing is, mode `a` begins a new file, without `overwrite=True`, too."""
    folder = mounts("ext4")
    for name, overwrite in (("a", False), ("b", True)):
        with atomik.file(folder / name, mode, overwrite=overwrite) as f:
            f.write("new" if "b" not in mode else b"new")
        assert (folder / name).read_text() == "new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_change_nothing(mounts, overwrite):
    """Where nothing is, mode `r+` is FileNotFoundError before the block, which says what to use instead."""
    folder = mounts("ext4")

    with pytest.raises(FileNotFoundError, match=r"'w\+'"), atomik.file(folder / "a", "r+", overwrite=overwrite):
        pytest.fail("the block began")

    assert os.listdir(folder) == []


@pytest.mark.parametrize("mode", ["a", "r+"])
def test_what_is_there_is_overwritten_only_if_said(mounts, mode):
    """Both modes replace what they start from, so they want `overwrite=True` if it exists."""
    path = mounts("ext4") / "a"
    path.write_text("old")

    with pytest.raises(atomik.FileAlreadyExistsError, match="overwrite=True"), atomik.file(path, mode):
        pytest.fail("the block began")

    assert path.read_text() == "old"


@pytest.mark.parametrize("mode", ["a", "r+"])
def test_discarded(mounts, mode):
    """After an exception what was there is there, unchanged and the same file."""
    path = mounts("ext4") / "a"
    path.write_text("old")
    before = path.stat()

    with pytest.raises(ZeroDivisionError), atomik.file(path, mode, overwrite=True) as f:
        f.write("new")
        raise ZeroDivisionError

    assert path.read_text() == "old"
    assert os.path.samestat(path.stat(), before)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.flags])
@pytest.mark.parametrize("mode", ["ab", "rb+"])
def test_sparse(mounts, kind, mode):
    """Holes stay holes, and what lies between them stays where it is (bindfs does not tell where, and exFAT has none)."""
    path = mounts(kind) / "a"
    content = make_sparse(path)

    with atomik.file(path, mode, overwrite=True) as f:
        f.seek(0, os.SEEK_END)
        assert f.tell() == 9 * MIB
        f.write(b"end")

    assert path.read_bytes() == content + b"end"
    assert allocated(path) < MIB


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "xfs-project"])
@pytest.mark.parametrize("mode", ["ab", "rb+"])
def test_reflink(mounts, kind, mode):
    """Where the filesystem can share blocks, nothing of what was there is copied."""
    path = mounts(kind) / "a"
    path.write_bytes(os.urandom(4 * MIB))
    before = blocks(path)
    assert before

    with atomik.file(path, mode, overwrite=True) as f:
        f.seek(0, os.SEEK_END)
        f.write(b"end")

    assert before <= blocks(path)
    assert path.stat().st_size == 4 * MIB + 3


def test_through_a_link(mounts):
    """What a symbolic link points to is started from and replaced; the link stays."""
    folder = mounts("ext4")
    (folder / "a").write_text("old\n")
    (folder / "link").symlink_to("a")

    with atomik.file(folder / "link", "a", overwrite=True) as f:
        f.write("new\n")

    assert (folder / "link").is_symlink()
    assert (folder / "a").read_text() == "old\nnew\n"


@pytest.mark.parametrize("mode", ["a", "r+"])
def test_metadata_stays(mounts, mode):
    """The changed file keeps mode, owner and attributes of the one that it started from."""
    path = mounts("ext4") / "a"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1, 2)
    os.setxattr(path, "user.note", b"kept")

    with atomik.file(path, mode, overwrite=True) as f:
        f.write("new")

    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 1, 2)
    assert os.getxattr(path, "user.note") == b"kept"


@pytest.mark.parametrize("mode", ["a", "r+"])
def test_no_space_for_the_copy(mounts, mode):
    """If what is there does not fit twice, ENOSPC comes before the block, and it stays."""
    folder = mounts.small("tmpfs")
    (folder / "a").write_bytes(bytes([7]) * (5 * MIB))

    with pytest.raises(OSError, match="No space") as caught, atomik.file(folder / "a", mode, overwrite=True):
        pytest.fail("the block began")

    assert caught.value.filename == str(folder / "a")
    assert (folder / "a").stat().st_size == 5 * MIB
    assert os.listdir(folder) == ["a"]
