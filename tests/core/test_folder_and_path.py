"""What `atomik.folder` and `atomik.path` yield, and what of it is published."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import atomik


def test_folder_yields_an_empty_folder(tmp_path):
    """`folder` yields the path of an empty folder on the destination's filesystem, which nobody else can read."""
    with atomik.folder(tmp_path / "a") as d:
        assert isinstance(d, Path)
        assert d.is_absolute()
        assert os.listdir(d) == []
        assert d.parent == tmp_path
        assert stat.S_IMODE(d.stat().st_mode) == 0o700

    assert os.listdir(tmp_path / "a") == []


def test_path_yields_the_name_of_the_destination(tmp_path):
    """`path` yields a path at which nothing exists, whose last component is exactly the destination's name."""
    with atomik.path(tmp_path / "table.tar.gz") as p:
        assert isinstance(p, Path)
        assert p.is_absolute()
        assert p.name == "table.tar.gz"
        assert not p.exists()
        assert os.listdir(p.parent) == []
        assert stat.S_IMODE(p.parent.stat().st_mode) == 0o700
        p.write_text("all")

    assert os.listdir(tmp_path) == ["table.tar.gz"]


def test_path_keeps_the_name_of_a_link(tmp_path):
    """Through a symbolic link, too, the staged path has the name that was asked for, and what it points to is replaced."""
    (tmp_path / "target.bin").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.bin")

    with atomik.path(tmp_path / "link.csv", overwrite=True) as p:
        assert p.name == "link.csv"
        p.write_text("new")

    assert (tmp_path / "target.bin").read_text() == "new"
    assert (tmp_path / "link.csv").is_symlink()


def test_everything_in_a_folder(tmp_path):
    """A folder is published with all that was made in it: folders, links, FIFOs, hard links, modes, odd names."""
    with atomik.folder(tmp_path / "a") as d:
        (d / "sub" / "sub").mkdir(parents=True)
        (d / "sub" / "file").write_text("1")
        (d / "sub" / "file").chmod(0o400)
        (d / "other").hardlink_to(d / "sub" / "file")
        (d / "link").symlink_to("nowhere")
        os.mkfifo(d / "pipe")
        (d / os.fsdecode(b"\xff")).mkdir(mode=0o500)
    a = tmp_path / "a"

    assert {os.fsencode(name) for name in os.listdir(a)} == {b"sub", b"other", b"link", b"pipe", b"\xff"}
    assert (a / "sub" / "sub").is_dir()
    assert os.path.samefile(a / "other", a / "sub" / "file")
    assert stat.S_IMODE((a / "other").stat().st_mode) == 0o400
    assert os.readlink(a / "link") == "nowhere"
    assert stat.S_ISFIFO((a / "pipe").stat().st_mode)


def test_path_by_a_library(tmp_path):
    """A library that makes the file itself, and files beside it meanwhile, works."""
    with atomik.path(tmp_path / "data.sqlite") as p:
        database = sqlite3.connect(p)
        with database:
            database.execute("create table t (n)")
            database.execute("insert into t values (42)")
        database.close()

    database = sqlite3.connect(tmp_path / "data.sqlite")
    assert database.execute("select n from t").fetchall() == [(42,)]
    database.close()


def test_path_replaced_again_and_again(tmp_path):
    """What stands at the staged path at the end is what is published, however often it was made anew."""
    with atomik.path(tmp_path / "a") as p:
        p.mkdir()
        p.rmdir()
        p.write_text("one")
        (p.parent / "scratch").write_text("two")
        (p.parent / "scratch").replace(p)

    assert (tmp_path / "a").read_text() == "two"


def make_with_index(path):
    """Make a file with another one beside it, as many libraries do."""
    path.write_text("all")
    (path.parent / "a.idx").write_text("index")


@pytest.mark.leaves_litter
def test_extras_are_refused_and_kept(tmp_path):
    """By default what was made beside the staged path is an error that names it; nothing is published, everything is kept."""
    with pytest.raises(atomik.ExtrasError, match=r"a\.idx") as caught, atomik.path(tmp_path / "a") as p:
        make_with_index(p)

    (kept,) = tmp_path.iterdir()
    assert str(kept) in str(caught.value)
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"a": "all", "a.idx": "index"}
    assert atomik.clean(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_extras_are_published(tmp_path, overwrite):
    """With extras="publish" what was made beside is published beside the destination, and replaces what is there if asked to."""
    if overwrite:
        (tmp_path / "a").write_text("old")
        (tmp_path / "a.idx").write_text("old")

    with atomik.path(tmp_path / "a", overwrite=overwrite, extras="publish") as p:
        make_with_index(p)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "all", "a.idx": "index"}


@pytest.mark.leaves_litter
def test_extras_and_content_are_all_or_nothing(tmp_path):
    """If what was made beside meets a file that is not to be overwritten, nothing is published."""
    (tmp_path / "a.idx").write_text("theirs")

    with (
        pytest.raises(atomik.FileAlreadyExistsError, match=r"a\.idx"),
        atomik.path(tmp_path / "a", extras="publish") as p,
    ):
        make_with_index(p)

    assert not (tmp_path / "a").exists()
    assert (tmp_path / "a.idx").read_text() == "theirs"


