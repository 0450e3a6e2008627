"""`rename`, `exchange` and `remove`: one instant each, nothing overwritten unasked, nothing lost by a mistake."""

from __future__ import annotations

import errno
import os
import stat

import pytest

import atomik
from core.shapes import FILE, FOLDER

KINDS = [pytest.param(FILE, id="file"), pytest.param(FOLDER, id="folder")]
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("overwrite", [True, False])
def test_rename(tmp_path, kind, overwrite):
    """A file or folder gets a new name, in another directory, too."""
    (tmp_path / "sub").mkdir()
    kind.lay(tmp_path / "a", "new")

    atomik.rename(tmp_path / "a", tmp_path / "sub" / "b", overwrite=overwrite)

    assert os.listdir(tmp_path) == ["sub"]
    assert kind.read(tmp_path / "sub" / "b") == "new"


@each_kind
@pytest.mark.parametrize("there", [FILE, FOLDER, None])
def test_rename_overwrites_nothing_unasked(tmp_path, kind, there):
    """Whatever stands at the new name stays, a dangling link, too, and so does the source."""
    kind.lay(tmp_path / "a", "new")
    if there is None:
        (tmp_path / "b").symlink_to("nowhere")
    else:
        there.lay(tmp_path / "b", "old")

    with pytest.raises(atomik.FileAlreadyExistsError) as caught:
        atomik.rename(tmp_path / "a", tmp_path / "b")

    assert caught.value.filename == str(tmp_path / "b")
    assert kind.read(tmp_path / "a") == "new"
    assert (tmp_path / "b").is_symlink() if there is None else there.read(tmp_path / "b") == "old"


@each_kind
def test_rename_overwriting(tmp_path, kind):
    """With `overwrite=True` a file replaces a file, a folder a folder, and nothing is left of the old one."""
    kind.lay(tmp_path / "a", "new")
    kind.lay(tmp_path / "b", "old")

    atomik.rename(tmp_path / "a", tmp_path / "b", overwrite=True)

    assert os.listdir(tmp_path) == ["b"]
    assert kind.read(tmp_path / "b") == "new"


def test_rename_over_the_other_kind(tmp_path):
    """A file does not replace a folder, nor the reverse."""
    FILE.lay(tmp_path / "file", "file")
    FOLDER.lay(tmp_path / "folder", "folder")

    with pytest.raises(IsADirectoryError):
        atomik.rename(tmp_path / "file", tmp_path / "folder", overwrite=True)
    with pytest.raises(NotADirectoryError):
        atomik.rename(tmp_path / "folder", tmp_path / "file", overwrite=True)

    assert FILE.read(tmp_path / "file") == "file"
    assert FOLDER.read(tmp_path / "folder") == "folder"


def test_rename_a_link(tmp_path):
    """A link is renamed itself, and replaced itself; what it points to is not touched."""
    (tmp_path / "target").write_text("target")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "other").symlink_to("target")

    atomik.rename(tmp_path / "link", tmp_path / "other", overwrite=True)

    assert os.readlink(tmp_path / "other") == "target"
    assert sorted(os.listdir(tmp_path)) == ["other", "target"]


def test_rename_to_another_link_of_the_same_file(tmp_path):
    """Between two links of one file the source goes, where rename(2) does nothing; without overwriting nothing happens."""
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").hardlink_to(tmp_path / "a")

    with pytest.raises(FileExistsError):
        atomik.rename(tmp_path / "a", tmp_path / "b")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]

    atomik.rename(tmp_path / "a", tmp_path / "b", overwrite=True)
    assert os.listdir(tmp_path) == ["b"]


@each_kind
def test_rename_to_itself(tmp_path, kind):
    """A rename to the same name loses nothing."""
    kind.lay(tmp_path / "a", "x")

    with pytest.raises(FileExistsError):
        atomik.rename(tmp_path / "a", tmp_path / "a")
    atomik.rename(tmp_path / "a", tmp_path / "a", overwrite=True)

    assert os.listdir(tmp_path) == ["a"]
    assert kind.read(tmp_path / "a") == "x"


