"""`backup=`: the version that is replaced is kept, never is nowhere, and comes back by an exchange."""

from __future__ import annotations

import os
import stat

import pytest

import atomik
import atomik_core.testing
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER, each_shape
from support.watch import litter, no_leaks, tree
from together.outputs import NAMES, OUTPUTS, add, lay_all

folders = pytest.mark.parametrize("shape", [FOLDER, PATH_TO_FOLDER], ids=["folder", "path-folder"])
files = pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["file", "path-file"])


@each_shape
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_the_version_before(tmp_path, shape, sync):
    """What was replaced is at the backup, the very same inode; one version back, not more."""
    with no_leaks():
        shape.publish(tmp_path / "a", "one", overwrite=True, backup=tmp_path / "b", sync=sync)
        assert os.listdir(tmp_path) == ["a"]
        inode = (tmp_path / "a").stat().st_ino
        shape.publish(tmp_path / "a", "two", overwrite=True, backup=tmp_path / "b", sync=sync)
        assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("two", "one")
        assert (tmp_path / "b").stat().st_ino == inode
        shape.publish(tmp_path / "a", "three", overwrite=True, backup=tmp_path / "b", sync=sync)

    assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("three", "two")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@each_shape
def test_back_by_an_exchange(tmp_path, shape):
    """`atomik.exchange` is the way back, and forth again."""
    for text in ("old", "new"):
        shape.publish(tmp_path / "a", text, overwrite=True, backup=tmp_path / "b")

    atomik.exchange(tmp_path / "a", tmp_path / "b")
    assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("old", "new")

    atomik.exchange(tmp_path / "a", tmp_path / "b")
    assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("new", "old")


@each_shape
def test_in_another_directory(tmp_path, monkeypatch, shape):
    """The backup may be in another directory of the filesystem, and be given relative, as bytes, with a slash."""
    (tmp_path / "before").mkdir()
    monkeypatch.chdir(tmp_path)
    shape.lay(tmp_path / "a", "old")

    shape.publish(tmp_path / "a", "new", overwrite=True, backup=b"before/a/" if shape.is_folder else b"before/a")

    assert shape.read(tmp_path / "before" / "a") == "old"
    assert sorted(os.listdir(tmp_path)) == ["a", "before"]
    assert os.listdir(tmp_path / "before") == ["a"]


@each_shape
def test_failure_leaves_both(tmp_path, shape):
    """A block that raises changes neither the destination nor the backup."""
    shape.lay(tmp_path / "a", "old")
    shape.lay(tmp_path / "b", "older")
    before = tree(tmp_path)

    with (
        no_leaks(),
        pytest.raises(KeyError),
        shape.call(tmp_path / "a", overwrite=True, backup=tmp_path / "b") as handle,
    ):
        shape.fill(handle, "new")
        raise KeyError

    assert tree(tmp_path) == before


@each_shape
def test_metadata(tmp_path, shape):
    """The new version has the old one's permissions, and the old one keeps them."""
    shape.lay(tmp_path / "a", "old")
    (tmp_path / "a").chmod(0o751)

    shape.publish(tmp_path / "a", "new", overwrite=True, backup=tmp_path / "b")

    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"} == {0o751}


@each_shape
def test_tmp_dir(tmp_path, shape):
    """It goes together with `tmp_dir`."""
    (tmp_path / "tmp").mkdir()
    for text in ("old", "new"):
        shape.publish(tmp_path / "a", text, overwrite=True, backup=tmp_path / "b", tmp_dir=tmp_path / "tmp")

    assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("new", "old")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "tmp"]
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.system
@each_shape
def test_tmp_dir_on_another_filesystem(mounts, shape):
    """The same where the content has to be copied."""
    here, there = mounts("ext4"), mounts("tmpfs")
    for text in ("old", "new"):
        shape.publish(here / "a", text, overwrite=True, backup=here / "b", tmp_dir=there)

    assert (shape.read(here / "a"), shape.read(here / "b")) == ("new", "old")
    assert sorted(os.listdir(here)) == ["a", "b"]
    assert os.listdir(there) == []


