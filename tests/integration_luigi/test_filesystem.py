"""`AtomicLocalFileSystem`: copy, move, remove and mkdir, each in one instant."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import luigi
import pytest
from luigi.target import FileAlreadyExists, MissingParentDirectory, NotADirectory

from luigi_atomik import AtomicLocalFileSystem, AtomicLocalTarget, CopyDestinationExists, TargetExists
from support.rivals import rivals
from support.state import ABSENT, state
from support.watch import tree
from support.watcher import Watcher


@pytest.fixture
def fs() -> AtomicLocalFileSystem:
    """The filesystem that every target has."""
    return AtomicLocalTarget.fs


def make_tree(path: Path, files: int = 3) -> Path:
    """A folder with a folder in it, and some files."""
    (path / "inner").mkdir(parents=True)
    for number in range(files):
        (path / f"inner/{number}").write_text(f"{number}\n" * 1000)
    return path


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("make", [make_tree, lambda path: (path.write_text("x"), path)[1]], ids=["tree", "file"])
def test_files_and_trees_are_copied_and_moved_to_where_nothing_is(fs, tmp_path, operation, make):
    """Both take both, and make the parents that are missing; LocalTarget's raise IsADirectoryError for a folder."""
    source, target = make(tmp_path / "source"), tmp_path / "a/b/target"
    before = tree(source)
    getattr(fs, operation)(str(source), str(target))

    assert before == tree(target)
    assert (operation == "copy") == source.exists()


@pytest.mark.parametrize("operation", ["copy", "move"])
def test_a_folder_takes_the_place_of_a_folder(fs, tmp_path, operation):
    """A folder that exists is replaced as a whole."""
    source, target = make_tree(tmp_path / "source"), make_tree(tmp_path / "target", files=5)
    before = tree(source)
    getattr(fs, operation)(str(source), str(target))

    assert before == tree(target)


@pytest.mark.parametrize("operation", ["copy", "move"])
def test_a_file_and_a_folder_do_not_take_each_others_place(fs, tmp_path, operation):
    """A folder is never lost to a file; moved onto one, a file is refused."""
    folder, file = make_tree(tmp_path / "folder"), tmp_path / "file"
    file.write_text("x")
    with pytest.raises(NotADirectoryError):
        getattr(fs, operation)(str(folder), str(file))
    before = tree(folder)
    with pytest.raises(IsADirectoryError):
        fs.move(str(file), str(folder))

    assert (before, "x") == (tree(folder), file.read_text())


def test_a_file_copied_to_a_folder_lands_in_it(fs, tmp_path):
    """As shutil.copy, and so LocalFileSystem, has it."""
    folder, file = make_tree(tmp_path / "folder"), tmp_path / "file"
    file.write_text("x")
    fs.copy(str(file), str(folder))

    assert "x" == (folder / "file").read_text()


def test_copy_says_that_something_exists_in_every_known_way(fs, tmp_path):
    """RuntimeError is what LocalFileSystem raises; FileAlreadyExists and FileExistsError is what it means."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")
    with pytest.raises(CopyDestinationExists) as caught:
        fs.copy(str(source), str(target), raise_if_exists=True)

    for kind in (RuntimeError, FileAlreadyExists, FileExistsError, TargetExists):
        assert isinstance(caught.value, kind)
    assert ("old", str(target)) == (target.read_text(), caught.value.filename)


def test_move_says_first_that_the_destination_exists(fs, tmp_path):
    """An existing destination wins over a missing source, as Luigi has it."""
    (tmp_path / "target").touch()
    with pytest.raises(TargetExists):
        fs.move(str(tmp_path / "missing"), str(tmp_path / "target"), raise_if_exists=True)
    with pytest.raises(TargetExists):
        fs.rename_dont_move(str(tmp_path / "missing"), str(tmp_path / "target"))
    with pytest.raises(FileNotFoundError):
        fs.move(str(tmp_path / "missing"), str(tmp_path / "target"))


@pytest.mark.system
@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(
            'fs.copy(f"{base}/source", f"{base}/{number}", raise_if_exists=True)', "CopyDestinationExists", id="copy"
        ),
        pytest.param(
            'os.mkdir(f"{base}/{os.getpid()}-{number}");'
            'fs.move(f"{base}/{os.getpid()}-{number}", f"{base}/{number}", raise_if_exists=True)',
            "TargetExists",
            id="move",
        ),
        pytest.param('fs.mkdir(f"{base}/{number}", raise_if_exists=True)', "TargetExists", id="mkdir"),
    ],
)
def test_exactly_one_of_all_rivals_wins(tmp_path, call, answer):
    """Of four processes that want to make the same thing in the same instant, one does; LocalTarget has several winners."""
    (tmp_path / "source").write_text("x" * 100_000)
    source = f"""
import os, sys
from luigi_atomik import AtomicLocalTarget
fs, base = AtomicLocalTarget.fs, sys.argv[1]
def attempt(number):
    {call}
    return "made"
