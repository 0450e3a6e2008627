"""What others do to the destination and its parent while the block runs, and in the last instant before publication."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

import pytest

import atomik
import atomik_core.testing
from core.shapes import FILE, FOLDER


@contextlib.contextmanager
def in_the_block(act):
    """Let ACT happen when the block begins."""
    done = []

    def watcher(_, step):
        if step == "opened" and not done:
            done.append(step)
            act()

    with atomik_core.testing.watching(watcher):
        yield


@contextlib.contextmanager
def in_the_last_instant(act):
    """Let ACT happen when every check has been made and the content is synced: only the rename is left."""
    done = []

    def watcher(_, step):
        if step == "synced" and not done:
            done.append(step)
            act()

    with atomik_core.testing.watching(watcher):
        yield


@pytest.fixture(params=[in_the_block, in_the_last_instant])
def meanwhile(request):
    """Each moment at which somebody may interfere."""
    return request.param


def test_created(tmp_path, shape, meanwhile):
    """Whoever is first wins: what a rival has published meanwhile stays, and ours is discarded."""
    publication = shape.call(tmp_path / "a")

    with meanwhile(lambda: shape.lay(tmp_path / "a", "rival")):
        with pytest.raises(atomik.FileAlreadyExistsError), publication as handle:
            shape.fill(handle, "new")

    assert publication.state == "discarded"
    assert shape.read(tmp_path / "a") == "rival"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.mkdir(), id="empty folder"),
        pytest.param(lambda path: path.write_text(""), id="empty file"),
        pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling link"),
        pytest.param(os.mkfifo, id="FIFO"),
    ],
)
def test_created_as_anything(tmp_path, shape, meanwhile, make):
    """Without overwriting, anything that appears at the destination counts, and is left as it is."""
    with meanwhile(lambda: make(tmp_path / "a")):
        with pytest.raises(atomik.FileAlreadyExistsError):
            shape.publish(tmp_path / "a", "new")

        left = os.lstat(tmp_path / "a")

    other = tmp_path / "other"
    make(other)
    assert stat.S_IFMT(left.st_mode) == stat.S_IFMT(os.lstat(other).st_mode)
    assert left.st_size == os.lstat(other).st_size
    assert sorted(os.listdir(tmp_path)) == ["a", "other"]


def test_created_when_overwriting(tmp_path, shape, meanwhile):
    """When overwriting, what a rival has published meanwhile is replaced."""
    with meanwhile(lambda: shape.lay(tmp_path / "a", "rival")):
        shape.publish(tmp_path / "a", "new", overwrite=True)

    assert shape.read(tmp_path / "a") == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_deleted_when_overwriting(tmp_path, shape, meanwhile):
    """If the old version is gone meanwhile, the new one is published all the same."""
    shape.lay(tmp_path / "a", "old")

    with meanwhile(lambda: atomik.remove(tmp_path / "a")):
        shape.publish(tmp_path / "a", "new", overwrite=True)

    assert shape.read(tmp_path / "a") == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_replaced_when_overwriting(tmp_path, shape, meanwhile):
    """If another version stands there meanwhile, that is replaced."""
    shape.lay(tmp_path / "a", "old")

    with meanwhile(lambda: (atomik.remove(tmp_path / "a"), shape.lay(tmp_path / "a", "rival"))):
        shape.publish(tmp_path / "a", "new", overwrite=True)

    assert shape.read(tmp_path / "a") == "new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("existed", [True, False])
def test_became_the_other_kind(tmp_path, shape, meanwhile, existed):
    """If a file stands meanwhile where a folder is to be published, or the reverse, it stays; ours is discarded."""
    other = FILE if shape.is_folder else FOLDER
    if existed:
        shape.lay(tmp_path / "a", "old")

    def change():
        if existed:
            atomik.remove(tmp_path / "a")
        other.lay(tmp_path / "a", "other")

    with meanwhile(change), pytest.raises(NotADirectoryError if shape.is_folder else IsADirectoryError):
        shape.publish(tmp_path / "a", "new", overwrite=True)

    assert other.read(tmp_path / "a") == "other"
    assert os.listdir(tmp_path) == ["a"]


def test_became_special(tmp_path, shape):
    """If a FIFO stands at the destination when the block ends, it is refused, overwriting or not."""
    with in_the_block(lambda: os.mkfifo(tmp_path / "a")):
        with pytest.raises(atomik.FileAlreadyExistsError, match="FIFO"):
            shape.publish(tmp_path / "a", "new", overwrite=True)

    assert stat.S_ISFIFO(os.lstat(tmp_path / "a").st_mode)
    assert os.listdir(tmp_path) == ["a"]


def test_file_became_a_link(tmp_path, file_shape, meanwhile):
    """If a link is put at the destination meanwhile, it is replaced: what it points to is not touched."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "precious").write_text("precious")

    def change():
        (tmp_path / "a").unlink()
        (tmp_path / "a").symlink_to("precious")

    with meanwhile(change):
        file_shape.publish(tmp_path / "a", "new", overwrite=True)

    assert (tmp_path / "precious").read_text() == "precious"
    assert file_shape.read(tmp_path / "a") == "new"
    assert not (tmp_path / "a").is_symlink()