def test_rename_to_itself_by_another_path(tmp_path):
    """So it is where the directory is named in another way."""
    for kind, name in ((FILE, "file"), (FOLDER, "folder")):
        kind.lay(tmp_path / name, "x")
        (tmp_path / "link").symlink_to(".")

        atomik.rename(tmp_path / name, tmp_path / "link" / name, overwrite=True)

        assert kind.read(tmp_path / name) == "x"
        (tmp_path / "link").unlink()


@pytest.mark.parametrize("overwrite", [True, False])
def test_rename_into_itself(tmp_path, overwrite):
    """A folder cannot be moved into itself: EINVAL, not a lack of the filesystem, and nothing has happened."""
    FOLDER.lay(tmp_path / "a", "x")

    for inside in ("new", "sub") if overwrite else ("new",):
        with pytest.raises(OSError) as caught:
            atomik.rename(tmp_path / "a", tmp_path / "a" / inside, overwrite=overwrite)
        assert caught.value.errno == errno.EINVAL
        assert not isinstance(caught.value, atomik.UnsupportedFilesystemError)

    assert FOLDER.read(tmp_path / "a") == "x"


@pytest.mark.parametrize("overwrite", [True, False])
def test_rename_nothing(tmp_path, overwrite):
    """A missing source is FileNotFoundError, names the source, and leaves the destination."""
    FILE.lay(tmp_path / "b", "old")

    with pytest.raises(FileNotFoundError) as caught:
        atomik.rename(tmp_path / "a", tmp_path / ("b" if overwrite else "c"), overwrite=overwrite)

    assert caught.value.filename == str(tmp_path / "a")
    assert os.listdir(tmp_path) == ["b"]


