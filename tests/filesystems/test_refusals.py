"""What a filesystem cannot do is refused by name, before the work begins where that can be known; finished work is kept."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER, each_shape
from support.namespace import mount_of
from support.watch import tree

FILES = pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["file", "path-file"])
FOLDERS = pytest.mark.parametrize("shape", [FOLDER, PATH_TO_FOLDER], ids=["folder", "path-folder"])
NO_EXCHANGE = pytest.mark.parametrize("kind", ["bindfs", "exfat"])


@pytest.fixture
def never():
    """Fail if the block begins."""
    return lambda: pytest.fail("the block began")


def kept_work(error: OSError) -> Path:
    """The path that the error names for the content that was kept."""
    assert "atomik-kept-" in str(error), error
    return Path(str(error).partition("is kept as '")[2].partition("'")[0])


@NO_EXCHANGE
@FOLDERS
def test_a_folder_without_exchange(mounts, kind, shape, never):
    """Replacing a folder is refused before the block; the error names filesystem, mount point, primitive and remedy."""
    folder = mounts(kind)
    shape.lay(folder / "a", "old")
    before = tree(folder)

    with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE") as caught:
        with shape.call(folder / "a", overwrite=True):
            never()

    error = caught.value
    assert error.errno == errno.EINVAL
    assert error.destination == str(folder / "a")
    assert "fuse" in str(error)
    assert str(mount_of(folder)) in str(error)
    assert "publish under a new name" in str(error)
    assert tree(folder) == before


@NO_EXCHANGE
@FOLDERS
def test_an_empty_folder_without_exchange(mounts, kind, shape):
    """An empty folder is replaced everywhere: plain rename can."""
    folder = mounts(kind)
    (folder / "a").mkdir()

    shape.publish(folder / "a", "new", overwrite=True)

    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


@NO_EXCHANGE
@FOLDERS
def test_an_empty_folder_that_is_filled_meanwhile(mounts, kind, shape):
    """If somebody fills the empty folder during the block, what they made stays, and the finished work is kept."""
    folder = mounts(kind)
    (folder / "a").mkdir()

    with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE") as caught:
        with shape.call(folder / "a", overwrite=True) as handle:
            shape.fill(handle, "new")
            (folder / "a" / "theirs").write_text("theirs")

    assert os.listdir(folder / "a") == ["theirs"]
    kept = kept_work(caught.value)
    assert shape.read(kept) == "new"
    assert atomik.leftovers(folder) == []
    assert atomik.clean(folder, force=True) == []
    assert sorted(os.listdir(folder)) == ["a", kept.name]
    atomik.remove(kept)


def test_a_new_file_without_links(mounts, never):
    """Without NOREPLACE and links, as on exFAT, a new file is refused before the block, and overwriting is the remedy."""
    folder = mounts("exfat")

    with pytest.raises(atomik.UnsupportedFilesystemError, match=r"link.*overwrite=True") as caught:
        with atomik.file(folder / "a"):
            never()

    assert caught.value.destination == str(folder / "a")
    assert os.listdir(folder) == []
    FILE.publish(folder / "a", "new", overwrite=True)
    assert FILE.read(folder / "a") == "new"


def test_a_new_file_at_a_path_without_links(mounts):
    """What `path` is to become is known only at its end: a file is kept then, where it cannot be published as new."""
    folder = mounts("exfat")

    with pytest.raises(atomik.UnsupportedFilesystemError, match="overwrite=True") as caught:
        PATH_TO_FILE.publish(folder / "a", "new")

    kept = kept_work(caught.value)
    assert os.listdir(folder) == [kept.name]
    assert kept.read_text() == "new"
    kept.unlink()


@pytest.mark.parametrize("copied_up", [False, True])
@FOLDERS
def test_a_folder_of_an_overlays_lower_layer(mounts, shape, copied_up, never):
    """A folder that came with a container's image cannot be replaced: refused before the block, named for what it is."""
    top = mounts.layered(lambda lower: shape.lay(lower / "a", "old"), copied_up=copied_up)

    with pytest.raises(atomik.UnsupportedFilesystemError, match="overlayfs, lower layer") as caught:
        with shape.call(top / "a", overwrite=True):
            never()

    assert caught.value.errno == errno.EXDEV
    assert shape.read(top / "a") == "old"
    assert os.listdir(top) == ["a"]