@pytest.mark.system
@each_shape
def test_filesystems(filesystem, shape):
    """It works on every filesystem with every primitive."""
    for text in ("older", "old", "new"):
        with no_leaks():
            shape.publish(filesystem / "a", text, overwrite=True, backup=filesystem / "b")

    assert (shape.read(filesystem / "a"), shape.read(filesystem / "b")) == ("new", "old")
    assert sorted(os.listdir(filesystem.path)) == ["a", "b"]


@each_shape
def test_symbolic_links(tmp_path, shape):
    """A link at the destination is followed, and what it leads to is kept; a link at the backup of a file is replaced."""
    (tmp_path / "elsewhere").mkdir()
    shape.lay(tmp_path / "elsewhere" / "a", "old")
    (tmp_path / "link").symlink_to("elsewhere/a")

    shape.publish(tmp_path / "link", "new", overwrite=True, backup=tmp_path / "b")

    assert (tmp_path / "link").is_symlink()
    assert (shape.read(tmp_path / "link"), shape.read(tmp_path / "b")) == ("new", "old")
    if not shape.is_folder:
        (tmp_path / "b").unlink()
        (tmp_path / "b").symlink_to("nowhere")
        shape.publish(tmp_path / "link", "newer", overwrite=True, backup=tmp_path / "b")
        assert not (tmp_path / "b").is_symlink()
        assert shape.read(tmp_path / "b") == "new"


@each_shape
def test_link_that_is_replaced_is_what_is_kept(tmp_path, shape):
    """With `follow_symlinks=False` the version before is the link itself."""
    shape.lay(tmp_path / "elsewhere", "old")
    (tmp_path / "a").symlink_to("elsewhere")

    with no_leaks():
        shape.publish(tmp_path / "a", "new", overwrite=True, follow_symlinks=False, backup=tmp_path / "b")

    assert shape.read(tmp_path / "a") == "new"
    assert (tmp_path / "b").readlink() == (tmp_path / "elsewhere").relative_to(tmp_path)
    assert shape.read(tmp_path / "elsewhere") == "old"


@files
def test_hard_link_at_the_backup(tmp_path, shape):
    """If the backup is a hard link to the old version, which rename(2) passes over, nothing is left either."""
    shape.lay(tmp_path / "a", "old")
    os.link(tmp_path / "a", tmp_path / "b")

    shape.publish(tmp_path / "a", "new", overwrite=True, backup=tmp_path / "b")

    assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("new", "old")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@folders
def test_readers_of_destination_and_backup(tmp_path, shape):
    """Snapshots of the version that becomes the backup, and of the backup that goes, stay what they are, and nothing is left."""
    for text in ("older", "old"):
        shape.publish(tmp_path / "a", text, overwrite=True, backup=tmp_path / "b")

    with no_leaks(), atomik.snapshot(tmp_path / "b") as older, atomik.snapshot(tmp_path / "a") as old:
        shape.publish(tmp_path / "a", "new", overwrite=True, backup=tmp_path / "b")
        assert (shape.read(older), shape.read(old)) == ("older", "old")
        assert shape.read(tmp_path / "b") == "old"

    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert shape.read(tmp_path / "b") == "old"


@pytest.mark.parametrize("fails", [False, True], ids=["published", "taken-back"])
def test_in_a_group(tmp_path, fails):
    """Members have backups; a group that is taken back leaves destinations and backups as they were."""
    lay_all(tmp_path)
    for name, shape in OUTPUTS.items():
        shape.lay(tmp_path / f"{name}.before", "older")
    before = tree(tmp_path)

    def watch(publication, step):
        if fails and step == "synced" and publication.destination.name == "last":
            (tmp_path / "last").mkdir()

    group = atomik.group()
    with no_leaks(), atomik_core.testing.watching(watch):
        for name, shape in OUTPUTS.items():
            add(group, shape, tmp_path / name, overwrite=True, backup=tmp_path / f"{name}.before")
        add(group, FILE, tmp_path / "last")
        if fails:
            with pytest.raises(FileExistsError):
                group.publish()
            (tmp_path / "last").rmdir()
        else:
            group.publish()
            (tmp_path / "last").unlink()

    if fails:
        assert tree(tmp_path) == before
        return
    assert {shape.read(tmp_path / name) for name, shape in OUTPUTS.items()} == {"new"}
    assert {shape.read(tmp_path / f"{name}.before") for name, shape in OUTPUTS.items()} == {"old"}
    assert len(os.listdir(tmp_path)) == 2 * len(NAMES)


