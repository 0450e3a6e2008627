"""A program that writes to a destination itself, past its staged path; and rivals, which are not that."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

import atomik
from support.processes import run
from support.watch import litter


def _rename_over(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_text("direct")
    beside.rename(path)


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("direct")


#: What a program does to a destination, that is not there and that is.
WAYS = {
    "write": lambda path: path.write_text("direct"),
    "append": _append,
    "rename": _rename_over,
}


@pytest.fixture(params=[False, True], ids=["new", "old"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A destination at which nothing stands, or an old file."""
    if request.param:
        (tmp_path / "x").write_text("old")
    return tmp_path / "x"


@pytest.mark.parametrize("way", WAYS)
def test_only_there(destination, way, caplog):
    """It stays as the program left it, and is reported as not atomic; the other outputs are published."""
    with caplog.at_level(logging.WARNING, "atomik"), atomik.stage([destination, destination.with_name("y")]) as out:
        WAYS[way](destination)
        left = destination.read_text(), destination.stat().st_ino
        out[1].write_text("new")

    assert out.report.outputs == {0: "direct", 1: "published"}
    assert (destination.read_text(), destination.stat().st_ino) == left
    [record] = caplog.records
    assert str(destination) in record.getMessage()
    assert "not published atomically" in record.getMessage()


@pytest.mark.parametrize("way", WAYS)
def test_there_and_at_the_staged_path(destination, way, caplog):
    """What was staged is published; what it replaces is kept beside it, and the warning says where."""
    with caplog.at_level(logging.WARNING, "atomik"), atomik.stage([destination]) as out:
        WAYS[way](destination)
        left = destination.read_text()
        out[0].write_text("staged")

    assert destination.read_text() == "staged"
    assert out.report.outputs == {0: "published"}
    kept = out.report.kept[0]
    assert [kept] == litter(destination.parent)
    assert kept.read_text() == left
    [record] = caplog.records
    assert str(kept) in record.getMessage()
    atomik.remove(kept)


def test_there_and_at_the_staged_path_with_a_backup(destination):
    """What the program wrote to the destination goes where the version that is replaced goes: to the backup."""
    backup = destination.with_name("backup")
    with atomik.stage([destination], backup=backup) as out:
        destination.write_text("direct")
        out[0].write_text("staged")

    assert destination.read_text() == "staged"
    assert backup.read_text() == "direct"
    assert out.report.kept == {0: backup}
    assert sorted(os.listdir(destination.parent)) == ["backup", "x"]


@pytest.mark.parametrize("staged", [False, True], ids=["only", "both"])
def test_strict(destination, staged):
    """With strict=True it is an error, nothing is published, and everything is kept."""
    with pytest.raises(atomik.DirectWriteError, match=r"nothing is published.*everything is kept") as caught:
        with atomik.stage([destination, destination.with_name("y")], strict=True) as out:
            destination.write_text("direct")
            out[1].write_text("other")
            if staged:
                out[0].write_text("staged")

    assert caught.value.destination == str(destination)
    assert destination.read_text() == "direct"
    assert not destination.with_name("y").exists()
    [kept] = litter(destination.parent)
    assert sorted(os.listdir(kept)) == (["x", "y"] if staged else ["y"])
    atomik.remove(kept)


def test_nothing_is_overwritten_unasked(tmp_path):
    """With overwrite=False what appeared meanwhile stays, and so does the program's work."""
    with pytest.raises(atomik.FileAlreadyExistsError, match="everything is kept"):
        with atomik.stage([tmp_path / "x"], overwrite=False) as out:
            (tmp_path / "x").write_text("direct")
            out[0].write_text("staged")

    assert (tmp_path / "x").read_text() == "direct"
    [kept] = litter(tmp_path)
    assert (kept / "x").read_text() == "staged"
    atomik.remove(kept)

    with atomik.stage([tmp_path / "y"], overwrite=False) as out:
        (tmp_path / "y").write_text("direct")
    assert out.report.outputs == {0: "direct"}


@pytest.mark.parametrize("staged", [False, True], ids=["only", "both"])
def test_into_a_folder_that_is_there(tmp_path, staged):
    """Something deep in the old folder was changed: it stays, or is kept as a whole."""
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / "deep" / "x").write_text("old")
    with atomik.stage([f"{tmp_path}/d/"]) as out:
        (tmp_path / "d" / "deep" / "x").write_text("new")  # neither its size nor its folder's time differ
        if staged:
            out[0].mkdir()

    if not staged:
        assert out.report.outputs == {0: "direct"}
        assert (tmp_path / "d" / "deep" / "x").read_text() == "new"
        return
    assert out.report.outputs == {0: "published"}
    assert (out.report.kept[0] / "deep" / "x").read_text() == "new"
    assert os.listdir(tmp_path / "d") == []
    atomik.remove(out.report.kept[0])


def test_an_inner_output_shares_the_fate_of_its_folder(tmp_path):
    """A program that writes all of a folder to its destination has written the outputs in it, too."""
    with atomik.stage([f"{tmp_path}/d/", tmp_path / "d" / "x"]) as out:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "x").write_text("direct")

    assert out.report.outputs == {0: "direct", 1: "direct"}
    assert (tmp_path / "d" / "x").read_text() == "direct"


def test_neither(destination):
    """A program that makes nothing at all: an error, and the old version stays."""
    with pytest.raises(atomik.NothingStagedError, match=str(destination)), atomik.stage([destination]):
        pass

    assert litter(destination.parent) == []


def test_removed_and_made_at_the_staged_path(destination):
    """A program that removes the old version first, and then makes the new one: that is published, and nothing is odd."""
    with atomik.stage([destination]) as out:
        destination.unlink(missing_ok=True)
        out[0].write_text("staged")

    assert out.report.outputs == {0: "published"}
    assert out.report.kept == {}
    assert destination.read_text() == "staged"


