"""Destinations of every kind: names, missing parents, and what may stand there already."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, FOLDER
from support.watch import litter


@pytest.fixture
def never():
    """Fail if the block begins."""
    return lambda: pytest.fail("the block began")


def test_new(tmp_path, shape):
    """Nothing is at the destination before the block's end, and all of it after."""
    with shape.call(tmp_path / "a") as handle:
        shape.fill(handle, "new")
        assert shape.read(tmp_path / "a") is None

    assert shape.read(tmp_path / "a") == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_overwriting(tmp_path, shape):
    """With `overwrite=True` the old version is there until the block's end, and then the new one, with nothing left."""
    shape.lay(tmp_path / "a", "old")
    with shape.call(tmp_path / "a", overwrite=True) as handle:
        shape.fill(handle, "new")
        assert shape.read(tmp_path / "a") == "old"

    assert shape.read(tmp_path / "a") == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_overwriting_nothing(tmp_path, shape):
    """With `overwrite=True` there need not be anything to overwrite."""
    shape.publish(tmp_path / "a", "new", overwrite=True)

    assert shape.read(tmp_path / "a") == "new"


def test_an_empty_folder_counts(tmp_path, folder_shape):
    """An empty folder counts as existing, and is replaced only if that was said."""
    (tmp_path / "a").mkdir()
    with pytest.raises(atomik.FileAlreadyExistsError):
        folder_shape.publish(tmp_path / "a", "new")

    folder_shape.publish(tmp_path / "a", "new", overwrite=True)

    assert folder_shape.read(tmp_path / "a") == "new"


def test_exists(tmp_path, shape, never):
    """What exists is not overwritten unasked: the error comes before the block, and says what and what to do."""
    shape.lay(tmp_path / "a", "old")

    with pytest.raises(atomik.FileAlreadyExistsError, match="overwrite=True") as caught:
        with shape.call(tmp_path / "a"):
            never()

    assert isinstance(caught.value, FileExistsError)
    assert caught.value.destination == str(tmp_path / "a")
    assert shape.read(tmp_path / "a") == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_missing_parent(tmp_path, shape, never):
    """A missing parent is FileNotFoundError before the block, and says what to do."""
    with pytest.raises(FileNotFoundError, match="parents=True") as caught:
        with shape.call(tmp_path / "b" / "a"):
            never()

    assert caught.value.filename == str(tmp_path / "b" / "a")
    assert os.listdir(tmp_path) == []


def test_parent_is_a_file(tmp_path, shape, never):
    """A parent that is no directory is NotADirectoryError before the block, `parents=True` or not."""
    (tmp_path / "b").write_text("file")

    for parents in (False, True):
        with pytest.raises(NotADirectoryError), shape.call(tmp_path / "b" / "a", parents=parents):
            never()
    with pytest.raises(NotADirectoryError), shape.call(tmp_path / "b" / "c" / "a", parents=True):
        never()

    assert (tmp_path / "b").read_text() == "file"


@pytest.mark.parametrize("middle", ["b", "b/c/d", "b//c/", "b/./c", "there/b/../c"])
def test_parents(tmp_path, shape, middle):
    """`parents=True` makes the missing parent directories."""
    (tmp_path / "there").mkdir()

    shape.publish(Path(f"{tmp_path}/{middle}/a"), "new", parents=True)

    assert shape.read(Path(f"{tmp_path}/{middle}/a")) == "new"


def test_parents_of_a_relative_destination(tmp_path, monkeypatch, shape):
    """`parents=True` makes those of a relative destination, too."""
    monkeypatch.chdir(tmp_path)

    shape.publish(Path("b/c/a"), "new", parents=True)

    assert shape.read(tmp_path / "b" / "c" / "a") == "new"


def test_parents_are_taken_back(tmp_path, shape):
    """On discard the parents that were made are removed again, and those that were there are not."""
    (tmp_path / "there").mkdir()

    with pytest.raises(ZeroDivisionError), shape.call(tmp_path / "there" / "b" / "c" / "a", parents=True) as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError

    assert os.listdir(tmp_path / "there") == []


def test_parents_in_use_are_not_taken_back(tmp_path, shape):
    """A parent that was made, and in which somebody else has put something, stays."""
    with pytest.raises(ZeroDivisionError), shape.call(tmp_path / "b" / "c" / "a", parents=True):
        (tmp_path / "b" / "theirs").write_text("theirs")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == ["b"]
    assert os.listdir(tmp_path / "b") == ["theirs"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 255, id="255 bytes"),
        pytest.param("ü" * 127, id="254 bytes in 127 characters"),
        pytest.param(os.fsdecode(b"\xff\xfe"), id="not UTF-8"),
        pytest.param(" ", id="a space"),
        pytest.param("a\nb", id="a line break"),
        pytest.param("-rf", id="an option"),
        pytest.param("...", id="three dots"),
        pytest.param("~", id="a tilde"),
        pytest.param(".hidden", id="hidden"),
        pytest.param("%s{0}\\", id="format characters"),
    ],
)
def test_names(tmp_path, shape, name):
    """Every name that the filesystem takes can be published, new and over what is there."""
    shape.publish(tmp_path / name, "one")
    shape.publish(tmp_path / name, "two", overwrite=True)

    assert os.listdir(tmp_path) == [name]
    assert shape.read(tmp_path / name) == "two"


