"""Parents that a neighbour takes back: whoever asked for parents goes on, whoever did not finds finished work where the error says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import atomik
import atomik_core.testing
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER
from support.processes import Program

NEIGHBOUR = """
import os, sys
import atomik

kind, fails, place, mine = sys.argv[1:]
print("ready", flush=True)
for number in range(250):
    try:
        with getattr(atomik, kind)(f"{place}/p/q/{mine}", parents=True, sync="off") as handle:
            if fails == "yes":
                raise KeyError
            if kind == "file":
                handle.write("x")
            else:
                (handle / "x" if kind == "folder" else handle).write_text("x")
    except KeyError:
        continue
    atomik.remove(f"{place}/p/q/{mine}", sync="off")
    for parent in ("p/q", "p"):
        try:
            os.rmdir(f"{place}/{parent}")
        except OSError:
            pass
"""


@pytest.mark.system
@pytest.mark.parametrize("where", ["ext4", "tmpfs", "btrfs"])
def test_neighbours_that_take_parents_back(mounts, where):
    """Four processes make and take back the same parents: none fails, whatever it publishes, and nothing is left."""
    folder = mounts(where)
    programs = [
        Program(NEIGHBOUR, kind, fails, str(folder), str(number))
        for number, (kind, fails) in enumerate([("file", "no"), ("file", "yes"), ("folder", "no"), ("path", "no")])
    ]
    finished = []
    for program in programs:
        with program:
            finished.append(program.finish())

    assert [(each.code, each.err) for each in finished] == [(0, "")] * 4
    assert os.listdir(folder) == []


def taking_back(step: str, parent: Path, times: int):
    """Take the parents back at each of the first TIMES steps called STEP."""
    left = [times]

    def watcher(_, reached):
        if reached == step and left[0]:
            left[0] -= 1
            for each in (parent, parent.parent):
                os.rmdir(each)

    return atomik_core.testing.watching(watcher)


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize(
    ("shape", "tmp_dir"),
    # What is staged beside its destination by a name keeps its parents itself.
    [(FILE, False), (FILE, True), (FOLDER, True), (PATH_TO_FILE, True), (PATH_TO_FOLDER, True)],
    ids=["file", "file-tmp_dir", "folder-tmp_dir", "path-file-tmp_dir", "path-folder-tmp_dir"],
)
def test_taken_back_during_the_block(tmp_path, shape, overwrite, tmp_dir):
    """Parents that were taken back during the block are made again, for what does not keep them itself."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    destination = tmp_path / "p" / "q" / "a"

    with shape.call(destination, parents=True, overwrite=overwrite, tmp_dir=elsewhere if tmp_dir else None) as handle:
        shape.fill(handle, "new")
        shutil.rmtree(tmp_path / "p")

    assert shape.read(destination) == "new"
    assert os.listdir(elsewhere) == []


@pytest.mark.system
def test_taken_back_with_a_tmp_dir_on_another_filesystem(mounts, shape):
    """The same where the finished content is copied to its destination."""
    folder, elsewhere = mounts("ext4"), mounts("tmpfs")
    destination = folder / "p" / "q" / "a"

    with shape.call(destination, parents=True, tmp_dir=elsewhere) as handle:
        shape.fill(handle, "new")
        shutil.rmtree(folder / "p")

    assert shape.read(destination) == "new"
    assert os.listdir(elsewhere) == []


def test_taken_back_at_the_last_moment(tmp_path):
    """Parents that are taken back when everything is synced are made again, and durable with the name in them."""
    with taking_back("synced", tmp_path / "p" / "q", 1):
        with atomik.file(tmp_path / "p" / "q" / "a", parents=True) as f:
            f.write("new")

    assert (tmp_path / "p" / "q" / "a").read_text() == "new"