def test_linked_there(tmp_path):
    """A program that links or moves something older to its destination has made its output, directly."""
    (tmp_path / "cached").write_text("cached")
    (tmp_path / "x").write_text("old")
    with atomik.stage([tmp_path / "x", tmp_path / "y"]) as out:
        (tmp_path / "y").hardlink_to(tmp_path / "cached")
        (tmp_path / "cached").rename(tmp_path / "x")

    assert out.report.outputs == {0: "direct", 1: "direct"}


def test_a_link_at_the_destination_is_replaced_by_the_program(tmp_path):
    """The link is the destination, as much as what it leads to: replaced by itself it is a direct write."""
    (tmp_path / "1").write_text("1")
    (tmp_path / "2").write_text("2")
    (tmp_path / "x").symlink_to("1")

    def replace(target: str) -> None:
        (tmp_path / "new").symlink_to(target)
        (tmp_path / "new").rename(tmp_path / "x")

    with atomik.stage([tmp_path / "x"]) as out:
        replace("2")
    assert out.report.outputs == {0: "direct"}
    assert os.readlink(tmp_path / "x") == "2"

    with pytest.raises(atomik.DirectWriteError, match=r"link.*everything is kept"):
        with atomik.stage([tmp_path / "x"]) as out:
            replace("1")
            out[0].write_text("staged")
    assert os.readlink(tmp_path / "x") == "1"
    [kept] = litter(tmp_path)
    assert (kept / "x").read_text() == "staged"
    atomik.remove(kept)

    with atomik.stage([tmp_path / "x"]) as out:
        replace("2")
        out[0].symlink_to("1")
    assert out.report.outputs == {0: "published"}
    assert os.readlink(tmp_path / "x") == "1"


_RIVAL = """
import sys, time
import atomik
with atomik.file(sys.argv[1], overwrite=True) as file: file.write("rival")
"""


@pytest.mark.system
def test_a_rival_that_was_at_work_before(destination):
    """Its version was made before the stage was opened: no direct write. The last one wins, and nothing is kept."""
    rival = atomik.file(destination, overwrite=True)
    rival.open().write("rival")
    time.sleep(0.02)
    with atomik.stage([destination]) as out:
        out[0].write_text("staged")
        rival.publish()
        assert destination.read_text() == "rival"

    assert destination.read_text() == "staged"
    assert out.report.outputs == {0: "published"}
    assert out.report.kept == {}


@pytest.mark.system
def test_a_rival_that_came_and_went(destination):
    """It cannot be told from a direct write: the last one wins, and the rival's version is kept and named."""
    with atomik.stage([destination]) as out:
        out[0].write_text("staged")
        assert run(_RIVAL, destination).code == 0

    assert destination.read_text() == "staged"
    assert out.report.kept[0].read_text() == "rival"
    atomik.remove(out.report.kept[0])


_STAGES = """
import os, sys
import atomik
def attempt(number):
    with atomik.stage([f"a-{number}", f"d-{number}/"], overwrite=False) as out:
        out[0].write_text(str(os.getpid()))
        out[1].mkdir()
        (out[1] / "x").write_text(str(os.getpid()))
        (out[0].parent / f"extra-{number}").write_text(str(os.getpid()))
    return str(os.getpid())
"""


@pytest.mark.system
@pytest.mark.leaves_litter
def test_of_rivals_exactly_one_wins(tmp_path):
    """With overwrite=False the outputs and extras are those of one process; the others are refused."""
    from support.rivals import rivals

    for number, answers in enumerate(rivals(3, _STAGES, rounds=30, cwd=tmp_path)):
        winners = [answer for answer in answers if answer != "FileAlreadyExistsError"]
        assert len(winners) <= 1, answers
        if winners:
            found = [(tmp_path / name).read_text() for name in (f"a-{number}", f"d-{number}/x", f"extra-{number}")]
            assert found == winners * 3
    assert not [path for path in litter(tmp_path) if path.name.startswith(".atomik-")]


def test_made_as_another_link_to_the_old_version(tmp_path, caplog):
    """A second link to the very file that stands there is no direct write, though its time changes with that; nothing is kept."""
    (tmp_path / "input").write_text("text")
    os.link(tmp_path / "input", tmp_path / "output")
    with atomik.stage([tmp_path / "output"], inherit=False) as out:
        os.link(tmp_path / "input", out[0])
        os.utime(out[0], ns=(1, 1))
    assert out.report.outputs == {0: "published"}
    assert not out.report.kept
    assert not caplog.records
    assert sorted(os.listdir(tmp_path)) == ["input", "output"]
    assert os.path.samefile(tmp_path / "input", tmp_path / "output")


def test_an_old_folder_whose_files_get_links(tmp_path, caplog):
    """`cp -al` of the old version, to begin the new one with, is no direct write; one to a file with links is."""
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        (tmp_path / "d" / name).write_text("old")
    with caplog.at_level(logging.WARNING, "atomik"), atomik.stage([tmp_path / "d"]) as out:
        out[0].mkdir()
        for name in ("a", "b"):
            (out[0] / name).hardlink_to(tmp_path / "d" / name)
    assert out.report.outputs == {0: "published"}
    assert out.report.kept == {}
    assert caplog.records == []

    with atomik.stage([tmp_path / "d"]) as out:
        out[0].mkdir()
        (out[0] / "a").hardlink_to(tmp_path / "d" / "a")
        (tmp_path / "d" / "a").write_text("direct")
    assert list(out.report.kept) == [0]
    atomik.remove(out.report.kept[0])
