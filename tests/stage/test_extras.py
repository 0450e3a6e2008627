"""What a program makes beside its outputs: published, refused or dropped, as was said, and never lost."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path

import pytest

import atomik
from support.watch import litter, tree


def _fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("new")


def test_published_beside_their_output(tmp_path):
    """Files, folders and links, each beside the output beside which it was made; the report lists them."""
    with atomik.stage([tmp_path / "a" / "x", tmp_path / "b" / "y"]) as out:
        for key in out:
            out[key].write_text("new")
        _fill(out[0].parent, "x.idx", "x_files/style", ".hidden")
        (out[1].parent / "latest").symlink_to("y")
        (out[1].parent / "empty").mkdir()

    assert sorted(tree(tmp_path)) == [
        ".", "a", "a/.hidden", "a/x", "a/x.idx", "a/x_files", "a/x_files/style", "b", "b/empty", "b/latest", "b/y",
    ]  # fmt: skip
    assert sorted(out.report.extras) == [
        tmp_path / "a" / ".hidden", tmp_path / "a" / "x.idx", tmp_path / "a" / "x_files", tmp_path / "b" / "empty",
        tmp_path / "b" / "latest",
    ]  # fmt: skip


def test_they_replace_what_a_direct_run_would_have_replaced(tmp_path):
    """A file replaces a file, and keeps its mode; of a folder that is there only the files that were made are replaced."""
    _fill(tmp_path, "x.idx", "x_files/one", "x_files/two", "x_files/deep/three")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_text("old")
            path.chmod(0o640)

    with atomik.stage([tmp_path / "x"]) as out:
        out[0].write_text("new")
        here = out[0].parent
        _fill(here, "x.idx", "x_files/one", "x_files/four")
        _fill(here / "x_files", "deep/five", "wide/six")

    found = {name: entry.content for name, entry in tree(tmp_path).items() if entry.kind == "file"}
    assert found == {
        "x": b"new", "x.idx": b"new", "x_files/one": b"new", "x_files/two": b"old", "x_files/four": b"new",
        "x_files/deep/three": b"old", "x_files/deep/five": b"new", "x_files/wide/six": b"new",
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "x.idx").stat().st_mode) == 0o640
    assert tmp_path / "x_files" / "deep" / "five" in out.report.extras
    assert tmp_path / "x_files" / "wide" in out.report.extras


def test_a_folder_that_is_there_through_a_link(tmp_path):
    """What was made in a folder goes where a link of that name leads, as a direct run would have written there."""
    _fill(tmp_path, "real/old")
    (tmp_path / "x_files").symlink_to("real")
    with atomik.stage([tmp_path / "x"]) as out:
        out[0].write_text("new")
        _fill(out[0].parent, "x_files/made")

    assert (tmp_path / "x_files").is_symlink()
    assert sorted(os.listdir(tmp_path / "real")) == ["made", "old"]


def test_a_folder_that_its_maker_has_closed(tmp_path):
    """A read-only folder of extras is merged into one that is there all the same."""
    _fill(tmp_path, "x_files/old")
    with atomik.stage([tmp_path / "x"]) as out:
        out[0].write_text("new")
        _fill(out[0].parent, "x_files/made")
        (out[0].parent / "x_files").chmod(0o555)

    assert sorted(os.listdir(tmp_path / "x_files")) == ["made", "old"]


@pytest.mark.parametrize("call", ["stage", "path"])
def test_refused(tmp_path, call):
    """With "refuse" they are an error that names each of them, and everything is kept where the error says."""
    with pytest.raises(atomik.ExtrasError, match=r"m\.dbf.*m\.shx.*everything is kept in") as caught:
        if call == "stage":
            with atomik.stage([tmp_path / "m.shp"], extras="refuse") as out:
                _fill(out[0].parent, "m.shp", "m.dbf", "m.shx")
        else:
            with atomik.path(tmp_path / "m.shp") as path:
                _fill(path.parent, "m.shp", "m.dbf", "m.shx")

    [kept] = litter(tmp_path)
    assert str(kept) in str(caught.value)
    assert caught.value.errno == errno.EEXIST
    assert sorted(os.listdir(kept)) == ["m.dbf", "m.shp", "m.shx"]
    atomik.remove(kept)


@pytest.mark.parametrize("call", ["stage", "path"])
def test_discarded(tmp_path, call):
    """With "discard" they are dropped, since that was said."""
    if call == "stage":
        with atomik.stage([tmp_path / "m.shp"], extras="discard") as out:
            _fill(out[0].parent, "m.shp", "m.dbf")
        assert out.report.extras == ()
    else:
        with atomik.path(tmp_path / "m.shp", extras="discard") as path:
            _fill(path.parent, "m.shp", "m.dbf")

    assert os.listdir(tmp_path) == ["m.shp"]


@pytest.mark.parametrize("shape", ["file", "folder", "link"])
def test_published_by_a_path(tmp_path, shape):
    """`path` publishes them, too, if that is said; merged into what is there if it may overwrite."""
    _fill(tmp_path, "x_files/old")
    with atomik.path(tmp_path / "x", extras="publish") as path:
        if shape == "file":
            path.write_text("new")
        elif shape == "folder":
            path.mkdir()
        else:
            path.symlink_to("x.idx")
        _fill(path.parent, "x.idx", "x_files/made")

    assert sorted(os.listdir(tmp_path)) == ["x", "x.idx", "x_files"]
    assert sorted(os.listdir(tmp_path / "x_files")) == ["made", "old"]


def test_published_in_a_group(tmp_path):
    """A group's path takes the word, too, and its extras are undone with the rest."""
    with atomik.group() as group, group.path(tmp_path / "x", extras="publish") as path:
        _fill(path.parent, "x", "x.idx")
    assert sorted(os.listdir(tmp_path)) == ["x", "x.idx"]

    with pytest.raises(ZeroDivisionError), atomik.group() as group:
        with group.path(tmp_path / "y", extras="publish") as path:
            _fill(path.parent, "y", "y.idx")
        raise ZeroDivisionError
    assert sorted(os.listdir(tmp_path)) == ["x", "x.idx"]