"""
    for answers in rivals(4, source, tmp_path, rounds=25):
        assert sorted([answer] * 3 + ["made"]) == sorted(answers)


@pytest.mark.system
def test_nobody_sees_half_of_a_copy(fs, tmp_path):
    """A reader that looks all the time sees the file of before and the new one, nothing between."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(8 << 20))
    with Watcher(target) as watcher:
        fs.copy(str(source), str(target))
        first = state(target)
        source.write_bytes(os.urandom(8 << 20))
        fs.copy(str(source), str(target))

    assert {ABSENT, first, state(target)} >= watcher.states


@pytest.mark.system
def test_nobody_sees_half_of_a_folder_that_is_removed(fs, tmp_path):
    """A folder is there with all its files, or not at all."""
    folder = make_tree(tmp_path / "folder", files=300)
    whole = state(folder)
    with Watcher(folder) as watcher:
        AtomicLocalTarget(folder).remove()

    assert watcher.states <= {whole, ABSENT}
    assert not folder.exists()


@pytest.mark.system
@pytest.mark.parametrize(
    "make", [make_tree, lambda path: (path.write_text("x" * 10_000), path)[1]], ids=["tree", "file"]
)
def test_moves_across_filesystems_are_whole_at_each_end(mounts, make):
    """Where rename says EXDEV, the content is copied, appears at once, and only then goes; trees, too."""
    source, target = make(mounts("ext4") / "source"), mounts("tmpfs") / "target"
    before, whole = tree(source), state(source)
    with Watcher(target) as watcher:
        AtomicLocalTarget(source).move(str(target))

    assert watcher.states <= {whole, ABSENT}
    assert before == tree(target)
    assert not source.exists()


@pytest.mark.system
def test_a_move_across_filesystems_that_finds_no_space_loses_nothing(mounts):
    """If the copy cannot be completed, the source is where it was and the destination empty."""
    source, place = mounts("ext4") / "source", mounts.small(mebibytes=1)
    source.write_bytes(bytes(4 << 20))
    with pytest.raises(OSError, match="No space left"):
        AtomicLocalTarget(source).move(str(place / "target"))

    assert (4 << 20, []) == (source.stat().st_size, os.listdir(place))


def test_remove_without_recursive_refuses_a_folder(fs, tmp_path):
    """As os.remove has it; a link to a folder is removed itself."""
    folder, link = make_tree(tmp_path / "folder"), tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(IsADirectoryError):
        fs.remove(str(folder), recursive=False)
    fs.remove(str(link), recursive=False)

    assert (["folder"], True) == (os.listdir(tmp_path), folder.is_dir())


def test_remove_of_nothing_is_an_error(fs, tmp_path):
    """What is not there cannot be removed."""
    with pytest.raises(FileNotFoundError):
        fs.remove(str(tmp_path / "missing"))


def test_mkdir_speaks_luigis_language_and_everybodys(fs, tmp_path):
    """Its errors are Luigi's and the built-in ones at once."""
    (tmp_path / "file").touch()
    for kind, built_in, path, options in (
        (FileAlreadyExists, FileExistsError, "file", {"raise_if_exists": True}),
        (NotADirectory, NotADirectoryError, "file", {}),
        (MissingParentDirectory, FileNotFoundError, "a/b", {"parents": False}),
    ):
        with pytest.raises(kind) as caught:
            fs.mkdir(str(tmp_path / path), **options)
        assert isinstance(caught.value, built_in)
        assert str(tmp_path / path) == caught.value.filename
    fs.mkdir(str(tmp_path / "a/b/"))
    fs.mkdir(str(tmp_path / "a/b/"))

    assert (tmp_path / "a/b").is_dir()


def test_mkdir_without_parents_takes_a_relative_name(fs, tmp_path, monkeypatch):
    """The parent of a plain name is the current directory, which exists; LocalFileSystem says that it is missing."""
    monkeypatch.chdir(tmp_path)
    fs.mkdir("plain", parents=False)

    assert (tmp_path / "plain").is_dir()


def test_listdir_leaves_out_what_is_being_staged(fs, tmp_path):
    """Files that are on their way to a target in the folder are not in its listing."""
    make_tree(tmp_path / "data")
    with AtomicLocalTarget(tmp_path / "data/new").folder() as staged:
        (staged / "half").touch()
        listed = list(fs.listdir(str(tmp_path / "data")))

    assert sorted(str(tmp_path / f"data/inner/{number}") for number in range(3)) == sorted(listed)


def test_targets_use_it(tmp_path):
    """`copy`, `move`, `move_dir` and `remove` of a target are the filesystem's."""
    target = AtomicLocalTarget(make_tree(tmp_path / "first"))
    target.copy(str(tmp_path / "second"))
    target.move_dir(str(tmp_path / "third"))
    AtomicLocalTarget(tmp_path / "second").remove()

    assert ["third"] == os.listdir(tmp_path)
    with pytest.raises(TargetExists):
        AtomicLocalTarget(make_tree(tmp_path / "fourth")).move(str(tmp_path / "third"), raise_if_exists=True)


def test_luigi_has_no_other_method_that_changes_files():
    """What LocalFileSystem has and ours does not is reading, and what is made of the others."""
    theirs = {name for name, _ in inspect.getmembers(luigi.local_target.LocalFileSystem, inspect.isfunction)}
    inherited = {name for name in theirs if name not in vars(AtomicLocalFileSystem) and not name.startswith("_")}

    assert {"exists", "isdir", "rename", "rename_dont_move"} == inherited
