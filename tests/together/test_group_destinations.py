"""Where members go: one destination each, none in another, in as many directories and on as many filesystems as wanted."""

from __future__ import annotations

import os

import pytest

import atomik
import atomik_core.testing
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER
from support.filesystems import KINDS
from support.watch import no_leaks
from together.outputs import NAMES, OUTPUTS, add, add_all, lay_all, member, read_all


@pytest.mark.parametrize(
    "again",
    ["a", "./a", "../here/a", "a/", "link/a", "link/../here/a", "sub/../a"],
)
def test_the_same_destination_twice(tmp_path, monkeypatch, again):
    """The same destination, by whatever path, is ValueError at once, and the group goes on without it."""
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / "link").symlink_to(here)
    monkeypatch.chdir(here)

    with no_leaks(), atomik.group() as group:
        add(group, FOLDER, "a")
        with pytest.raises(ValueError, match="another member"):
            group.folder(again)
        with pytest.raises(ValueError, match="another member"):
            group.path(os.path.abspath("a"))

    assert FOLDER.read(here / "a") == "new"
    assert sorted(os.listdir(here)) == ["a", "link", "sub"]


def test_the_same_destination_through_a_link_to_it(tmp_path):
    """A link that is followed leads to the same destination; one that is replaced is a destination of its own."""
    FILE.lay(tmp_path / "a", "old")
    (tmp_path / "link").symlink_to("a")

    with atomik.group() as group:
        add(group, FILE, tmp_path / "a", overwrite=True)
        with pytest.raises(ValueError, match="another member"):
            group.file(tmp_path / "link", overwrite=True)
        add(group, FILE, tmp_path / "link", overwrite=True, follow_symlinks=False)

    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == (tmp_path / "a").read_text() == "new"


