"""Stages on every kind of filesystem: staged beside the outputs or elsewhere, and where two names cannot be exchanged."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

import atomik
from atomik_core import testing
from support.filesystems import FULL, KINDS
from support.processes import run
from support.watch import litter, tree

pytestmark = pytest.mark.system

#: Where each kind of output is to be made, and whether it was there before.
OUTPUTS = {"file": "a", "folder": "d/", "inner": "d/x", "far": "sub/b"}


def _make(out: atomik.Stage, text: str) -> None:
    out["file"].write_text(text)
    out["inner"].write_text(text)
    (out["folder"] / "deep").mkdir()
    (out["folder"] / "deep" / "y").write_text(text)
    out["far"].write_text(text)
    (out["file"].parent / "a.idx").write_text(text)
    (out["file"].parent / "a_files").mkdir()
    (out["file"].parent / "a_files" / text).write_text(text)


def _texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def _expected(text: str, *others: str) -> dict[str, str]:
    names = ["a", "d/x", "d/deep/y", "sub/b", "a.idx"]
    return {**dict.fromkeys(names, text), **{f"a_files/{each}": each for each in (text, *others)}}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].flags and kind != "overlay-copied-up"])
def test_new_and_replaced(mounts, kind):
    """Files, folders, what is in them and beside them: new, and then in place of the old ones."""
    folder = mounts(kind)
    for number, text in enumerate(("1", "2")):
        with atomik.stage(
            {key: folder / path if path[-1] != "/" else f"{folder}/{path}" for key, path in OUTPUTS.items()}
        ) as out:
            _make(out, text)
        assert _texts(folder) == _expected(text, *("1",) * number)
        assert out.report.outputs == dict.fromkeys(OUTPUTS, "published")
        assert out.report.kept == {}


@pytest.mark.parametrize(("here", "there"), [("ext4", "ext4"), ("ext4", "tmpfs"), ("tmpfs", "xfs"), ("exfat", "ext4")])
def test_tmp_dir(mounts, here, there):
    """Staged in a tmp_dir, on the same filesystem or on another one: nothing is seen beside the outputs meanwhile."""
    staging, folder = mounts(here), mounts(there)
    for number, text in enumerate(("1", "2")):
        with atomik.stage({key: os.path.join(folder, path) for key, path in OUTPUTS.items()}, tmp_dir=staging) as out:
            assert out["file"].is_relative_to(staging)
            _make(out, text)
            assert not litter(folder)
        assert _texts(folder) == _expected(text, *("1",) * number)
        assert out.report.outputs == dict.fromkeys(OUTPUTS, "published")
        assert os.listdir(staging) == []


def test_tmp_dir_and_a_failure(mounts):
    """What was made in a tmp_dir and cannot be published is kept, in whichever of the two places it is by then."""
    staging, folder = mounts("tmpfs"), mounts("ext4")
    (folder / "z").mkdir()
    with (
        pytest.raises(IsADirectoryError, match="kept"),
        atomik.stage([folder / "a", folder / "z"], tmp_dir=staging) as out,
    ):
        out[0].write_text("a")
        out[1].write_text("z")
        (out[0].parent / "extra").write_text("extra")

    kept = [*litter(staging), *litter(folder)]
    assert sorted(name for path in kept for name in os.listdir(path)) == ["a", "extra", "z"]
    for path in kept:
        atomik.remove(path)


def test_setgid_and_modes(mounts):
    """New outputs and extras get what they would have got in a direct run, old ones keep what they have."""
    folder = mounts("ext4")
    os.chown(folder, 0, 4321)
    folder.chmod(0o2775)
    (folder / "old").write_text("old")
    (folder / "old").chmod(0o604)
    for tmp_dir in (None, mounts("ext4")):
        with atomik.stage([folder / "old", folder / "new", f"{folder}/d/"], tmp_dir=tmp_dir) as out:
            out[0].write_text("new")
            out[1].write_text("new")
            out[2].mkdir()
            (out[1].parent / "extra").write_text("extra")
        assert {name: (path.stat().st_mode & 0o7777, path.stat().st_gid) for name in ("old", "new", "d", "extra") if (path := folder / name)} == {
            "old": (0o604, 4321), "new": (0o644, 4321), "d": (0o2755, 4321), "extra": (0o644, 4321),
        }  # fmt: skip
        for name in ("new", "d", "extra"):
            atomik.remove(folder / name)


@pytest.mark.parametrize("kind", ["bindfs", "exfat"])
class TestWithoutExchange:
    """FUSE without renameat2's flags, and FAT."""

    def test_files_are_replaced(self, mounts, kind):
        """New outputs, and files that exist, one after the other, each in one instant."""
        folder = mounts(kind)
        for text in ("1", "2"):
            with atomik.stage([folder / "a", folder / "b"]) as out:
                for key in out:
                    out[key].write_text(text)
                (out[0].parent / "extra").write_text(text)
            assert _texts(folder) == dict.fromkeys(["a", "b", "extra"], text)
            assert out.report.kept == {}

    def test_a_new_folder(self, mounts, kind):
        """A folder that does not exist is published like anywhere else."""
        folder = mounts(kind)
        with atomik.stage([f"{folder}/d/", folder / "d" / "x"]) as out:
            out[1].write_text("x")
        assert _texts(folder) == {"d/x": "x"}

    def test_a_folder_that_exists_is_refused_at_the_start(self, mounts, kind):
        """It is known before the program starts that it cannot be replaced in one instant."""
        folder = mounts(kind)
        (folder / "d").mkdir()
        (folder / "d" / "x").write_text("old")
        with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE"):
            with atomik.stage([folder / "a", f"{folder}/d/"]):
                pytest.fail("the program was started")
        assert _texts(folder) == {"d/x": "old"}
        assert litter(folder) == []

    def test_what_was_replaced_stays_replaced(self, mounts, kind):
        """A later one fails: a new one is taken back; a replaced one stays what it is now, and a note says so."""
        folder = mounts(kind)
        (folder / "a").write_text("old")

        def watch(publication: atomik.Publication[object], step: str) -> None:
            if step == "synced" and publication.destination.name == "c":
                (folder / "c").mkdir()

        with pytest.raises(OSError) as caught, testing.watching(watch):
            with atomik.stage([folder / "a", folder / "b", folder / "c"]) as out:
                for key in out:
                    out[key].write_text("new")

        assert (folder / "a").read_text() == "new"
        assert not (folder / "b").exists()
        assert any("'" + str(folder / "a") + "' is published, and stays" in note for note in caught.value.__notes__)
        for path in litter(folder):
            atomik.remove(path)

    def test_what_the_program_wrote_there_is_kept(self, mounts, kind, caplog):
        """A direct write and a staged version: the direct one is copied before the staged one replaces it."""
        folder = mounts(kind)
        (folder / "a").write_text("old")
        with caplog.at_level(logging.WARNING, "atomik"), atomik.stage([folder / "a", folder / "b"]) as out:
            (folder / "a").write_text("direct")
            (folder / "b").write_text("direct, too")
            for key in out:
                out[key].write_text("staged")

        assert (folder / "a").read_text() == (folder / "b").read_text() == "staged"
        assert out.report.kept[0].read_text() == "direct"
        assert out.report.kept[1].read_text() == "direct, too"
        for path in out.report.kept.values():
            atomik.remove(path)


