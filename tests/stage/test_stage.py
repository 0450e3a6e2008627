"""A stage: what a program is told, what is published in the end, and what it says about it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import atomik
from atomik_core import testing
from support.namespace import command
from support.watch import litter, tree


def test_a_program_is_told_the_names_it_will_see(tmp_path):
    """Each staged path has the destination's name; outputs of one directory are in one, and nothing is there yet."""
    with atomik.stage({"bam": tmp_path / "a.bam", "log": tmp_path / "a.log", "far": tmp_path / "far" / "b"}) as out:
        assert [out[key].name for key in out] == ["a.bam", "a.log", "b"]
        assert out["bam"].parent == out["log"].parent != out["far"].parent
        assert not any(os.path.lexists(out[key]) for key in out)
        assert out["bam"].is_absolute()
        assert out.destination("bam") == tmp_path / "a.bam"
        for key in out:
            out[key].write_text(key)

    assert (tmp_path / "far" / "b").read_text() == "far"
    assert out.report.outputs == dict.fromkeys(["bam", "log", "far"], "published")


def test_one_output_inside_another(tmp_path):
    """It is at the same place in it, at any depth, and its folder is there for it."""
    outer, inner, innermost = tmp_path / "run", tmp_path / "run" / "a" / "stats", tmp_path / "run" / "a" / "stats" / "x"
    with atomik.stage([innermost, outer, inner]) as out:
        assert out[2] == out[1] / "a" / "stats"
        assert out[0] == out[2] / "x"
        out[0].write_text("x")
        (out[1] / "more").write_text("more")

    assert set(tree(outer)) == {".", "a", "a/stats", "a/stats/x", "more"}
    assert set(out.report.outputs.values()) == {"published"}


def test_a_folder_made_for_an_inner_output_is_not_the_programs_work(tmp_path):
    """A program that makes nothing has made nothing, though the stage has made a folder for it."""
    with pytest.raises(atomik.NothingStagedError, match=r"'.*run/', '.*run/a/x'"):
        with atomik.stage([f"{tmp_path}/run/", f"{tmp_path}/run/a/x"]):
            pass

    assert not os.path.lexists(tmp_path / "run")


def test_an_inner_output_that_is_missing(tmp_path):
    """The folder was made, and the output in it was not: nothing is published, and the folder is kept."""
    with pytest.raises(atomik.NothingStagedError, match=r"run/x'.*everything is kept in") as caught:
        with atomik.stage([tmp_path / "run", tmp_path / "run" / "x"]) as out:
            (out[0] / "y").write_text("hours of work")

    [kept] = litter(tmp_path)
    assert str(kept) in str(caught.value)
    assert (kept / "run" / "y").read_text() == "hours of work"
    assert out.report.outputs == {0: "published", 1: "missing"}
    atomik.remove(kept)


def test_only_what_is_missing_is_named(tmp_path):
    """Of two outputs one was made: the error names the other one, nothing is published, and the first is kept."""
    with pytest.raises(atomik.NothingStagedError, match=r"'.*absent'") as caught:
        with atomik.stage([tmp_path / "made", tmp_path / "absent"]) as out:
            out[0].write_text("made")

    assert "made'," not in str(caught.value)
    [kept] = litter(tmp_path)
    assert (kept / "made").read_text() == "made"
    atomik.remove(kept)
    assert list(tmp_path.iterdir()) == []


def test_all_or_none(tmp_path):
    """An exception in the block discards everything, extras and parents that were made included."""
    (tmp_path / "old").write_text("old")

    with pytest.raises(ZeroDivisionError):
        with atomik.stage([tmp_path / "old", tmp_path / "new" / "deep" / "x"]) as out:
            out[0].write_text("new")
            out[1].write_text("new")
            (out[0].parent / "extra").write_text("extra")
            raise ZeroDivisionError

    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"
    assert out.state == "discarded"


def test_one_that_cannot_be_published_takes_back_the_others(tmp_path):
    """A rival's folder appears at one destination in the last instant: the others, extras too, are as they were."""
    (tmp_path / "a").write_text("old")

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced" and publication.destination.name == "b":
            (tmp_path / "b").mkdir()

    with pytest.raises(IsADirectoryError), testing.watching(watch):
        with atomik.stage([tmp_path / "a", tmp_path / "b"]) as out:
            for key in out:
                out[key].write_text("new")
            (out[0].parent / "extra").write_text("extra")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "b").is_dir()