@pytest.mark.system
def test_the_same_destination_through_a_bind_mount(mounts):
    """What no path tells is found when the member is opened: two mounts show one directory."""
    here = mounts("ext4")
    (here / "one").mkdir()
    (here / "two").mkdir()
    mounts.bind(here / "one", here / "two")

    group = atomik.group()
    add(group, FILE, here / "one" / "a")
    with pytest.raises(ValueError, match="another member"):
        group.file(here / "two" / "a").open()
    group.discard()

    assert os.listdir(here / "one") == []


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a", "a/b/c"), ("a", "link/b"), ("link/b", "a")]
)
def test_one_destination_inside_another(tmp_path, first, second):
    """A destination inside another member's, through a link, too, is ValueError at once, whichever came first."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")

    with atomik.group() as group:
        group.folder(tmp_path / first, overwrite=True)
        with pytest.raises(ValueError, match="inside"):
            group.path(tmp_path / second, overwrite=True)

    assert sorted(os.listdir(tmp_path)) == ["a", "link"]


def test_a_name_that_only_begins_alike_is_another(tmp_path):
    """`ab` does not lie inside `a`."""
    with atomik.group() as group:
        for name in ("a", "ab", "a.b", "a b"):
            add(group, FOLDER, tmp_path / name)

    assert sorted(os.listdir(tmp_path)) == ["a", "a b", "a.b", "ab"]


@pytest.mark.parametrize("backup", ["b", "c", "b/x", "."])
def test_backup_that_is_another_members(tmp_path, backup):
    """A backup takes a place like a destination does: no other member may have it, be in it or be around it."""
    for name in ("a", "b"):
        FOLDER.lay(tmp_path / name, "old")

    with atomik.group() as group:
        add(group, FOLDER, tmp_path / "b", overwrite=True, backup=tmp_path / "c")
        with pytest.raises(ValueError, match=r"member|inside|name"):
            group.folder(tmp_path / "a", overwrite=True, backup=tmp_path / backup)
        with pytest.raises(ValueError, match="another member"):
            group.folder(tmp_path / "c", overwrite=True)

    assert FOLDER.read(tmp_path / "a") == "old"
    assert FOLDER.read(tmp_path / "b") == "new"
    assert FOLDER.read(tmp_path / "c") == "old"


@pytest.mark.parametrize("name", NAMES)
def test_symbolic_links(tmp_path, name):
    """A link at a destination is followed when overwriting, or replaced if that is asked for, by a folder, too."""
    shape = OUTPUTS[name]
    (tmp_path / "elsewhere").mkdir()
    shape.lay(tmp_path / "elsewhere" / "a", "old")
    for link in ("followed", "replaced", "dangling"):
        (tmp_path / link).symlink_to("elsewhere/a" if link != "dangling" else "elsewhere/b")

    with no_leaks(), atomik.group() as group:
        add(group, shape, tmp_path / "followed", "new", overwrite=True)
        add(group, shape, tmp_path / "dangling", "new", overwrite=True)
        add(group, shape, tmp_path / "replaced", "mine", overwrite=True, follow_symlinks=False)

    assert (tmp_path / "followed").is_symlink()
    assert shape.read(tmp_path / "elsewhere" / "a") == "new"
    assert shape.read(tmp_path / "elsewhere" / "b") == "new"
    assert not (tmp_path / "replaced").is_symlink()
    assert shape.read(tmp_path / "replaced") == "mine"
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["a", "b"]
    assert sorted(os.listdir(tmp_path)) == ["dangling", "elsewhere", "followed", "replaced"]


@pytest.mark.system
@pytest.mark.parametrize("fails", [False, True], ids=["published", "taken-back"])
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_members_on_several_filesystems(mounts, overwrite, fails):
    """A group reaches over filesystems: all is published, or taken back, on each."""
    places = [mounts(kind) for kind in ("ext4", "xfs", "btrfs", "tmpfs")]
    if overwrite:
        for place in places:
            lay_all(place)

    def watch(publication, step):
        if step == "synced" and publication.destination.name == "last":
            publication.destination.mkdir()

    group = atomik.group()
    with no_leaks(), atomik_core.testing.watching(watch):
        for place in places:
            add_all(group, place, overwrite=overwrite)
        if fails:
            add(group, FILE, places[0] / "last")
            with pytest.raises(FileExistsError):
                group.publish()
            (places[0] / "last").rmdir()
        else:
            group.publish()

    before = "old" if overwrite else None
    for place in places:
        assert read_all(place) == [before if fails else "new"] * 4
        assert set(os.listdir(place)) <= set(NAMES)


@pytest.mark.system
def test_any_filesystem_with_every_primitive(filesystem):
    """New and overwriting, a group works wherever a single publication does."""
    for text in ("one", "two"):
        with no_leaks(), atomik.group() as group:
            add_all(group, filesystem.path, text, overwrite=text == "two")
        assert read_all(filesystem.path) == [text] * 4
    assert sorted(os.listdir(filesystem.path)) == sorted(NAMES)


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["bindfs", "exfat"])
def test_without_exchange(mounts, kind, name):
    """Where there is no RENAME_EXCHANGE what exists cannot be replaced so that it can be undone: refused when opened."""
    here = mounts(kind)
    OUTPUTS[name].lay(here / "old", "old")

    group = atomik.group()
    with no_leaks():
        with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE") as raised:
            member(group, OUTPUTS[name], here / "old", overwrite=True).open()
        group.discard()

    assert raised.value.filename == str(here / "old")
    assert OUTPUTS[name].read(here / "old") == "old"
    assert os.listdir(here) == ["old"]


@pytest.mark.system
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite-allowed"])
def test_new_without_exchange(mounts, overwrite):
    """What is new is published there, and taken back, on lower rungs."""
    here = mounts("bindfs")
    with atomik.group() as group:
        add_all(group, here, overwrite=overwrite)
    assert read_all(here) == ["new"] * 4

    group = atomik.group()
    for name, shape in OUTPUTS.items():
        add(group, shape, here / f"again-{name}", overwrite=overwrite)
    add(group, FILE, here / "last")
    (here / "last").write_text("theirs")
    with pytest.raises(FileExistsError):
        group.publish()

    assert sorted(os.listdir(here)) == sorted([*NAMES, "last"])


@pytest.mark.system
def test_new_without_links(mounts):
    """On FAT and exFAT, new folders are published; a new file is refused when it is opened: a rival's could be lost."""
    here = mounts("exfat")
    with atomik.group() as group:
        add(group, FOLDER, here / "folder")
        add(group, PATH_TO_FOLDER, here / "path-folder")
    assert FOLDER.read(here / "folder") == FOLDER.read(here / "path-folder") == "new"
    assert KINDS["exfat"].posix is False

    group = atomik.group()
    with pytest.raises(atomik.UnsupportedFilesystemError):
        group.file(here / "file").open()
    group.discard()
    group = atomik.group()
    with pytest.raises(atomik.UnsupportedFilesystemError), group:
        add(group, FOLDER, here / "taken back")
        add(group, PATH_TO_FILE, here / "file")

    atomik.clean(here, force=True)
    assert {"folder", "path-folder"} == {name for name in os.listdir(here) if not name.startswith("atomik-kept-")}
    for entry in here.iterdir():
        if entry.name.startswith("atomik-kept-"):
            atomik.remove(entry)


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
def test_tmp_dir_on_another_filesystem(mounts, name):
    """A member that is staged on another filesystem is copied beside its destination, and nothing is left there."""
    here, there = mounts("ext4"), mounts("tmpfs")

    with no_leaks(), atomik.group() as group:
        for number in range(10):
            add(group, OUTPUTS[name], here / str(number), tmp_dir=there)

    assert {OUTPUTS[name].read(here / str(number)) for number in range(10)} == {"new"}
    assert len(os.listdir(here)) == 10
    assert os.listdir(there) == []
