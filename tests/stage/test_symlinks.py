"""Symbolic links as what is published: alone, in groups and stages, in place of others, and what they say there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import atomik
from support.filesystems import KINDS
from support.processes import Program
from support.rivals import rivals
from support.watch import litter


def test_a_new_link(tmp_path):
    """It says what it was told to say, whether that exists or not; nothing else is left."""
    atomik.symlink("releases/7", tmp_path / "current")
    atomik.symlink(b"/nowhere", os.fsencode(tmp_path / "dangling"))
    atomik.symlink(Path("x"), tmp_path / "made" / "deep", parents=True)

    assert os.readlink(tmp_path / "current") == "releases/7"
    assert os.readlink(tmp_path / "dangling") == "/nowhere"
    assert os.readlink(tmp_path / "made" / "deep") == "x"
    assert sorted(os.listdir(tmp_path)) == ["current", "dangling", "made"]


def _link(path: Path) -> None:
    path.symlink_to("6")


def _link_to_a_folder(path: Path) -> None:
    (path.parent / "6").mkdir()
    path.symlink_to("6")


@pytest.mark.parametrize("old", [Path.touch, _link, _link_to_a_folder], ids=["file", "dangling", "folder"])
def test_in_place_of(tmp_path, old):
    """It replaces a file and any link, the link itself and never what that leads to; but not unasked."""
    path = tmp_path / "current"
    old(path)
    there = path.lstat()
    with pytest.raises(atomik.FileAlreadyExistsError):
        atomik.symlink("7", path)
    assert path.lstat() == there

    atomik.symlink("7", path, overwrite=True)

    assert os.readlink(path) == "7"
    assert not (tmp_path / "6").exists() or os.listdir(tmp_path / "6") == []
    assert litter(tmp_path) == []


def test_what_is_refused(tmp_path):
    """A folder in the way, a slash, an empty target, no parent, a target that is too long: each before anything is made."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "p")
    with pytest.raises(IsADirectoryError):
        atomik.symlink("7", tmp_path / "folder", overwrite=True)
    with pytest.raises(IsADirectoryError):
        atomik.symlink("7", f"{tmp_path}/x/")
    with pytest.raises(ValueError, match="target is empty"):
        atomik.symlink("", tmp_path / "x")
    with pytest.raises(ValueError, match="target is empty"), atomik.group() as group:
        group.symlink("", tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="parents"):
        atomik.symlink("7", tmp_path / "no" / "x")
    with pytest.raises(atomik.FileAlreadyExistsError):
        atomik.symlink("7", tmp_path / "pipe" / "p", overwrite=True)
    with pytest.raises(OSError, match="long"):
        atomik.symlink("7" * 5000, tmp_path / "x")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


@pytest.mark.system
def test_readers_never_see_no_link(tmp_path):
    """While one process replaces the link without end, another one reads it without end, and always finds one."""
    for number in ("0", "1"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "version").write_text(number)
    atomik.symlink("0", tmp_path / "current")
    source = """
import itertools, atomik
print("go", flush=True)
for number in itertools.count():
    atomik.symlink(str(number % 2), "current", overwrite=True, sync="off")
"""
    with Program(source, cwd=tmp_path) as writer:
        writer.line()
        seen = {(tmp_path / "current" / "version").read_text() for _ in range(20_000)}
        writer.kill()

    assert seen == {"0", "1"}
    atomik.clean(tmp_path)


@pytest.mark.system
def test_of_rivals_exactly_one_wins(tmp_path):
    """Several processes make one new link in the same instant: one of them has, and the others are told so."""
    source = """
import os, atomik
def attempt(number):
    atomik.symlink(str(os.getpid()), f"link-{number}", sync="off")
    return str(os.getpid())
"""
    for number, answers in enumerate(rivals(3, source, rounds=100, cwd=tmp_path)):
        [winner] = [answer for answer in answers if answer != "FileAlreadyExistsError"]
        assert os.readlink(tmp_path / f"link-{number}") == winner
    assert litter(tmp_path) == []