def test_the_old_version_until_the_end(tmp_path):
    """It can be read at its own path, and at `old`, until the new one takes its place; `old` is None where none is."""
    (tmp_path / "a").write_text("old")
    with atomik.stage([tmp_path / "a", tmp_path / "b"]) as out:
        old = out.old(0)
        assert old is not None
        assert old.read_text() == "old"
        assert out.old(1) is None
        for key in out:
            out[key].write_text("new")
        assert old.read_text() == "old"

    assert old.read_text() == "new"


@pytest.mark.parametrize("shape", ["file", "folder"])
def test_a_copy_that_is_not_changed_is_nobodys_work(tmp_path, shape):
    """The old version stays, the very inode, and the report says so."""
    old = tmp_path / "old"
    if shape == "folder":
        old.mkdir()
        (old / "x").write_text("x")
    else:
        old.write_text("old")
    inode = old.stat().st_ino

    with atomik.stage([old, tmp_path / "new"]) as out:
        out.copy_old(0)
        out[1].write_text("new")

    assert out.report.outputs == {0: "unchanged", 1: "published"}
    assert old.stat().st_ino == inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("!")


def _set_back(path: Path) -> None:
    before = path.stat()
    path.write_text("new")  # as long as it was
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change", [_append, _set_back, lambda path: path.chmod(0o600)], ids=["append", "set-back", "mode"]
)
def test_a_copy_that_is_changed_is_published(tmp_path, change):
    """However it was changed, even with its size and time set back."""
    old = tmp_path / "old"
    old.write_text("old")
    inode = old.stat().st_ino

    with atomik.stage([old]) as out:
        change(out.copy_old(0))

    assert out.report.outputs == {0: "published"}
    assert old.stat().st_ino != inode


@pytest.mark.parametrize("name", ["x", "sub/y"])
def test_a_copied_folder_in_which_something_was_removed(tmp_path, name):
    """It was changed, at any depth."""
    old = tmp_path / "old"
    (old / "sub").mkdir(parents=True)
    (old / "x").touch()
    (old / "sub" / "y").touch()

    with atomik.stage([old]) as out:
        (out.copy_old(0) / name).unlink()

    assert out.report.outputs == {0: "published"}
    assert not (old / name).exists()


def test_a_copy_inside_another_output(tmp_path):
    """The copy of an inner output is not the program's work either; nor is a copied folder in which another output lies."""
    (tmp_path / "run" / "a").mkdir(parents=True)
    (tmp_path / "run" / "a" / "x").write_text("x")
    paths = [tmp_path / "run", tmp_path / "run" / "a" / "x"]

    with atomik.stage(paths) as out:
        out.copy_old(1)
    assert out.report.outputs == {0: "unchanged", 1: "unchanged"}

    with atomik.stage([*paths, tmp_path / "run" / "b" / "y"]) as out:
        assert (out.copy_old(0) / "a" / "x").read_text() == "x"
        out[2].write_text("y")
    assert set(out.report.outputs.values()) == {"published"}
    assert set(tree(tmp_path / "run")) == {".", "a", "a/x", "b", "b/y"}


def test_no_copy_of_nothing(tmp_path):
    """There is no old version: FileNotFoundError, and the program makes a new one."""
    with atomik.stage([tmp_path / "a"]) as out:
        with pytest.raises(FileNotFoundError):
            out.copy_old(0)
        out[0].write_text("new")

    assert (tmp_path / "a").read_text() == "new"