def test_new_members_with_a_backup(tmp_path):
    """Where there was no version before there is no backup."""
    with no_leaks(), atomik.group() as group:
        for name, shape in OUTPUTS.items():
            add(group, shape, tmp_path / name, overwrite=True, backup=tmp_path / f"{name}.before")

    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


@pytest.mark.leaves_litter
@each_shape
@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "group"])
def test_backup_that_becomes_impossible(tmp_path, shape, grouped):
    """If the old version cannot be moved to its backup in the end, it is published, and the error says where the old is."""
    (tmp_path / "before").mkdir()
    shape.lay(tmp_path / "a", "old")

    def watch(publication, step):
        if step == "published":
            if shape.is_folder:
                (tmp_path / "before" / "a").write_text("theirs")
            else:
                (tmp_path / "before" / "a").mkdir()

    group = atomik.group()
    call = getattr(group, shape.call.__name__) if grouped else shape.call
    publication = call(tmp_path / "a", overwrite=True, backup=tmp_path / "before" / "a")
    with no_leaks(), atomik_core.testing.watching(watch):
        shape.fill(publication.open(), "new")
        with pytest.raises(OSError, match="Published") as raised:
            if grouped:
                group.publish()
            else:
                publication.publish()

    (kept,) = [path for path in litter(tmp_path) if path.parent == tmp_path]
    assert kept.name in str(raised.value)
    assert shape.read(kept) == "old"
    assert shape.read(tmp_path / "a") == "new"
    assert publication.state == "published"
    assert atomik.clean(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_copy_keeps_the_version_before(tmp_path, kind):
    """What a copy replaces is at the backup, with its own metadata; the copy has that of its source."""
    for name, mode in (("one", 0o700), ("two", 0o750)):
        place = tmp_path / name
        if kind == "folder":
            place.mkdir()
            (place / name).write_text(name)
        else:
            place.write_text(name)
        place.chmod(mode)
    with no_leaks():
        atomik.copy(tmp_path / "one", tmp_path / "a")
        atomik.copy(tmp_path / "two", tmp_path / "a", overwrite=True, backup=tmp_path / "b")

    assert tree(tmp_path / "a") == tree(tmp_path / "two")
    assert tree(tmp_path / "b") == tree(tmp_path / "one")
    with pytest.raises(ValueError, match="overwrite=True"):
        atomik.copy(tmp_path / "one", tmp_path / "c", backup=tmp_path / "b")


def test_a_stage_keeps_the_version_before(tmp_path):
    """One output's old version is at the backup, and the new one has the mode that was asked for; several are refused."""
    (tmp_path / "a").write_text("one")
    with no_leaks(), atomik.stage([tmp_path / "a"], backup=tmp_path / "b", permissions=0o640) as out:
        out[0].write_text("two")
        out[0].with_name("extra").write_text("beside")

    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {
        "a": "two",
        "b": "one",
        "extra": "beside",
    }
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "extra")] == [0o640, 0o644]
    with pytest.raises(ValueError, match="one version"):
        atomik.stage([tmp_path / "a", tmp_path / "c"], backup=tmp_path / "b")


@pytest.mark.leaves_litter
@each_shape
def test_backup_though_the_new_version_may_not_be_durable(tmp_path, shape):
    """If the sync of the directory fails, the old version goes to its backup all the same, under its name."""
    shape.lay(tmp_path / "a", "old")

    def fail(_, step):
        if step == "published":
            raise OSError(5, "Input/output error")

    with atomik_core.testing.watching(fail), pytest.raises(atomik.NotDurableError):
        shape.publish(tmp_path / "a", "new", overwrite=True, backup=tmp_path / "b")

    assert (shape.read(tmp_path / "a"), shape.read(tmp_path / "b")) == ("new", "old")
