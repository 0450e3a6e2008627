"""`atomik rename`, `exchange`, `remove` and `link`: names that change in one instant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command.cli import atomik, complaint, start
from support.watch import tree


@pytest.fixture
def source(here):
    """A tree with a file, a link and a folder below."""
    Path("source/below").mkdir(parents=True)
    Path("source/file").write_text("file")
    Path("source/below/link").symlink_to("../file")
    return Path("source")


def test_exchange_and_back(source):
    """Two names, of whatever kind, change places; once more is the way back."""
    Path("file").write_text("text")
    before = tree(source)

    assert atomik("exchange", "source", "file").returncode == 0
    assert Path("source").read_text() == "text"
    assert tree(Path("file")) == before
    assert atomik("exchange", "source", "file", "--sync=off").returncode == 0
    assert tree(source) == before


@pytest.mark.parametrize("arguments", [("source", "nowhere"), ("nowhere", "source")])
def test_exchange_with_nothing(source, arguments):
    """The one that is missing is named, and nothing moves."""
    done = atomik("exchange", *arguments)

    assert done.returncode == 1
    assert "nowhere: No such file or directory" in complaint(done)
    assert os.listdir() == ["source"]


def test_exchange_where_there_is_none(mounts):
    """The line names the filesystem and what it lacks."""
    there = mounts("bindfs")
    for name in ("a", "b"):
        (there / name).write_text(name)
    done = atomik("exchange", there / "a", there / "b")

    assert done.returncode == 1
    assert "RENAME_EXCHANGE" in complaint(done)
    assert "fuse" in complaint(done)
    assert [(there / name).read_text() for name in ("a", "b")] == ["a", "b"]


def test_rename(source):
    """A tree has its new name, whole, and the old name is free."""
    before = tree(source)
    done = atomik("rename", source, "dest")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir() == ["dest"]
    assert tree(Path("dest")) == before


def test_rename_to_what_is_there(source):
    """It is refused, with the option to pass; with it a folder replaces one that is not empty."""
    before = tree(source)
    Path("dest").mkdir()
    Path("dest/old").write_text("old")
    refused = atomik("rename", source, "dest")

    assert refused.returncode == 1
    assert complaint(refused).startswith("dest: ")
    assert "--overwrite" in complaint(refused)
    assert tree(Path("dest")).keys() == {".", "old"}
    assert atomik("rename", "--overwrite", source, "dest").returncode == 0
    assert tree(Path("dest")) == before
    assert os.listdir() == ["dest"]


def test_rename_of_nothing(here):
    """The line names what is missing."""
    done = atomik("rename", "nowhere", "dest")

    assert done.returncode == 1
    assert complaint(done) == "dest: nowhere: No such file or directory; check the spelling"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_rivals_that_rename(here, kind):
    """Of several to one name exactly one succeeds, and the others keep what they have."""
    names = [f"rival-{number}" for number in range(6)]
    for name in names:
        if kind == "file":
            Path(name).write_text(name)
        else:
            Path(name, name).mkdir(parents=True)
    processes = [start("rename", name, "dest") for name in names]
    for process in processes:
        process.communicate(timeout=60)

    (winner,) = [name for name, process in zip(names, processes, strict=True) if process.returncode == 0]
    assert sorted(os.listdir()) == sorted({*names, "dest"} - {winner})
    assert (Path("dest").read_text() if kind == "file" else os.listdir("dest")[0]) == winner


def test_remove(source):
    """Trees, files and links, each itself: what a link points to stays."""
    Path("target").write_text("target")
    Path("link").symlink_to("target")
    done = atomik("remove", "--sync=off", "source/", "link")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir() == ["target"]


def test_remove_goes_on_after_an_error(source):
    """One line names what could not be removed, and why; the rest is gone."""
    done = atomik("remove", "nowhere", source, "missing/file")

    assert done.returncode == 1
    line = complaint(done)
    assert line.startswith("nowhere: No such file or directory")
    assert "; missing/file: " in line
    assert "source" not in line
    assert not os.listdir()


def test_link(here):
    """It says what it was told to, in a directory that is made if that is asked for."""
    done = atomik("link", "--parents", "../nowhere yet", "sub/link")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.readlink("sub/link") == "../nowhere yet"


def test_link_over_what_is_there(here):
    """It is refused, with the option to pass; with it the link itself is replaced, a folder never."""
    Path("releases/1").mkdir(parents=True)
    Path("current").symlink_to("releases/1")
    refused = atomik("link", "releases/2", "current")
    replaced = atomik("link", "--overwrite", "releases/2", "current")
    over_folder = atomik("link", "--overwrite", "releases/2", "releases")

    assert refused.returncode == 1
    assert complaint(refused).startswith("current: ")
    assert "--overwrite" in complaint(refused)
    assert replaced.returncode == 0, replaced.stderr
    assert os.readlink("current") == "releases/2"
    assert over_folder.returncode == 1
    assert complaint(over_folder).startswith("releases: ")
    assert sorted(os.listdir()) == ["current", "releases"]
    assert os.listdir("releases") == ["1"]


def test_a_link_is_never_missing(here):
    """Whoever looks while it is replaced finds the old link or the new one."""
    Path("current").symlink_to("0")
    for number in range(1, 6):
        with start("link", "--overwrite", "--sync=off", str(number), "current") as process:
            while process.poll() is None:
                assert os.readlink("current") in {str(number - 1), str(number)}
        assert process.returncode == 0

    assert os.readlink("current") == "5"