def test_a_copy_is_no_publication_to_plugins(tmp_path):
    """The seam is told of the outputs, not of the copies; a kept mode comes with a copy."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    with atomik.stage([tmp_path / "a"]) as out:
        assert stat.S_IMODE(out.copy_old(0).stat().st_mode) == 0o640
        _append(out[0])

    assert (tmp_path / "a").read_text() == "old!"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_slash_asks_for_a_folder(tmp_path):
    """A file made there is refused, and kept."""
    with pytest.raises(NotADirectoryError, match=r"slash.*everything is kept in"):
        with atomik.stage([f"{tmp_path}/a/", tmp_path / "b"]) as out:
            out[0].write_text("a file")
            out[1].write_text("b")

    [kept] = litter(tmp_path)
    assert sorted(path.name for path in kept.iterdir()) == ["a", "b"]
    atomik.remove(kept)


def test_a_slash_where_a_file_stands(tmp_path):
    """It is known before the program starts that a file is not replaced by a folder."""
    (tmp_path / "a").write_text("old")
    with pytest.raises(NotADirectoryError), atomik.stage([f"{tmp_path}/a/"]):
        pytest.fail("the program was started")
    with pytest.raises(NotADirectoryError), atomik.path(f"{tmp_path}/a/", overwrite=True):
        pytest.fail("the program was started")


@pytest.mark.system
def test_a_destination_that_cannot_take_it(mounts):
    """One destination becomes immutable meanwhile: the others are as they were, and all of the work is kept by its names."""
    folder = mounts("ext4")
    (folder / "closed").mkdir()

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced" and publication.destination.name == "b":
            command("chattr", "+i", folder / "closed")

    (folder / "a").write_text("old")
    try:
        with pytest.raises(PermissionError, match="everything is kept in"), testing.watching(watch):
            with atomik.stage([folder / "a", folder / "closed" / "b"], tmp_dir=folder) as out:
                for key in out:
                    out[key].write_text("new")
                (out[0].parent / "extra").write_text("extra")
    finally:
        command("chattr", "-i", folder / "closed")

    kept = [path for path in litter(folder) if path.name.startswith("atomik-kept-")]
    assert not [path for path in kept if path.parent != folder]
    assert sorted(name for path in kept for name in os.listdir(path)) == ["a", "b", "extra"]
    assert (folder / "a").read_text() == "old"
    assert not (folder / "extra").exists()
    for path in kept:
        atomik.remove(path)
    atomik.clean(folder / "closed")  # it was immutable when the rest was removed


@pytest.mark.parametrize("old", ["file", "folder"])
def test_the_wrong_kind_is_kept(tmp_path, old):
    """A folder where a file stands, and the reverse: an error, and all of the work is kept, in other directories, too."""
    (tmp_path / "a").mkdir() if old == "folder" else (tmp_path / "a").write_text("old")
    with pytest.raises(OSError, match="everything is kept in") as caught:
        with atomik.stage([tmp_path / "elsewhere" / "b", tmp_path / "a"]) as out:
            out[0].write_text("b")
            out[1].write_text("new") if old == "folder" else out[1].mkdir()

    assert caught.type is (IsADirectoryError if old == "folder" else NotADirectoryError)
    kept = litter(tmp_path)
    assert sorted(name.name for path in kept for name in path.iterdir()) == ["a", "b"]
    assert all(str(path) in str(caught.value) for path in kept)
    for path in kept:
        atomik.remove(path)


def test_what_cannot_be_published_is_kept(tmp_path):
    """A FIFO is no output; what was made with it is kept."""
    with pytest.raises(atomik.NothingStagedError, match="everything is kept in"):
        with atomik.stage([tmp_path / "a", tmp_path / "pipe"]) as out:
            out[0].write_text("a")
            os.mkfifo(out[1])

    [kept] = litter(tmp_path)
    assert (kept / "a").read_text() == "a"
    atomik.remove(kept)


def test_without_with(tmp_path):
    """`open`, then `publish` or `discard`; both may be repeated."""
    stage = atomik.stage([tmp_path / "a"])
    assert stage.state == "new"
    with pytest.raises(ValueError, match="new"):
        stage[0]
    with pytest.raises(ValueError, match="new"):
        stage.publish()
    assert stage.open() is stage
    assert stage.state == "open"
    stage[0].write_text("a")
    stage.publish()
    stage.publish()
    stage.discard()
    assert stage.state == "published"
    assert (tmp_path / "a").read_text() == "a"
    with pytest.raises(ValueError, match="published"):
        stage.open()
    with pytest.raises(ValueError, match="published"):
        stage[0]

    stage = atomik.stage([tmp_path / "b"]).open()
    stage[0].write_text("b")
    stage.discard()
    stage.discard()
    with pytest.raises(ValueError, match="discarded"):
        stage.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_discarded_in_the_block(tmp_path):
    """Its end then publishes nothing."""
    with atomik.stage([tmp_path / "a"]) as out:
        out[0].write_text("a")
        out.discard()

    assert list(tmp_path.iterdir()) == []


def test_collected_unfinished(tmp_path):
    """A stage that nobody finishes is discarded, never published."""
    stage = atomik.stage([tmp_path / "a", tmp_path / "made" / "b"]).open()
    for key in stage:
        stage[key].write_text("unfinished")
    del stage

    assert list(tmp_path.iterdir()) == []


def test_forked(tmp_path):
    """A child's copy of the stage does nothing, whether it publishes, discards or just ends."""
    with atomik.stage([tmp_path / "a"]) as out:
        out[0].write_text("a")
        child = os.fork()
        if child == 0:
            out.publish()
            out.discard()
            del out
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert out[0].read_text() == "a"
        assert not (tmp_path / "a").exists()

    assert (tmp_path / "a").read_text() == "a"