def test_folder_became_a_link(tmp_path, folder_shape, meanwhile):
    """If a link is put where a folder was to be replaced, it stays, and what it points to is not touched."""
    folder_shape.lay(tmp_path / "a", "old")
    folder_shape.lay(tmp_path / "precious", "precious")

    def change():
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").symlink_to("precious")

    with meanwhile(change), pytest.raises(NotADirectoryError):
        folder_shape.publish(tmp_path / "a", "new", overwrite=True)

    assert os.readlink(tmp_path / "a") == "precious"
    assert folder_shape.read(tmp_path / "precious") == "precious"
    assert sorted(os.listdir(tmp_path)) == ["a", "precious"]


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("when", ["in the block", "in the last instant"])
def test_parent_swapped_for_a_link(tmp_path, shape, overwrite, when):
    """If the parent is renamed and a link put in its place, we publish where we began, not where the link leads."""
    (tmp_path / "parent").mkdir()
    (tmp_path / "trap").mkdir()

    def swap():
        (tmp_path / "parent").rename(tmp_path / "renamed")
        (tmp_path / "parent").symlink_to("trap")

    with in_the_last_instant(swap if when == "in the last instant" else lambda: None):
        with shape.call(tmp_path / "parent" / "a", overwrite=overwrite) as handle:
            shape.fill(handle, "new")
            if when == "in the block":
                swap()

    assert os.listdir(tmp_path / "trap") == []
    assert os.listdir(tmp_path / "renamed") == ["a"]
    assert shape.read(tmp_path / "renamed" / "a") == "new"


@pytest.mark.leaves_litter
def test_parent_removed(tmp_path, meanwhile):
    """If the parent is removed meanwhile (a file is staged without a name in it), the file is kept above it; the error says where."""
    (tmp_path / "parent").mkdir()
    publication = atomik.file(tmp_path / "parent" / "a")

    with meanwhile((tmp_path / "parent").rmdir), pytest.raises(FileNotFoundError) as caught, publication as f:
        f.write("new")

    assert caught.value.filename == str(tmp_path / "parent" / "a")
    assert publication.state == "discarded"
    (kept,) = tmp_path.iterdir()
    assert str(kept) in str(caught.value)
    assert kept.read_text() == "new"


def test_staging_removed(tmp_path):
    """If somebody removes what is staged with its parent, nothing is published, and the error is FileNotFoundError."""
    (tmp_path / "parent").mkdir()
    publication = atomik.folder(tmp_path / "parent" / "a")

    with in_the_block(lambda: shutil.rmtree(tmp_path / "parent")), pytest.raises(FileNotFoundError), publication:
        pass

    assert publication.state == "discarded"


def test_appears_and_vanishes(tmp_path, folder_shape):
    """A destination that comes and goes all the time is published to, whatever is there in that instant."""
    for number in range(20):
        if number % 2:
            shutil.rmtree(tmp_path / "a")
        folder_shape.publish(tmp_path / "a", str(number), overwrite=True)

    assert folder_shape.read(tmp_path / "a") == "19"


@pytest.mark.parametrize("overwrite", [False, True])
def test_parents_taken_back_by_a_rival(tmp_path, overwrite):
    """A file in parents that a rival made, and took back when it was discarded, is published: they are made again."""
    rival = atomik.file(tmp_path / "new" / "deep" / "a", parents=True)
    rival.open()
    with atomik.file(tmp_path / "new" / "deep" / "b", parents=True, overwrite=overwrite) as f:
        f.write("hours")
        rival.discard()
        assert not (tmp_path / "new").exists()

    assert (tmp_path / "new" / "deep" / "b").read_text() == "hours"
    assert os.listdir(tmp_path / "new" / "deep") == ["b"]


@pytest.mark.leaves_litter
def test_parent_became_a_file(tmp_path):
    """A file where the destination's directory was: no version of a rival's, so the finished content is kept beside it."""
    with pytest.raises(FileNotFoundError, match="cannot be made again") as caught:
        with atomik.file(tmp_path / "p" / "a", parents=True) as file:
            file.write("new")
            (tmp_path / "p").rmdir()
            (tmp_path / "p").write_text("file")
    [kept] = tmp_path.glob("atomik-kept-*")
    assert str(kept) in str(caught.value)
    assert kept.read_text() == "new"