@pytest.mark.parametrize("together", [False, True], ids=["alone", "group"])
def test_taken_back_between_making_and_staging(tmp_path, monkeypatch, together):
    """Parents that are taken back after they were found, and before anything is staged in them, are made again."""
    from atomik_core._publish.destination import Destination

    (tmp_path / "p" / "q").mkdir(parents=True)
    look, left = Destination.stat, [3]

    def stat(self):
        if left[0]:
            left[0] -= 1
            shutil.rmtree(tmp_path / "p")
        return look(self)

    monkeypatch.setattr(Destination, "stat", stat)
    if together:
        with atomik.group() as group, group.file(tmp_path / "p" / "q" / "a", parents=True) as f:
            f.write("new")
    else:
        with atomik.file(tmp_path / "p" / "q" / "a", parents=True) as f:
            f.write("new")

    assert (
        left[0] < 3
    )  # on tmpfs a file is staged in a directory that was removed, and published where it was made again
    assert (tmp_path / "p" / "q" / "a").read_text() == "new"


@pytest.mark.leaves_litter
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_directory_of_somebody_else_taken_back(tmp_path, overwrite):
    """Without `parents` the directory is not made again: the finished file is kept in the nearest one, as the error says."""
    neighbour = atomik.file(tmp_path / "p" / "q" / "a", parents=True)
    neighbour.open()

    with pytest.raises(FileNotFoundError, match="atomik-kept-") as caught:
        with atomik.file(tmp_path / "p" / "q" / "b", overwrite=overwrite) as f:
            f.write("hours of work")
            neighbour.discard()

    kept = Path(str(caught.value).partition("kept as '")[2].partition("'")[0])
    assert kept.parent == tmp_path
    assert kept.read_text() == "hours of work"
    assert os.listdir(tmp_path) == [kept.name]


@pytest.mark.leaves_litter
@pytest.mark.parametrize(
    "shape", [FILE, PATH_TO_FILE, PATH_TO_FOLDER, FOLDER], ids=["file", "path-file", "path-folder", "folder"]
)
def test_directory_removed_with_a_tmp_dir(tmp_path, shape):
    """What was staged elsewhere is kept there, if the destination's directory is gone."""
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()

    with pytest.raises(FileNotFoundError, match="atomik-kept-") as caught:
        with shape.call(tmp_path / "out" / "a", tmp_dir=tmp_path / "tmp") as handle:
            shape.fill(handle, "hours of work")
            os.rmdir(tmp_path / "out")

    kept = Path(str(caught.value).partition("kept as '")[2].partition("'")[0])
    assert shape.read(kept) == "hours of work"


def test_directory_beyond_a_link_removed(tmp_path, monkeypatch):
    """A directory that a followed link led to is not made again, least of all somewhere else; the work is kept."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "cwd" / "in").mkdir(parents=True)
    (tmp_path / "here" / "a").symlink_to("../there/b")
    monkeypatch.chdir(tmp_path / "cwd" / "in")

    with pytest.raises(OSError, match="atomik-kept-"):
        with atomik.file(tmp_path / "here" / "a", overwrite=True, parents=True) as f:
            f.write("hours of work")
            os.rmdir(tmp_path / "there")

    kept = [path for path in tmp_path.rglob("*") if path.name.startswith("atomik-kept-")]
    assert [path.read_text() for path in kept] == ["hours of work"]
    assert kept[0].parent == tmp_path
    assert os.listdir(tmp_path / "cwd" / "in") == []
    kept[0].unlink()


def test_parent_that_a_rival_makes(tmp_path, monkeypatch):
    """A parent that a rival makes in the instant in which we are about to is the rival's: it stays when we discard."""
    real = os.mkdir

    def mkdir_after_a_rival(path, *arguments, **options):
        if path == "p":
            real(path, *arguments, **options)
        real(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", mkdir_after_a_rival)
    with pytest.raises(ZeroDivisionError), atomik.file(tmp_path / "p" / "q" / "a", parents=True):
        monkeypatch.undo()
        raise ZeroDivisionError

    assert [path.name for path in tmp_path.rglob("*")] == ["p"]