def test_the_working_directory_changes(tmp_path, monkeypatch):
    """Relative destinations are those of the moment at which the stage was made, whatever the block does."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomik.stage(["out/a", "out/run/", "out/run/x"]) as out:
        monkeypatch.chdir("elsewhere")
        out[0].write_text("a")
        out[2].write_text("x")
        (out[0].parent / "extra").write_text("extra")

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "elsewhere", "out", "out/a", "out/extra", "out/run", "out/run/x",
    ]  # fmt: skip
    assert out.report.extras == (Path("out/extra"),)


def test_the_directory_is_renamed_meanwhile(tmp_path):
    """Outputs and extras go where the directory is now: it is held open."""
    (tmp_path / "before").mkdir()
    with atomik.stage([tmp_path / "before" / "a"]) as out:
        out[0].write_text("a")
        (out[0].parent / "extra").write_text("extra")
        (tmp_path / "before").rename(tmp_path / "after")

    assert sorted(path.name for path in (tmp_path / "after").iterdir()) == ["a", "extra"]


def test_not_unasked(tmp_path):
    """With overwrite=False what exists is refused before the program starts."""
    (tmp_path / "a").write_text("old")
    with pytest.raises(atomik.FileAlreadyExistsError), atomik.stage([tmp_path / "b", tmp_path / "a"], overwrite=False):
        pytest.fail("the program was started")

    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_no_parents(tmp_path):
    """With parents=False a missing directory is refused at the start."""
    with pytest.raises(FileNotFoundError, match="parents"), atomik.stage([tmp_path / "no" / "a"], parents=False):
        pytest.fail("the program was started")


def test_what_makes_no_sense(tmp_path):
    """One path for several, the same output twice, a word that is none, a key that is none."""
    for single in ("a", b"a", Path("a")):
        with pytest.raises(TypeError, match="sequence"):
            atomik.stage(single)
    with pytest.raises(ValueError, match="two outputs"):
        atomik.stage([tmp_path / "a", f"{tmp_path}/b/../a"])
    with pytest.raises(ValueError, match="'keep'"):
        atomik.stage([tmp_path / "a"], extras="keep")
    with pytest.raises(ValueError, match="name a file"):
        atomik.stage(["/"]).open()
    with pytest.raises(KeyError):
        atomik.stage([tmp_path / "a"])["b"]
    with pytest.raises(ValueError, match="there is no root"):
        atomik.stage([tmp_path / "a"], root_tmp_dir=tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="taken once"), atomik.stage([tmp_path / "a", tmp_path / "link" / "a"]):
        pytest.fail("the program was started")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_nothing_to_do(tmp_path):
    """No outputs at all: nothing is made, and nothing is wrong."""
    with atomik.stage([]) as out:
        assert len(out) == 0

    assert out.state == "published"
    assert out.report.outputs == {}


def test_only_documented_names_show():
    """`dir()` of what the user holds has what is documented, and no more."""
    stage = atomik.stage([])
    names = {name for name in dir(stage) if not name.endswith("__")}

    assert names == {
        "copy_old", "destination", "discard", "extras",
        "find", "is_written", "keep", "make_folder", "old", "open", "outcomes", "publish",
        "report", "resolved", "staged", "state",
    }  # fmt: skip
    assert {name for name in dir(stage.report) if not name.startswith("_")} == {
        "extras",
        "kept",
        "kept_extras",
        "outputs",
    }
    assert "outputs={}" in repr(stage.report)


def test_a_plugin_may_veto_one(tmp_path):
    """What the hooks see are the outputs; an error of theirs at one of them discards all."""

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "sealed" and publication.destination.name == "b":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), testing.watching(watch):
        with atomik.stage([tmp_path / "a", tmp_path / "b"]) as out:
            for key in out:
                out[key].write_text("new")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("old", ["file", "folder"])
def test_a_path_of_the_wrong_kind_is_kept(tmp_path, old):
    """What was made at a path where another kind stood from the start is kept, as a stage's is."""
    (tmp_path / "a").mkdir() if old == "folder" else (tmp_path / "a").write_text("old")
    with pytest.raises(OSError, match="everything is kept in"), atomik.path(tmp_path / "a", overwrite=True) as path:
        path.write_text("new") if old == "folder" else path.mkdir()

    [kept] = litter(tmp_path)
    assert os.listdir(kept) == ["a"]
    atomik.remove(kept)