def test_name_too_long(tmp_path, shape, never):
    """A name that is too long for the filesystem is an error before the block."""
    with pytest.raises(OSError, match="too long"), shape.call(tmp_path / ("x" * 256)):
        never()

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("convert", [str, os.fsencode, Path])
def test_types_of_path(tmp_path, shape, convert):
    """A destination is a str, bytes or PathLike."""
    publication = shape.call(convert(tmp_path / "a"))
    with publication as handle:
        shape.fill(handle, "new")

    assert shape.read(tmp_path / "a") == "new"
    assert publication.destination == tmp_path / "a"


@pytest.mark.parametrize("path", [None, 3, ["a"]])
def test_no_path(shape, path):
    """What is no path is a TypeError at the call; a descriptor's number is none."""
    with pytest.raises(TypeError):
        shape.call(path)


@pytest.mark.parametrize("path", ["", ".", "..", "/", "//", "a/.", "a/..", "a\0b"])
def test_not_a_name(tmp_path, monkeypatch, shape, path):
    """What names no entry that could be published is a ValueError at the call; so is a null character."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError):
        shape.call(path, overwrite=True)


def test_trailing_slash_of_a_file(tmp_path, never):
    """A file whose destination ends with a slash is IsADirectoryError."""
    with pytest.raises(IsADirectoryError), atomik.file(f"{tmp_path}/a/"):
        never()

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_trailing_slash_of_a_folder(tmp_path, folder_shape, slashes):
    """A slash at the end of a folder's destination is dropped."""
    with folder_shape.call(f"{tmp_path}/a{slashes}") as handle:
        folder_shape.fill(handle, "new")

    assert folder_shape.read(tmp_path / "a") == "new"


def make_socket(path):
    """Bind a socket, whose name may not be long, at PATH."""
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def make_device(path):
    """Make another null device at PATH, as root."""
    from support.needs import need_root

    need_root()
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


@pytest.mark.parametrize(("make", "called"), [(os.mkfifo, "FIFO"), (make_socket, "socket"), (make_device, "device")])
@pytest.mark.parametrize("through_a_link", [False, True])
def test_special(tmp_path, shape, make, called, through_a_link, never):
    """A device, FIFO or socket is refused before the block, overwriting or not, and through a link, too."""
    make(tmp_path / "special")
    before = os.lstat(tmp_path / "special")
    destination = tmp_path / "special"
    if through_a_link:
        destination = tmp_path / "link"
        destination.symlink_to("special")

    with pytest.raises(atomik.FileAlreadyExistsError, match=called), shape.call(destination, overwrite=True):
        never()
    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(destination):
        never()

    assert os.path.samestat(before, os.lstat(tmp_path / "special"))


def test_a_folder_in_the_way_of_a_file(tmp_path, never):
    """A file does not replace a folder: IsADirectoryError before the block."""
    FOLDER.lay(tmp_path / "a", "old")

    with pytest.raises(IsADirectoryError) as caught, atomik.file(tmp_path / "a", overwrite=True):
        never()

    assert caught.value.filename == str(tmp_path / "a")
    assert FOLDER.read(tmp_path / "a") == "old"


def test_a_file_in_the_way_of_a_folder(tmp_path, never):
    """A folder does not replace a file: NotADirectoryError before the block."""
    FILE.lay(tmp_path / "a", "old")

    with pytest.raises(NotADirectoryError) as caught, atomik.folder(tmp_path / "a", overwrite=True):
        never()

    assert caught.value.filename == str(tmp_path / "a")
    assert FILE.read(tmp_path / "a") == "old"


@pytest.mark.parametrize(
    ("there", "made", "error"), [(FILE, FOLDER, NotADirectoryError), (FOLDER, FILE, IsADirectoryError)]
)
def test_path_of_the_other_kind(tmp_path, there, made, error):
    """`path` does not replace a file by a folder, or the reverse; what was there stays, and what was made is kept."""
    there.lay(tmp_path / "a", "old")

    with pytest.raises(error, match="everything is kept in"), atomik.path(tmp_path / "a", overwrite=True) as p:
        made.lay(p, "new")

    assert there.read(tmp_path / "a") == "old"
    [kept] = litter(tmp_path)
    assert made.read(kept / "a") == "new"
    atomik.remove(kept)
    assert os.listdir(tmp_path) == ["a"]


def test_a_hard_link_is_cut(tmp_path, file_shape):
    """Overwriting one name of a file leaves its other names with the old version."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").hardlink_to(tmp_path / "a")

    file_shape.publish(tmp_path / "a", "new", overwrite=True)

    assert (tmp_path / "b").read_text() == "old"


def test_a_reader_keeps_the_old_version(tmp_path, file_shape):
    """Who has the old file open goes on reading the old version."""
    (tmp_path / "a").write_text("old")
    with (tmp_path / "a").open() as reader:
        file_shape.publish(tmp_path / "a", "new", overwrite=True)

        assert reader.read() == "old"