@pytest.mark.parametrize("kind", FULL)
def test_killed_between_the_renames(mounts, kind):
    """A kill among the renames leaves some old and some new, each whole, and nothing that is not found and removed."""
    folder = mounts(kind)
    source = """
import os, signal, sys
import atomik
from atomik_core import testing
def watch(publication, step):
    if step == "synced" and publication.destination.name == "2":
        os.kill(os.getpid(), signal.SIGKILL)
with testing.watching(watch), atomik.stage([str(number) for number in range(4)]) as out:
    for key in out:
        out[key].mkdir()
        (out[key] / "x").write_text("new")
        (out[key] / "y").write_text("new")
"""
    for number in range(4):
        (folder / str(number)).mkdir()
        for name in "xy":
            (folder / str(number) / name).write_text("old")

    assert run(source, cwd=folder).code == -9

    atomik.clean(folder)
    assert sorted(os.listdir(folder)) == ["0", "1", "2", "3"]
    found = [{(folder / str(number) / name).read_text() for name in "xy"} for number in range(4)]
    assert found == [{"new"}, {"new"}, {"old"}, {"old"}]


def test_many_directories(mounts):
    """Outputs in a hundred directories, with what was made beside each of them."""
    folder = mounts("tmpfs")
    with atomik.stage([folder / str(number) / "x" for number in range(100)]) as out:
        for key in out:
            out[key].touch()
            out[key].with_suffix(".idx").touch()

    assert len([path for path in folder.rglob("*") if path.is_file()]) == 200
    assert len(tree(folder)) == 301