def test_threads(tmp_path):
    """Threads that replace one link in turns: it is always there, and is one of theirs in the end."""
    atomik.symlink("start", tmp_path / "current")

    def replace(name: str) -> None:
        for _ in range(50):
            atomik.symlink(name, tmp_path / "current", overwrite=True, sync="off")

    threads = [threading.Thread(target=replace, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        os.readlink(tmp_path / "current")
    for thread in threads:
        thread.join()

    assert os.readlink(tmp_path / "current") in "abc"
    assert litter(tmp_path) == []


def test_in_a_group(tmp_path):
    """The link and what it leads to, together; taken back together, too."""
    atomik.symlink("releases/6", tmp_path / "current")
    with atomik.group() as group:
        with group.folder(tmp_path / "7") as release:
            (release / "x").write_text("7")
        group.symlink("7", tmp_path / "current", overwrite=True)
        assert os.readlink(tmp_path / "current") == "releases/6"
    assert (tmp_path / "current" / "x").read_text() == "7"

    with pytest.raises(ZeroDivisionError), atomik.group() as group:
        group.symlink("8", tmp_path / "current", overwrite=True)
        group.symlink("8", tmp_path / "new")
        raise ZeroDivisionError
    assert os.readlink(tmp_path / "current") == "7"

    from atomik_core import testing

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced" and publication.destination.name == "last":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), testing.watching(watch), atomik.group() as group:
        group.symlink("8", tmp_path / "current", overwrite=True)
        group.symlink("8", tmp_path / "last")
    assert os.readlink(tmp_path / "current") == "7"
    assert sorted(os.listdir(tmp_path)) == ["7", "current"]


def test_made_at_a_path(tmp_path):
    """`path` publishes a link that was made there, in place of a link, and never of what that leads to."""
    (tmp_path / "6").write_text("6")
    (tmp_path / "current").symlink_to("6")
    with atomik.path(tmp_path / "current", overwrite=True) as path:
        path.symlink_to("7")
        assert os.readlink(tmp_path / "current") == "6"

    assert os.readlink(tmp_path / "current") == "7"
    assert (tmp_path / "6").read_text() == "6"


def _publish(call: str, destination: Path, target: str) -> str:
    if call == "stage":
        with atomik.stage([destination]) as out:
            out[0].symlink_to(target.replace("STAGED", str(out[0].parent)))
            (out[0].parent / "neighbour").touch()
    else:
        with atomik.path(destination, extras="publish") as path:
            path.symlink_to(target.replace("STAGED", str(path.parent)))
            (path.parent / "neighbour").touch()
    return os.readlink(destination)


@pytest.mark.parametrize("call", ["stage", "path"])
def test_what_a_link_says(tmp_path, call):
    """As from its destination, if it leads somewhere from there; else as it led where it was made."""
    (tmp_path / "data").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "beside").touch()
    there = tmp_path / "out" / "x"

    said = {}
    for target in (
        "beside",  # from the destination
        "../data",  # from the destination
        "../beside",  # from where it was made only
        "neighbour",  # to what is published with it
        "STAGED/neighbour",
        "nowhere",
        "/nowhere",
        "../beside/../nowhere",
    ):
        said[target] = _publish(call, there, target)
        there.unlink()
        (tmp_path / "out" / "neighbour").unlink()
    assert said == {
        "beside": "beside",
        "../data": "../data",
        "../beside": "beside",
        "neighbour": "neighbour",
        "STAGED/neighbour": str(tmp_path / "out" / "neighbour"),
        "nowhere": "nowhere",
        "/nowhere": "/nowhere",
        "../beside/../nowhere": "../beside/../nowhere",
    }


def test_a_link_that_leads_somewhere_from_both(tmp_path):
    """What it says counts as from its destination, where it leads somewhere from there and from where it was made."""
    (tmp_path / "data").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data").touch()

    assert _publish("stage", tmp_path / "out" / "x", "../data") == "../data"


def test_links_in_a_folder(tmp_path):
    """Links in a folder that was made lead where they led, at any depth; those that lead nowhere say what they said."""
    (tmp_path / "data").touch()
    with atomik.stage([f"{tmp_path}/d/", tmp_path / "d" / "inner"]) as out:
        (out[0] / "deep").mkdir()
        (out[0] / "deep" / "x").touch()
        (out[0] / "deep" / "absolute").symlink_to(out[0] / "deep" / "x")
        (out[0] / "deep" / "up").symlink_to("../deep/x")
        (out[0] / "deep" / "counted").symlink_to(os.path.relpath(tmp_path / "data", out[0] / "deep"))
        (out[0] / "deep" / "nowhere").symlink_to("../../../../nowhere")
        os.mkfifo(out[0] / "deep" / "pipe")
        out[1].symlink_to(out[0] / "deep")

    deep = tmp_path / "d" / "deep"
    assert os.readlink(deep / "absolute") == str(deep / "x")
    assert os.readlink(deep / "up") == "../deep/x"
    assert os.readlink(deep / "counted") == "../../data"
    assert os.readlink(deep / "nowhere") == "../../../../nowhere"
    assert os.readlink(tmp_path / "d" / "inner") == str(deep)


def test_links_of_a_folder_that_is_merged(tmp_path):
    """Links among the extras of a folder that is there already lead where they led, too."""
    (tmp_path / "x_files").mkdir()
    with atomik.stage([tmp_path / "x"]) as out:
        out[0].touch()
        (out[0].parent / "x_files").mkdir()
        (out[0].parent / "x_files" / "up").symlink_to("../x")
        (out[0].parent / "x_files" / "absolute").symlink_to(out[0])

    assert os.readlink(tmp_path / "x_files" / "up") == "../x"
    assert os.readlink(tmp_path / "x_files" / "absolute") == str(tmp_path / "x")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_and_the_kind_of_what_stands_there(tmp_path, kind):
    """A link replaces a file; a folder is not replaced by it, and the work is kept."""
    (tmp_path / "x").touch() if kind == "file" else (tmp_path / "x").mkdir()
    if kind == "file":
        with atomik.stage([tmp_path / "x"]) as out:
            out[0].symlink_to("y")
        assert os.readlink(tmp_path / "x") == "y"
        return
    with pytest.raises(IsADirectoryError, match="kept"), atomik.stage([tmp_path / "x"]) as out:
        out[0].symlink_to("y")
    [kept] = litter(tmp_path)
    assert os.readlink(kept / "x") == "y"
    atomik.remove(kept)


@pytest.mark.system
@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].posix and "-" not in kind])
def test_everywhere(mounts, kind):
    """New, and in place of another one, alone and in a stage, on each filesystem that has links."""
    folder = mounts(kind)
    atomik.symlink("1", folder / "x")
    atomik.symlink("2", folder / "x", overwrite=True)
    assert os.readlink(folder / "x") == "2"
    with atomik.stage([folder / "x", folder / "y"]) as out:
        for key in out:
            out[key].symlink_to("3")
    assert os.readlink(folder / "x") == os.readlink(folder / "y") == "3"


@pytest.mark.system
def test_where_there_are_none(mounts):
    """FAT has no symbolic links: an error that names the filesystem, and nothing is left."""
    folder = mounts("exfat")
    with pytest.raises(atomik.UnsupportedFilesystemError, match="symbolic links"):
        atomik.symlink("1", folder / "x")
    assert os.listdir(folder) == []


@pytest.mark.system
@pytest.mark.parametrize("target", ["tmpfs", "ext4"])
def test_staged_elsewhere(mounts, target, tmp_path):
    """From a tmp_dir, on another filesystem, too, it comes to its destination as what it has to say there."""
    here, there = mounts("ext4"), mounts(target)
    with atomik.stage([there / "x", there / "file"], tmp_dir=here) as out:
        out[0].symlink_to(out[1])
        out[1].touch()
    assert os.readlink(there / "x") == str(there / "file")
    with atomik.path(there / "x", tmp_dir=here, overwrite=True) as path:
        path.symlink_to("file")
    assert os.readlink(there / "x") == "file"
