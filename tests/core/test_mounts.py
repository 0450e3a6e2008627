"""Mounts in the way: what is mounted somewhere is never emptied, and what cannot be replaced is refused in time."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

import atomik
from core.shapes import FILE, FOLDER
from support.namespace import unmount
from support.watch import litter, tree

pytestmark = pytest.mark.system


@pytest.fixture
def precious(mounts):
    """A folder with something in it that is mounted elsewhere, too, and must not change."""
    folder = mounts("ext4")
    (folder / "sub").mkdir()
    (folder / "file").write_text("precious")
    (folder / "sub" / "file").write_text("precious")
    before = tree(folder)
    yield folder
    assert tree(folder) == before


@pytest.fixture(params=["same filesystem", "another filesystem"])
def beside(request, mounts):
    """A folder on the filesystem of what is precious, so that a device number tells nothing, or on another one."""
    return mounts("ext4" if request.param == "same filesystem" else "tmpfs")


@pytest.mark.leaves_litter
@pytest.mark.parametrize("deep", ["", "sub"])
def test_mount_in_a_replaced_folder(beside, precious, mounts, folder_shape, deep):
    """A folder in which something is mounted is replaced; what is mounted stays untouched, in a leftover."""
    folder_shape.lay(beside / "a", "old")
    (beside / "a" / deep / "mounted").mkdir()
    mounts.bind(precious, beside / "a" / deep / "mounted")

    folder_shape.publish(beside / "a", "new", overwrite=True)

    assert folder_shape.read(beside / "a") == "new"
    [leftover] = litter(beside)
    assert os.listdir(leftover / deep / "mounted") == os.listdir(precious)
    unmount(leftover / deep / "mounted")
    shutil.rmtree(leftover)


@pytest.mark.leaves_litter
def test_file_mounted_in_a_replaced_folder(beside, precious, mounts, folder_shape):
    """A file that is mounted on another one in the replaced folder stays, too."""
    folder_shape.lay(beside / "a", "old")
    mounts.bind(precious / "file", beside / "a" / "one")

    folder_shape.publish(beside / "a", "new", overwrite=True)

    assert folder_shape.read(beside / "a") == "new"
    [leftover] = litter(beside)
    assert (leftover / "one").read_text() == "precious"
    unmount(leftover / "one")
    shutil.rmtree(leftover)


@pytest.mark.leaves_litter
def test_mount_in_a_removed_folder(beside, precious, mounts):
    """`remove` does not touch what is mounted in the tree either: it is gone from its place, and the error says where it is."""
    FOLDER.lay(beside / "a", "old")
    (beside / "a" / "mounted").mkdir()
    mounts.bind(precious, beside / "a" / "mounted")

    with pytest.raises(atomik.LeftoverError, match="gone from its name") as caught:
        atomik.remove(beside / "a")

    [leftover] = litter(beside)
    assert str(leftover) in str(caught.value)
    assert os.listdir(beside) == [leftover.name]
    unmount(leftover / "mounted")
    shutil.rmtree(leftover)


@pytest.mark.leaves_litter
def test_mount_in_a_staged_folder(beside, precious, mounts):
    """What is mounted in a staged folder survives a discard."""
    with pytest.raises(ZeroDivisionError), atomik.folder(beside / "a") as d:
        (d / "mounted").mkdir()
        mounts.bind(precious, d / "mounted")
        raise ZeroDivisionError

    [leftover] = litter(beside)
    assert os.listdir(leftover / "mounted") == os.listdir(precious)
    unmount(leftover / "mounted")
    shutil.rmtree(leftover)


@pytest.mark.parametrize("name", ["folder", "path"])
def test_mount_point_as_destination(beside, precious, mounts, name):
    """A mount point cannot be replaced: the error comes before the block, and says why and what to do."""
    (beside / "a").mkdir()
    mounts.bind(precious, beside / "a")

    with pytest.raises(OSError, match="mount point") as caught, getattr(atomik, name)(beside / "a", overwrite=True):
        pytest.fail("the block began")

    assert caught.value.errno == errno.EBUSY
    assert caught.value.filename == str(beside / "a")
    assert os.listdir(beside) == ["a"]


def test_mounted_file_as_destination(beside, precious, mounts, file_shape):
    """So it is for a file on which another one is mounted, as in a container."""
    (beside / "a").write_text("under")
    mounts.bind(precious / "file", beside / "a")

    with pytest.raises(OSError, match="mount point") as caught:
        with file_shape.call(beside / "a", overwrite=True) as handle:
            file_shape.fill(handle, "new")

    assert caught.value.errno == errno.EBUSY
    assert os.listdir(beside) == ["a"]


def test_parent_is_a_mount_point(mounts, beside, shape):
    """Right below a mount point everything can be published."""
    (beside / "parent").mkdir()
    fresh = mounts("ext4")
    mounts.bind(fresh, beside / "parent")

    shape.publish(beside / "parent" / "a", "old")
    shape.publish(beside / "parent" / "a", "new", overwrite=True)

    assert shape.read(fresh / "a") == "new"


def test_read_only_filesystem(mounts, shape):
    """On a filesystem that is mounted read-only the error comes before the block, and names the destination."""
    folder = mounts("overlay")
    shape.lay(folder / "a", "old")

    with mounts.read_only(folder):
        for name, options in (("a", {"overwrite": True}), ("b", {})):
            with pytest.raises(OSError) as caught, shape.call(folder / name, **options):
                pytest.fail("the block began")
            assert caught.value.errno == errno.EROFS
            assert caught.value.filename == str(folder / name)

    assert shape.read(folder / "a") == "old"
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize("shape", [pytest.param(FILE, id="file"), pytest.param(FOLDER, id="folder")])
def test_removing_a_mount_point(beside, precious, mounts, shape):
    """`remove` of a mount point is an error, and all of it is still there."""
    source = precious if shape.is_folder else precious / "file"
    shape.lay(beside / "a", "under")
    mounts.bind(source, beside / "a")

    with pytest.raises(OSError, match="mount point") as caught:
        atomik.remove(beside / "a")

    assert caught.value.errno == errno.EBUSY
    assert os.listdir(beside) == ["a"]
