"""Backups that cannot be: refused before the work, with what is in the way."""

from __future__ import annotations

import os

import pytest

import atomik
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER, each_shape
from support.watch import no_leaks

folders = pytest.mark.parametrize("shape", [FOLDER, PATH_TO_FOLDER], ids=["folder", "path-folder"])
files = pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["file", "path-file"])


@pytest.mark.system
@each_shape
def test_without_exchange(mounts, shape):
    """Without RENAME_EXCHANGE the old version would be nowhere for a moment: refused at the start."""
    here = mounts("bindfs")
    shape.lay(here / "a", "old")

    with no_leaks(), pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE"):
        shape.call(here / "a", overwrite=True, backup=here / "b").open()

    assert os.listdir(here) == ["a"]
    assert shape.read(here / "a") == "old"


def test_needs_overwrite(tmp_path):
    """A backup without `overwrite=True` is ValueError: nothing would be replaced."""
    for call in (atomik.file, atomik.folder, atomik.path, atomik.group().file):
        with pytest.raises(ValueError, match="overwrite"):
            call(tmp_path / "a", backup=tmp_path / "b")


@pytest.mark.parametrize("backup", ["a", "./a", "link/a", "a/old", "link/a/old/b", "to-a", "..", "."])
def test_backup_that_is_the_destination(tmp_path, monkeypatch, backup):
    """A backup that is the destination, is inside it or around it, through a link, too, is ValueError at the call."""
    here = tmp_path / "here"
    FOLDER.lay(here / "a", "old")
    (here / "a" / "old").mkdir()
    (here / "link").symlink_to(".")
    (here / "to-a").symlink_to("a")
    monkeypatch.chdir(here)
    given = "to-a" if backup == "to-a" else "a"

    with pytest.raises(ValueError, match=r"backup|name"):
        atomik.folder(given, overwrite=True, backup=backup)
    if backup == "to-a":
        with pytest.raises(ValueError, match="backup"):
            atomik.folder("to-a", overwrite=True, backup="a")
    if backup == "a":
        with pytest.raises(ValueError, match="backup"):
            atomik.folder("a/sub", overwrite=True, backup="a")

    assert (here / "a" / "one").read_text() == "old"


@pytest.mark.system
def test_destination_under_two_names(mounts):
    """If only the kernel can tell that backup and destination are one, it is refused when the block begins."""
    here = mounts("ext4")
    (here / "one").mkdir()
    FILE.lay(here / "one" / "a", "old")
    (here / "two").symlink_to("elsewhere")
    publication = atomik.file(here / "one" / "a", overwrite=True, backup=here / "two" / "a")
    (here / "two").unlink()
    (here / "two").symlink_to("one")

    with no_leaks(), pytest.raises(ValueError, match="destination"):
        publication.open()

    assert FILE.read(here / "one" / "a") == "old"


@files
def test_folder_at_the_backup_of_a_file(tmp_path, shape):
    """A folder is not replaced by a file, at the backup either: refused before the work, with what is in the way."""
    shape.lay(tmp_path / "a", "old")
    (tmp_path / "b").mkdir()

    with no_leaks(), pytest.raises(IsADirectoryError, match="backup") as raised:
        shape.call(tmp_path / "a", overwrite=True, backup=tmp_path / "b").open()

    assert raised.value.filename == str(tmp_path / "a")
    assert str(tmp_path / "b") in str(raised.value)


@folders
def test_file_at_the_backup_of_a_folder(tmp_path, shape):
    """Nor is a file replaced by a folder."""
    shape.lay(tmp_path / "a", "old")
    (tmp_path / "b").write_text("theirs")

    with no_leaks(), pytest.raises(NotADirectoryError, match="backup"):
        shape.call(tmp_path / "a", overwrite=True, backup=tmp_path / "b").open()

    assert (tmp_path / "b").read_text() == "theirs"


@each_shape
def test_fifo_at_the_backup(tmp_path, shape):
    """A FIFO is never replaced."""
    os.mkfifo(tmp_path / "b")

    with no_leaks(), pytest.raises(atomik.FileAlreadyExistsError, match="backup"):
        shape.call(tmp_path / "a", overwrite=True, backup=tmp_path / "b").open()


@each_shape
def test_directory_of_the_backup_is_missing(tmp_path, shape):
    """The directory of the backup has to be there; the error names it and not the destination's."""
    shape.lay(tmp_path / "a", "old")

    with no_leaks(), pytest.raises(FileNotFoundError, match="backup") as raised:
        shape.call(tmp_path / "a", overwrite=True, parents=True, backup=tmp_path / "x" / "b").open()

    assert str(tmp_path / "x" / "b") in str(raised.value)
    assert "parents=True" not in str(raised.value)


@pytest.mark.system
@each_shape
def test_backup_on_another_mount(mounts, shape):
    """A rename does not reach another mount, be it of the same filesystem: refused before the work."""
    here, bound = mounts.pair("bind")
    for there in (mounts("tmpfs"), bound):
        shape.lay(here / "a", "old")
        with no_leaks(), pytest.raises(atomik.InvalidCrossDeviceError, match="backup"):
            shape.call(here / "a", overwrite=True, backup=there / "b").open()
        assert shape.read(here / "a") == "old"
        atomik.remove(here / "a")


@pytest.mark.system
def test_mount_point_at_the_backup(mounts):
    """What is a mount point cannot be replaced: refused before the work."""
    here = mounts("ext4")
    FOLDER.lay(here / "a", "old")
    (here / "b").mkdir()
    mounts.bind(mounts("ext4"), here / "b")

    with no_leaks(), pytest.raises(OSError, match="mounted"):
        atomik.folder(here / "a", overwrite=True, backup=here / "b").open()