def test_extras_are_dropped(tmp_path):
    """With extras="discard" what was made beside is dropped."""
    with atomik.path(tmp_path / "a", extras="discard") as p:
        make_with_index(p)

    assert os.listdir(tmp_path) == ["a"]


def test_extras_is_one_of_three_words(tmp_path):
    """Anything else is a ValueError at the call, which says what it takes."""
    with pytest.raises(ValueError, match="'refuse', 'publish', 'discard'"):
        atomik.path(tmp_path / "a", extras="keep")


def test_path_with_nothing_made(tmp_path):
    """If nothing was made at the path, the error says so, and is a FileNotFoundError of the destination."""
    with pytest.raises(atomik.NothingStagedError, match="Nothing was made") as caught, atomik.path(tmp_path / "a"):
        pass

    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.filename == str(tmp_path / "a")
    assert os.listdir(tmp_path) == []


@pytest.mark.leaves_litter
def test_path_with_a_suffix_appended(tmp_path):
    """If something was made under another name only, the error says which: a library has appended its suffix."""
    with pytest.raises(atomik.NothingStagedError, match=r"a\.npz"), atomik.path(tmp_path / "a") as p:
        (p.parent / "a.npz").write_text("all")

    (kept,) = tmp_path.iterdir()
    assert (kept / "a.npz").read_text() == "all"


def test_path_with_something_else_made(tmp_path):
    """A FIFO at the staged path is not published."""
    with (
        pytest.raises(atomik.NothingStagedError, match="no file, folder or symbolic link"),
        atomik.path(tmp_path / "a") as p,
    ):
        os.mkfifo(p)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "nowhere"])
def test_path_with_a_link_made(tmp_path, target):
    """A symbolic link at the staged path is published as it is."""
    with atomik.path(tmp_path / "a") as p:
        p.symlink_to(target)

    assert os.readlink(tmp_path / "a") == target
    assert os.listdir(tmp_path) == ["a"]


def test_path_with_a_slash_wants_a_folder(tmp_path):
    """A destination that ends with a slash is a folder: a file made there is an error, not published, and kept."""
    with pytest.raises(NotADirectoryError, match=r"slash.*everything is kept in"), atomik.path(f"{tmp_path}/a/") as p:
        p.write_text("all")

    (kept,) = os.listdir(tmp_path)
    assert (tmp_path / kept / "a").read_text() == "all"
    atomik.remove(tmp_path / kept)


def test_staged_folder_removed(tmp_path):
    """If the block removes the staged folder, nothing is published, and the error says so."""
    publication = atomik.folder(tmp_path / "a")
    with pytest.raises(atomik.NothingStagedError), publication as d:
        d.rmdir()

    assert publication.state == "discarded"
    assert os.listdir(tmp_path) == []


def test_staged_folder_taken_away(tmp_path):
    """If the block moves the staged folder elsewhere, it stays there, and nothing is published."""
    publication = atomik.folder(tmp_path / "a")
    with pytest.raises(atomik.NothingStagedError), publication as d:
        (d / "one").write_text("1")
        d.rename(tmp_path / "elsewhere")

    assert publication.state == "discarded"
    assert os.listdir(tmp_path) == ["elsewhere"]
    assert os.listdir(tmp_path / "elsewhere") == ["one"]


def test_staged_folder_replaced(tmp_path):
    """A folder that the block puts in the place of the staged one is what is published."""
    with atomik.folder(tmp_path / "a") as d:
        d.rmdir()
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "one").write_text("1")
        (tmp_path / "other").rename(d)

    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["one"]


def test_by_another_program(tmp_path):
    """Another program can fill what is staged, by its path."""
    source = "import pathlib, sys; pathlib.Path(sys.argv[1], 'one').write_text('1')"
    with atomik.folder(tmp_path / "a") as d:
        subprocess.run([sys.executable, "-I", "-S", "-c", source, d], check=True)

    assert (tmp_path / "a" / "one").read_text() == "1"


def test_filled_with_a_working_directory(tmp_path, monkeypatch):
    """A relative destination is that of the start, wherever the block goes; the staged path leads there, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with atomik.folder("a") as d, atomik.path("b") as p, atomik.file("c") as f:
        os.chdir("elsewhere")
        (d / "one").write_text("1")
        p.write_text("2")
        f.write("3")

    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "elsewhere"]
    assert (tmp_path / "a" / "one").read_text() == "1"


def test_deep(tmp_path):
    """A tree deeper than a path can name, or than there are descriptors, is published and replaced."""

    def fill(top):
        here = os.open(top, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("deeper", dir_fd=here)
            below = os.open("deeper", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)

    for _ in range(2):
        with atomik.folder(tmp_path / "a", overwrite=True, sync="off") as d:
            fill(d)
    assert os.listdir(tmp_path) == ["a"]
    atomik.remove(tmp_path / "a", sync="off")

    assert os.listdir(tmp_path) == []


def test_unreadable_content(tmp_path):
    """A file that its maker left without any right is published as it is."""
    with atomik.path(tmp_path / "a") as p:
        p.write_text("all")
        p.chmod(0)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0
