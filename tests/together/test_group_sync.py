"""What a group syncs, how often and when: one filesystem once, one directory once, and the old goes last."""

from __future__ import annotations

import pytest

import atomik
from support.powercut import PowerCut
from support.processes import Program
from support.watch import tree
from together.faults import Run
from together.outputs import OUTPUTS, read_all

pytestmark = pytest.mark.system

_RENAMES = ("link", "linkat", "rename", "renameat", "renameat2")
_REMOVALS = ("unlink", "unlinkat", "rmdir")

#: COUNT files to each of two directories, and some folders.
_MANY = """
import atomik
with atomik.group(sync=SYNC) as group:
    for directory in ("a", "b"):
        for number in range(COUNT):
            with group.file(f"{directory}/{number}", overwrite=OVER) as file: file.write("new")
        for number in range(FOLDERS):
            with group.folder(f"{directory}/folder-{number}", overwrite=OVER) as folder: (folder / "x").touch()
"""


def _many(count: int, folders: int, *, overwrite: bool, sync: str) -> str:
    values = {"COUNT": count, "FOLDERS": folders, "OVER": overwrite, "SYNC": sync}
    source = _MANY
    for name, value in values.items():
        source = source.replace(name, repr(value))
    return source


def _lay(folder, count, folders):
    for directory in ("a", "b"):
        (folder / directory).mkdir()
        for number in range(count):
            (folder / directory / str(number)).write_text("old")
        for number in range(folders):
            (folder / directory / f"folder-{number}").mkdir()
            (folder / directory / f"folder-{number}" / "y").touch()
    return folder


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize(("count", "folders"), [(30, 0), (3, 3), (0, 9), (6, 1)])
def test_many_members(traced, fresh, count, folders, overwrite):
    """However many they are and however they are spread: one syncfs, then the renames, then one fsync a directory."""
    folder = _lay(fresh(), count if overwrite else 0, folders if overwrite else 0)

    calls = traced.calls(_many(count, folders, overwrite=overwrite, sync="full"), folder)

    syncs = [(place, call) for place, call in enumerate(calls) if call.name in {"fsync", "fdatasync", "syncfs"}]
    assert [call.name for _, call in syncs] == ["syncfs", "fsync", "fsync"]
    assert [call.arguments.endswith(f"/{name}>") for (_, call), name in zip(syncs[1:], "ab", strict=True)] == [True] * 2
    published = [place for place, call in enumerate(calls) if call.name in _RENAMES and _is_published(call)]
    assert len(published) == 2 * (count + folders)
    assert syncs[0][0] < min(published)
    assert max(published) < syncs[1][0]
    if overwrite:
        removed = [
            place for place, call in enumerate(calls) if call.name in _REMOVALS and "/.atomik-" in call.arguments
        ]
        assert [place for place in removed if syncs[0][0] < place < syncs[2][0]] == []
        assert len([place for place in removed if place > syncs[2][0]]) >= 2 * (count + folders)


def _is_published(call) -> bool:
    """Whether a rename or link leads to a destination: the second path is no staging name."""
    return not call.arguments.split('"')[3].startswith(".atomik-")


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_a_handful(traced, fresh, overwrite):
    """A handful of members is fsynced one by one, before any of them is visible; nobody else's data is flushed."""
    folder = _lay(fresh(), 2 if overwrite else 0, 0)

    calls = traced.calls(_many(2, 0, overwrite=overwrite, sync="full"), folder)

    assert [call.name for call in calls if call.name in {"fsync", "syncfs"}] == ["fsync"] * 6
    published = [place for place, call in enumerate(calls) if call.name in _RENAMES and _is_published(call)]
    fsyncs = [place for place, call in enumerate(calls) if call.name == "fsync"]
    assert fsyncs[3] < min(published) <= max(published) < fsyncs[4]


def test_normal(traced, fresh):
    """`sync="normal"` leaves out the directories, `sync="off"` all of it."""
    for sync, expected in (("normal", ["syncfs"]), ("off", [])):
        calls = traced.calls(_many(9, 1, overwrite=True, sync=sync), _lay(fresh(), 9, 1))
        assert [call.name for call in calls if call.name in {"fsync", "syncfs"}] == expected


def test_parents_that_were_made_are_synced_once(traced, fresh):
    """Every directory in which a member or a new parent was made is synced, once."""
    source = """
import atomik
with atomik.group() as group:
    for name in ("x/y/a", "x/y/b", "x/c", "d"):
        with group.file(name, parents=True) as file: file.write("new")
"""
    folder = fresh()

    calls = traced.calls(source, folder)

    synced = [call.arguments.partition("<")[2].rstrip(">") for call in calls if call.name == "fsync"]
    directories = sorted(path for path in synced if ".atomik-" not in path)
    assert directories == [str(folder), str(folder / "x"), str(folder / "x" / "y")]


def test_backups_are_synced_together(traced, fresh):
    """Old versions go to their backups after the new ones are durable; then the directories are synced once more."""
    run = Run(overwrite=True, backup=True)
    folder = fresh()
    run.lay(folder)

    calls = traced.calls(run.source, folder)

    directory = [
        place for place, call in enumerate(calls) if call.name == "fsync" and call.arguments.endswith(f"{folder}>")
    ]
    backed_up = [place for place, call in enumerate(calls) if call.name in _RENAMES and ".before" in call.arguments]
    assert len(directory) == 2
    assert len(backed_up) == 4
    assert directory[0] < min(backed_up) <= max(backed_up) < directory[1]


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_power_cut_after_the_end(filesystem, overwrite):
    """What a group has published is there after a power cut, each of it, whole."""
    with PowerCut(filesystem) as disk:
        run = Run(overwrite=overwrite)
        (disk.path / "here").mkdir()
        run.lay(disk.path / "here")
        before = "import os, sys\nos.sync()\nsay = lambda word: print(word, flush=True)\n"
        with Program(f"{before}{run.source}\nsys.stdin.read()", cwd=disk.path / "here") as program:
            program.line()
            disk.cut()
        disk.remount()

        assert read_all(disk.path / "here") == ["new"] * len(OUTPUTS)
        atomik.clean(disk.path / "here")
        assert set(tree(disk.path / "here")) >= set(OUTPUTS)


@pytest.mark.parametrize("sync", ["full", "normal"])
@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_power_cut_before_the_old_are_removed(filesystem, sync):
    """With the power cut in the middle of the end, each member is old or new, and whole."""
    source = """
import sys, atomik
import atomik_core.testing
def stop(publication, step):
    if step == STEP and publication.destination.name == "path-file":
        print("here", flush=True)
        sys.stdin.read()
say = lambda word: None
with atomik_core.testing.watching(stop):
"""
    for step in ("sealed", "synced", "published", "durable"):
        with PowerCut(filesystem) as disk:
            run = Run(overwrite=True, sync=sync)
            here = disk.path / "here"
            here.mkdir()
            run.lay(here)
            body = "\n".join(f"    {line}" for line in run.source.splitlines())
            with Program("import os\nos.sync()\n" + source.replace("STEP", repr(step)) + body, cwd=here) as program:
                program.line()
                disk.cut()
            disk.remount()

            versions = run.read(here)
            if step == "durable" and sync == "full":
                assert versions == ["new"] * 4
            atomik.clean(here)
            assert run.read(here) == versions