@FOLDERS
def test_a_folder_of_an_overlays_upper_layer(mounts, shape):
    """Beside what came with the image, folders that were made since are published and replaced as anywhere."""
    top = mounts.layered(lambda lower: (lower / "old").mkdir())

    shape.publish(top / "a", "one")
    shape.publish(top / "a", "two", overwrite=True)

    assert shape.read(top / "a") == "two"
    assert sorted(os.listdir(top)) == ["a", "old"]


@FOLDERS
def test_an_empty_folder_of_an_overlays_lower_layer(mounts, shape):
    """An empty folder of the image, made for results to go to, is replaced."""
    top = mounts.layered(lambda lower: (lower / "a").mkdir())

    shape.publish(top / "a", "new", overwrite=True)

    assert shape.read(top / "a") == "new"
    assert os.listdir(top) == ["a"]


@FILES
def test_a_file_of_an_overlays_lower_layer(mounts, shape):
    """A file that came with the image is replaced like any other."""
    top = mounts.layered(lambda lower: shape.lay(lower / "a", "old"))

    shape.publish(top / "a", "new", overwrite=True)

    assert shape.read(top / "a") == "new"
    assert os.listdir(top) == ["a"]


def test_removing_a_folder_of_an_overlays_lower_layer(mounts):
    """A lower layer's folder cannot be renamed away, so `remove` refuses it whole, and says why."""
    top = mounts.layered(lambda lower: FOLDER.lay(lower / "a", "old"))

    with pytest.raises(atomik.UnsupportedFilesystemError, match="overlayfs, lower layer"):
        atomik.remove(top / "a")

    assert FOLDER.read(top / "a") == "old"


def test_renaming_into_an_overlay(mounts):
    """From another filesystem into an overlay is an ordinary cross-device rename, and is called that."""
    source, top = mounts("tmpfs"), mounts("overlay")
    FOLDER.lay(source / "a", "old")
    for overwrite in (False, True):
        with pytest.raises(atomik.InvalidCrossDeviceError, match=r"atomik\.copy"):
            atomik.rename(source / "a", top / "a", overwrite=overwrite)

    assert FOLDER.read(source / "a") == "old"
    assert os.listdir(top) == []


@pytest.mark.parametrize("kind", ["bind", "xfs-project"])
@pytest.mark.parametrize("lay", [FILE.lay, FOLDER.lay], ids=["file", "folder"])
def test_renaming_within_a_device_that_refuses(mounts, kind, lay):
    """One st_dev is not one filesystem to rename in: InvalidCrossDeviceError, naming the way out, and nothing is moved."""
    here, there = mounts.pair(kind)
    lay(here / "a", "old")
    lay(there / "b", "theirs")
    before = tree(here), tree(there)

    for call in (
        lambda: atomik.rename(here / "a", there / "c"),
        lambda: atomik.rename(here / "a", there / "b", overwrite=True),
        lambda: atomik.exchange(here / "a", there / "b"),
    ):
        with pytest.raises(atomik.InvalidCrossDeviceError, match=r"different filesystems.*atomik\.copy") as caught:
            call()
        assert caught.value.errno == errno.EXDEV

    assert (tree(here), tree(there)) == before


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "overlay"])
@each_shape
def test_a_mount_point(mounts, kind, shape, never):
    """A mount point cannot be replaced: OSError EBUSY that says so, before the block; what is mounted stays."""
    folder, other = mounts(kind), mounts("tmpfs")
    shape.lay(folder / "a", "below")
    shape.lay(other / "a", "mounted")
    mounts.bind(other / "a", folder / "a")

    with pytest.raises(OSError, match="mount point") as caught, shape.call(folder / "a", overwrite=True):
        never()

    assert caught.value.errno == errno.EBUSY
    assert caught.value.filename == str(folder / "a")
    assert shape.read(folder / "a") == "mounted"
    assert os.listdir(folder) == ["a"]