def test_a_stage_replaces_extras_as_a_direct_run_would_have(tmp_path):
    """An extra that exists is replaced though no output may be: nobody could have told the program not to."""
    (tmp_path / "x.idx").write_text("old")
    with atomik.stage([tmp_path / "x"], overwrite=False) as out:
        _fill(out[0].parent, "x", "x.idx")

    assert sorted(os.listdir(tmp_path)) == ["x", "x.idx"]
    assert (tmp_path / "x.idx").read_text() != "old"


def test_nothing_is_overwritten_unasked(tmp_path):
    """With `path`, and without overwriting, an extra that exists is an error; it stays, and everything is kept."""
    (tmp_path / "x.idx").write_text("old")
    with pytest.raises(atomik.FileAlreadyExistsError, match=r"kept") as caught:
        with atomik.path(tmp_path / "x", extras="publish") as path:
            _fill(path.parent, "x", "x.idx")

    assert caught.value.destination == str(tmp_path / "x.idx")
    assert (tmp_path / "x.idx").read_text() == "old"
    assert not (tmp_path / "x").exists()
    kept = litter(tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    for path in kept:
        atomik.remove(path)


def test_one_in_the_way_of_another_kind(tmp_path):
    """A file made beside the output where a folder stands: an error, as a direct run would have had, and all is kept."""
    (tmp_path / "x.idx").mkdir()
    with pytest.raises(IsADirectoryError, match="everything is kept in"):
        with atomik.stage([tmp_path / "x"]) as out:
            _fill(out[0].parent, "x", "x.idx")

    [kept] = litter(tmp_path)
    assert sorted(os.listdir(kept)) == ["x", "x.idx"]
    atomik.remove(kept)


def test_one_that_is_an_output_of_another_directory(tmp_path):
    """What was made at both places where an output may be is not chosen from: an error, and everything is kept."""
    with pytest.raises(atomik.ExtrasError, match="everything is kept in"):
        with atomik.stage([tmp_path / "x", tmp_path / "sub" / "y"]) as out:
            for key in out:
                out[key].write_text("new")
            _fill(out[0].parent, "sub/y")

    assert sum(path.name == "y" for kept in litter(tmp_path) for path in kept.rglob("*")) == 2
    for kept in litter(tmp_path):
        atomik.remove(kept)


def test_a_name_that_was_not_expected(tmp_path):
    """A program that appends a suffix has made no output: an error that says so, and the work is kept."""
    with pytest.raises(atomik.NothingStagedError, match="kept"), atomik.stage([tmp_path / "plot"]) as out:
        out[0].with_suffix(".png").write_text("hours")
    [kept] = litter(tmp_path)
    assert (kept / "plot.png").read_text() == "hours"
    atomik.remove(kept)

    with pytest.raises(atomik.NothingStagedError, match=r"'plot\.png'.*kept"), atomik.path(tmp_path / "plot") as path:
        path.with_suffix(".png").write_text("hours")
    [kept] = litter(tmp_path)
    assert (kept / "plot.png").read_text() == "hours"
    atomik.remove(kept)


@pytest.mark.parametrize("call", ["stage", "path"])
def test_what_holds_nothing(tmp_path, call, caplog):
    """A FIFO or socket left beside the output is dropped, and a warning says so; the rest is published."""
    with caplog.at_level(logging.WARNING, "atomik"):
        if call == "stage":
            with atomik.stage([tmp_path / "x"]) as out:
                _fill(out[0].parent, "x", "x.idx")
                os.mkfifo(out[0].parent / "control")
        else:
            with atomik.path(tmp_path / "x", extras="publish") as path:
                _fill(path.parent, "x", "x.idx")
                os.mkfifo(path.parent / "control")

    assert sorted(os.listdir(tmp_path)) == ["x", "x.idx"]
    assert [str(tmp_path / "control") in record.getMessage() for record in caplog.records] == [True]


def test_what_the_kernel_puts_there(tmp_path):
    """A file that was removed while open has a name on NFS and FUSE, and is nobody's work."""
    with atomik.stage([tmp_path / "x"], extras="refuse") as out:
        _fill(out[0].parent, "x", ".nfs000000000a8b1c2d00000001", ".fuse_hidden0000000100000001")

    assert os.listdir(tmp_path) == ["x"]


def test_after_a_failure_all_is_discarded(tmp_path):
    """The block raised: extras go with the rest, as if nothing had been run."""
    with pytest.raises(ZeroDivisionError), atomik.stage([tmp_path / "x"]) as out:
        _fill(out[0].parent, "x", "x.idx", "x_files/one")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []


def test_they_come_with_their_output_or_not_at_all(tmp_path):
    """The output cannot be published in the last instant: its extras are taken back, merged ones, too."""
    from atomik_core import testing

    _fill(tmp_path, "x_files/one")
    (tmp_path / "x_files" / "one").write_text("old")

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced" and publication.destination.name == "x":
            (tmp_path / "x").mkdir()

    with pytest.raises(IsADirectoryError), testing.watching(watch):
        with atomik.stage([tmp_path / "a", tmp_path / "x"]) as out:
            _fill(out[0].parent, "a", "x", "x.idx", "x_files/one", "x_files/two")

    assert sorted(os.listdir(tmp_path)) == ["x", "x_files"]
    assert (tmp_path / "x_files" / "one").read_text() == "old"
    assert os.listdir(tmp_path / "x_files") == ["one"]


def test_a_link_that_a_link_stands_in_the_way_of(tmp_path):
    """`ln -sf` beside an output, run again: the new link takes the place of the old one, and what that leads to comes, too."""
    for text in ("1", "2"):
        with atomik.stage([tmp_path / "a"]) as out:
            out[0].write_text(text)
            (out[0].parent / "a.idx").write_text(text)
            (out[0].parent / "idx").symlink_to("a.idx")
        assert os.readlink(tmp_path / "idx") == "a.idx"
        assert (tmp_path / "idx").read_text() == text