def test_missing_directory(tmp_path):
    """A missing directory is FileNotFoundError, which names the path in it."""
    FILE.lay(tmp_path / "a", "x")

    for call in (
        lambda: atomik.rename(tmp_path / "a", tmp_path / "missing" / "b"),
        lambda: atomik.exchange(tmp_path / "a", tmp_path / "missing" / "b"),
        lambda: atomik.remove(tmp_path / "missing" / "b"),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert caught.value.filename == str(tmp_path / "missing" / "b")

    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("path", ["", ".", "..", "/", "a/.", "a/.."])
def test_no_name(tmp_path, monkeypatch, path):
    """What names no entry is ValueError, for each of the three, wherever it is given."""
    monkeypatch.chdir(tmp_path)
    FILE.lay(tmp_path / "a", "x")

    for call, arguments in (
        (atomik.remove, (path,)),
        (atomik.rename, ("a", path)),
        (atomik.rename, (path, "b")),
        (atomik.exchange, ("a", path)),
        (atomik.exchange, (path, "a")),
    ):
        with pytest.raises(ValueError):
            call(*arguments)

    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_exchange(tmp_path, one, other):
    """Two names are swapped, whatever they are, in different directories, too."""
    (tmp_path / "sub").mkdir()
    one.lay(tmp_path / "a", "one")
    other.lay(tmp_path / "sub" / "b", "other")

    atomik.exchange(tmp_path / "a", tmp_path / "sub" / "b")

    assert other.read(tmp_path / "a") == "other"
    assert one.read(tmp_path / "sub" / "b") == "one"


def test_exchange_links(tmp_path):
    """Links are swapped themselves."""
    FILE.lay(tmp_path / "a", "one")
    (tmp_path / "link").symlink_to("a")

    atomik.exchange(tmp_path / "a", tmp_path / "link")

    assert os.readlink(tmp_path / "a") == "a"
    assert (tmp_path / "link").read_text() == "one"


def test_exchange_with_nothing(tmp_path):
    """If one of the two does not exist, the error names it, and nothing has happened."""
    FILE.lay(tmp_path / "a", "one")

    for one, other in (("a", "b"), ("b", "a")):
        with pytest.raises(FileNotFoundError) as caught:
            atomik.exchange(tmp_path / one, tmp_path / other)
        assert caught.value.filename == str(tmp_path / "b")

    assert os.listdir(tmp_path) == ["a"]


def test_exchange_with_what_is_inside(tmp_path):
    """A folder and what is in it cannot be swapped: EINVAL, not a lack of the filesystem."""
    FOLDER.lay(tmp_path / "a", "x")

    for one, other in (("a", "a/sub"), ("a/sub", "a"), ("a", "a/one")):
        with pytest.raises(OSError) as caught:
            atomik.exchange(tmp_path / one, tmp_path / other)
        assert caught.value.errno == errno.EINVAL
        assert not isinstance(caught.value, atomik.UnsupportedFilesystemError)

    assert FOLDER.read(tmp_path / "a") == "x"


@each_kind
def test_remove(tmp_path, kind):
    """A file or a whole tree is gone, with nothing left."""
    kind.lay(tmp_path / "a", "x")

    atomik.remove(tmp_path / "a")

    assert os.listdir(tmp_path) == []


def test_remove_a_link(tmp_path):
    """A link is removed itself, a dangling one, too; what it points to, and what links in a tree point to, stays."""
    FOLDER.lay(tmp_path / "target", "x")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("../target")

    for name in ("link", "dangling", "tree"):
        atomik.remove(tmp_path / name)

    assert os.listdir(tmp_path) == ["target"]
    assert FOLDER.read(tmp_path / "target") == "x"


def test_remove_special(tmp_path):
    """A FIFO is removed as a file is."""
    os.mkfifo(tmp_path / "a")

    atomik.remove(tmp_path / "a")

    assert os.listdir(tmp_path) == []


def test_remove_nothing(tmp_path):
    """If there is nothing, the error is FileNotFoundError."""
    with pytest.raises(FileNotFoundError) as caught:
        atomik.remove(tmp_path / "a")

    assert caught.value.filename == str(tmp_path / "a")


def test_remove_what_is_published_by_others(tmp_path):
    """A folder that somebody is filling is not touched by the removal of its destination's old version."""
    FOLDER.lay(tmp_path / "a", "old")
    with atomik.folder(tmp_path / "a", overwrite=True) as d:
        (d / "new").write_text("new")
        atomik.remove(tmp_path / "a")

    assert os.listdir(tmp_path / "a") == ["new"]


@pytest.mark.parametrize("call", [atomik.rename, atomik.exchange, atomik.remove])
def test_no_level(tmp_path, call):
    """An unknown level of durability is ValueError before anything is touched."""
    for name in "ab":
        FILE.lay(tmp_path / name, name)

    with pytest.raises(ValueError, match="normal"):
        call(*([tmp_path / "a"] if call is atomik.remove else [tmp_path / "a", tmp_path / "b"]), sync="fast")

    assert [FILE.read(tmp_path / name) for name in "ab"] == ["a", "b"]


def test_bytes_and_odd_names(tmp_path):
    """Paths may be bytes, and names need not be UTF-8."""
    name = os.fsencode(tmp_path) + b"/\xff"
    with open(name, "wb"):
        pass

    atomik.rename(name, name + b"\xfe")
    atomik.exchange(name + b"\xfe", name + b"\xfe")
    atomik.remove(name + b"\xfe")

    assert os.listdir(tmp_path) == []


@pytest.mark.system
@pytest.mark.parametrize(("one", "other"), [("ext4", "tmpfs"), ("ext4", "bind")])
def test_across_filesystems(mounts, one, other):
    """Between two filesystems, or two mounts of one, the error says so, names both kinds of remedy, and all stays."""
    source, target = mounts.pair("bind") if other == "bind" else (mounts(one), mounts(other))
    for kind, name in ((FILE, "file"), (FOLDER, "folder")):
        kind.lay(source / name, "x")
        kind.lay(target / name, "old")

        with pytest.raises(atomik.InvalidCrossDeviceError, match="copy") as caught:
            atomik.rename(source / name, target / "new")
        assert caught.value.errno == errno.EXDEV
        with pytest.raises(atomik.InvalidCrossDeviceError):
            atomik.rename(source / name, target / name, overwrite=True)
        with pytest.raises(atomik.InvalidCrossDeviceError):
            atomik.exchange(source / name, target / name)

        assert kind.read(source / name) == "x"
        assert kind.read(target / name) == "old"


def test_unreadable_tree(tmp_path):
    """A tree without any right for its owner is removed, and replaced."""
    for mode in (0, 0o500):
        FOLDER.lay(tmp_path / "a", "x")
        (tmp_path / "a" / "sub").chmod(mode)
        (tmp_path / "a").chmod(mode)
        atomik.remove(tmp_path / "a")

    assert os.listdir(tmp_path) == []
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