@each_shape
def test_a_mount_meanwhile(mounts, shape):
    """If something is mounted on the destination during the block, both stay, and the finished work is kept."""
    folder, other = mounts("ext4"), mounts("tmpfs")
    shape.lay(folder / "a", "below")
    shape.lay(other / "a", "mounted")

    with pytest.raises(OSError, match="mount point") as caught, shape.call(folder / "a", overwrite=True) as handle:
        shape.fill(handle, "new")
        mounts.bind(other / "a", folder / "a")

    assert caught.value.errno == errno.EBUSY
    assert shape.read(folder / "a") == "mounted"
    assert shape.read(other / "a") == "mounted"
    kept = kept_work(caught.value)
    assert shape.read(kept) == "new"
    assert sorted(os.listdir(folder)) == ["a", kept.name]
    atomik.remove(kept)


def test_the_primitives_at_a_mount_point(mounts):
    """`rename`, `exchange` and `remove` of a mount point are refused as such."""
    folder, other = mounts("ext4"), mounts("tmpfs")
    for name in ("a", "b"):
        FOLDER.lay(folder / name, "below")
    FOLDER.lay(other / "a", "mounted")
    mounts.bind(other / "a", folder / "a")

    for call in (
        lambda: atomik.rename(folder / "b", folder / "a", overwrite=True),
        lambda: atomik.rename(folder / "a", folder / "c"),
        lambda: atomik.exchange(folder / "b", folder / "a"),
        lambda: atomik.exchange(folder / "a", folder / "b"),
        lambda: atomik.remove(folder / "a"),
    ):
        with pytest.raises(OSError, match="mount point") as caught:
            call()
        assert caught.value.errno == errno.EBUSY

    assert FOLDER.read(other / "a") == "mounted"
    assert sorted(os.listdir(folder)) == ["a", "b"]


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay"])
@each_shape
def test_read_only(mounts, kind, shape, never):
    """On a read-only filesystem the error comes before the block and names the destination, not a staging name."""
    folder = mounts(kind)
    with mounts.read_only(folder):
        with pytest.raises(OSError, match="Read-only") as caught, shape.call(folder / "a"):
            never()

    assert caught.value.errno == errno.EROFS
    assert caught.value.filename == str(folder / "a")


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@each_shape
def test_no_space(mounts, kind, shape):
    """On a full filesystem the old version stays, ENOSPC is raised, and nothing is left to fill it."""
    folder = mounts.small(kind)
    shape.lay(folder / "a", "old")
    before = sorted(os.listdir(folder))

    with pytest.raises(OSError, match="No space") as caught, shape.call(folder / "a", overwrite=True) as handle:
        shape.fill(handle, "x" * (12 << 20))

    assert caught.value.errno == errno.ENOSPC
    assert shape.read(folder / "a") == "old"
    assert sorted(os.listdir(folder)) == before


@NO_EXCHANGE
def test_the_error_survives_pickling(mounts, kind):
    """What a worker process raises says the same where it arrives: where the finished work was kept."""
    folder = mounts(kind)
    (folder / "a").mkdir()
    with pytest.raises(atomik.UnsupportedFilesystemError) as caught, atomik.folder(folder / "a", overwrite=True) as d:
        (d / "new").touch()
        (folder / "a" / "theirs").touch()

    copy = pickle.loads(pickle.dumps(caught.value))

    assert type(copy) is type(caught.value)
    assert str(copy) == str(caught.value)
    assert copy.destination == str(folder / "a")
    atomik.remove(kept_work(copy))
