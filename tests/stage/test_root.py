"""A stage with a root: all outputs below it are staged in one folder, each at the place that it has there."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

import atomik
from atomik_core._os.names import wrapper_name
from support.namespace import command
from support.processes import run
from support.watch import descriptors, litter, no_leaks, tree


def lay_old(outputs):
    """Make an old version of each output, in a directory of its own."""
    for output in outputs:
        output.parent.mkdir()
        output.write_text("old")


def test_outputs_lie_to_each_other_as_in_the_root(tmp_path):
    """A program that goes from one output to another, or to a neighbour's directory, gets where it would without a stage."""
    with atomik.stage({"a": tmp_path / "x" / "a", "b": tmp_path / "y" / "z" / "b"}, root=tmp_path) as out:
        out["a"].write_text("a")
        beside = out["a"].parent / ".." / "y" / "z"
        (beside / "b").write_text("b")
        (beside / "b.idx").write_text("beside b")
        (out["a"].parent.parent / "summary").write_text("in the root")

    assert {name: (tmp_path / name).read_text() for name in ("x/a", "y/z/b", "y/z/b.idx", "summary")} == {
        "x/a": "a",
        "y/z/b": "b",
        "y/z/b.idx": "beside b",
        "summary": "in the root",
    }
    assert set(out.report.extras) == {tmp_path / "y" / "z" / "b.idx", tmp_path / "summary"}
    assert litter(tmp_path) == []


def test_links_between_directories(tmp_path):
    """A link from one output to another one leads there when both are published, be it relative, reckoned or absolute."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "input").write_text("input")
    outputs = {name: tmp_path / name[0] / name for name in ("data", "relative", "absolute", "far")}
    with atomik.stage(outputs, root=tmp_path) as out:
        out["data"].write_text("data")
        out["relative"].symlink_to(os.path.relpath(out["data"], out["relative"].parent))
        out["absolute"].symlink_to(out["data"])
        out["far"].symlink_to(os.path.relpath(tmp_path / "kept" / "input", out["far"].parent))

    assert os.readlink(tmp_path / "r" / "relative") == "../d/data"
    assert os.readlink(tmp_path / "a" / "absolute") == str(tmp_path / "d" / "data")
    assert os.readlink(tmp_path / "f" / "far") == "../kept/input"
    assert (tmp_path / "f" / "far").read_text() == "input"


def test_relative_to_the_working_directory(tmp_path, monkeypatch):
    """`root="."` is the working directory of the moment, whatever it is when the stage ends."""
    monkeypatch.chdir(tmp_path)
    with atomik.stage(["x/a", "y/b/"], root=".") as out:
        out[0].write_text("a")
        out[1].mkdir()
        (out[0].parent / "c").write_text("c")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

    assert set(tree(tmp_path)) == {".", "x", "x/a", "x/c", "y", "y/b", "elsewhere"}


def test_a_program_that_made_nothing(tmp_path):
    """The folders of the stage are not the program's work, and nothing of them is left."""
    with pytest.raises(atomik.NothingStagedError, match="x/a'"):
        with atomik.stage([tmp_path / "x" / "a", tmp_path / "y" / "b"], root=tmp_path) as out:
            out[1].write_text("b")

    [kept] = litter(tmp_path)
    assert set(tree(kept)) == {".", "y", "y/b"}
    assert out.report.outputs == {0: "missing", 1: "published"}
    atomik.remove(kept)


def test_refused_extras_are_named_by_where_they_would_be(tmp_path):
    """The error names them at the places that they would have had, and everything is kept with its directories."""
    with pytest.raises(atomik.ExtrasError, match=rf"'{tmp_path}/summary', '{tmp_path}/x/a.idx'"):
        with atomik.stage([tmp_path / "x" / "a"], root=tmp_path, extras="refuse") as out:
            out[0].write_text("a")
            out[0].with_suffix(".idx").write_text("beside")
            (out[0].parent.parent / "summary").write_text("in the root")

    [kept] = litter(tmp_path)
    assert set(tree(kept)) == {".", "summary", "x", "x/a", "x/a.idx"}
    atomik.remove(kept)


def test_what_lies_elsewhere(tmp_path):
    """An output that does not lie in the root is staged beside its destination, and published with the others."""
    (tmp_path / "root").mkdir()
    with atomik.stage([tmp_path / "root" / "x" / "a", tmp_path / "b"], root=tmp_path / "root") as out:
        assert out[1].parent.parent == tmp_path
        for key in out:
            out[key].write_text("new")

    assert set(tree(tmp_path)) == {".", "root", "root/x", "root/x/a", "b"}


@pytest.mark.system
def test_what_is_on_another_mount(mounts):
    """An output in a mount below the root is staged there: a rename would not reach it."""
    root = mounts("ext4")
    (root / "mounted").mkdir()
    command("mount", "-t", "tmpfs", "tmpfs", root / "mounted")
    try:
        with atomik.stage([root / "a", root / "mounted" / "b"], root=root) as out:
            assert out[1].parent.parent == root / "mounted"
            for key in out:
                out[key].write_text("new")
        assert (root / "mounted" / "b").read_text() == "new"
    finally:
        command("umount", root / "mounted")


@pytest.mark.system
def test_what_a_directory_passes_on(mounts):
    """What is made for a directory with the setgid bit and a default ACL has its group and that ACL, as made there."""
    root = mounts("ext4")
    (root / "shared").mkdir()
    os.chown(root / "shared", -1, 4242)
    (root / "shared").chmod(0o2775)
    command("setfacl", "-d", "-m", "u:4243:rw", root / "shared")
    with atomik.stage([root / "shared" / "a", root / "plain" / "b"], root=root) as out:
        for key in out:
            out[key].write_text("new")
        out[0].with_suffix(".idx").write_text("beside")

    for name in ("a", "a.idx"):
        assert (root / "shared" / name).stat().st_gid == 4242
        assert b"4243" in subprocess.check_output(["getfacl", "-n", root / "shared" / name], stderr=subprocess.DEVNULL)
    assert (root / "plain" / "b").stat().st_gid == os.getegid()


@pytest.mark.system
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "exfat"])
def test_on_every_filesystem(mounts, kind):
    """Files and folders in several directories: new, then in place of the old ones, where folders can be replaced."""
    root = mounts(kind)
    outputs = [root / "x" / "a", f"{root}/y/d/", root / "y" / "d" / "inner"]
    for number, text in enumerate(("1", "2")):
        if number and not atomik.probe(root).exchange:
            outputs = outputs[:1]
        with atomik.stage(outputs, root=root) as out:
            out[0].write_text(text)
            if len(outputs) > 1:
                out[2].write_text(text)
                (out[1] / text).write_text(text)
        assert (root / "x" / "a").read_text() == text
        if len(outputs) > 1:
            assert sorted(os.listdir(root / "y" / "d")) == [text, "inner"]


@pytest.mark.system
@pytest.mark.parametrize("sync", ["full", "off"])
@pytest.mark.parametrize("old", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_more_directories_than_descriptors(mounts, few_descriptors, kind, old, sync):
    """400 outputs in 400 directories with 256 descriptors, and what was made beside them: all are published."""
    root = mounts("ext4")
    outputs = [f"{root}/{number}/a{'/' if kind == 'folder' else ''}" for number in range(400)]
    before = len(descriptors())
    with no_leaks():
        for text in ("old", "new") if old else ("new",):
            with atomik.stage(outputs, root=root, sync=sync) as out:
                for key in out:
                    if kind == "folder":
                        out[key].mkdir()
                    (out[key] / "x" if kind == "folder" else out[key]).write_text(text)
                    out[key].with_suffix(".idx").write_text(text)
                assert len(descriptors()) - before < 100

    made = [Path(output, "x" if kind == "folder" else "") for output in outputs]
    assert {path.read_text() for path in made} == {"new"}
    assert {Path(output.rstrip("/")).with_suffix(".idx").read_text() for output in outputs} == {"new"}
    assert litter(root) == []


@pytest.mark.system
def test_many_directories_are_as_before_if_one_cannot_be_replaced(mounts, few_descriptors):
    """A rival's folder where the last of 300 files is to be: all the others are taken back, in directories long closed."""
    root = mounts("ext4")
    outputs = [root / str(number) / "a" for number in range(300)]
    lay_old(outputs[::2])
    before = tree(root)
    with pytest.raises(atomik.FileAlreadyExistsError), atomik.stage(outputs[1::2], root=root, overwrite=False) as out:
        for key in out:
            out[key].write_text("new")
        outputs[0].rename(outputs[-1])
    outputs[-1].rename(outputs[0])
    outputs[-1].parent.rmdir()
    assert tree(root) == before


@pytest.mark.system
def test_many_directories_of_which_one_holds_a_folder(mounts, few_descriptors):
    """Somebody puts a folder in the place of one of 150 files: nothing is published, and the work is kept."""
    root = mounts("ext4")
    outputs = [root / str(number) / "a" for number in range(150)]
    lay_old(outputs)
    with pytest.raises(IsADirectoryError, match="kept in"), atomik.stage(outputs, root=root) as out:
        for key in out:
            out[key].write_text("new")
        outputs[-1].unlink()
        outputs[-1].mkdir()
    assert {output.read_text() for output in outputs[:-1]} == {"old"}
    [kept] = litter(root)
    assert {(kept / output.relative_to(root)).read_text() for output in outputs} == {"new"}
    atomik.remove(kept)


@pytest.mark.system
def test_a_directory_that_is_moved_while_it_is_closed(mounts, few_descriptors):
    """One of many directories is moved away in the block: what was to go there is published at its path, made anew."""
    root = mounts("ext4")
    outputs = [root / str(number) / "a" for number in range(200)]
    lay_old(outputs)
    with no_leaks(), atomik.stage(outputs, root=root) as out:
        for key in out:
            out[key].write_text("new")
        (root / "5").rename(root / "moved")
    assert {output.read_text() for output in outputs} == {"new"}
    assert (root / "moved" / "a").read_text() == "old"

    with pytest.raises(FileNotFoundError, match="kept in"), atomik.stage(outputs, root=root, parents=False) as out:
        for key in out:
            out[key].write_text("newer")
        (root / "5").rename(root / "moved again")
    assert {output.read_text() for output in outputs if output.exists()} == {"new"}
    [kept] = litter(root)
    assert (kept / "5" / "a").read_text() == "newer"
    atomik.remove(kept)


@pytest.mark.system
def test_killed(tmp_path):
    """What a killed process leaves is one folder in the root, which `clean` finds there and removes."""
    child = os.fork()
    if not child:
        out = atomik.stage([tmp_path / "x" / "a", tmp_path / "y" / "b"], root=tmp_path).open()
        out[0].write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    [left] = atomik.leftovers(tmp_path)
    assert left.live is False
    assert atomik.leftovers(tmp_path / "x") == []
    assert len(atomik.clean(tmp_path)) == 1
    assert set(tree(tmp_path)) == {".", "x", "y"}


@pytest.mark.system
def test_the_staging_folder_may_be_elsewhere(mounts):
    """With `root_tmp_dir` it is made there; what a rename from there would not reach is staged beside its destination."""
    root = mounts("ext4")
    (root / "hidden").mkdir()
    (root / "mounted").mkdir()
    command("mount", "-t", "tmpfs", "tmpfs", root / "mounted")
    try:
        with atomik.stage(
            [root / "x" / "a", root / "mounted" / "b", f"{root}/y/d/"], root=root, root_tmp_dir=root / "hidden"
        ) as out:
            assert out[0].parent.parent.parent == root / "hidden"
            assert os.path.relpath(out[2], out[0]) == "../../y/d"
            assert out[1].parent.parent == root / "mounted"
            out[0].write_text("new")
            out[1].write_text("new")
            out[2].mkdir()
            out[0].with_suffix(".idx").write_text("beside")
        assert (root / "mounted" / "b").read_text() == (root / "x" / "a").read_text() == "new"
        assert (root / "x" / "a.idx").read_text() == "beside"
        assert (root / "y" / "d").is_dir()
        assert os.listdir(root / "hidden") == []
    finally:
        command("umount", root / "mounted")


def test_a_hidden_folder_that_makes_no_sense(tmp_path):
    """One in an output, by a link, too, is refused before anything is touched; of one that is missing the error says just that."""
    (tmp_path / "d" / "hidden").mkdir(parents=True)
    (tmp_path / "link").symlink_to("d")
    for hidden in ("d", "d/hidden", "link/hidden"):
        with pytest.raises(ValueError, match="lies inside the output"):
            atomik.stage([tmp_path / "d"], root=tmp_path, root_tmp_dir=tmp_path / hidden)
    (tmp_path / "o").symlink_to("d/hidden")
    with pytest.raises(ValueError, match="lies inside the output"):
        atomik.stage([tmp_path / "o"], root=tmp_path, root_tmp_dir=tmp_path / "d" / "hidden")
    atomik.stage([tmp_path / "o"], root=tmp_path, root_tmp_dir=tmp_path / "d" / "hidden", follow_symlinks=False)

    with pytest.raises(FileNotFoundError, match="gone', where to stage, cannot be opened"):
        atomik.stage([tmp_path / "new" / "a"], root=tmp_path, root_tmp_dir=tmp_path / "gone").open()
    assert set(tree(tmp_path)) == {".", "d", "d/hidden", "link", "o"}


KILLED_WHILE_PUBLISHING = """
import os, signal, sys
import atomik
from atomik_core import testing

root, elsewhere, hidden = sys.argv[1:]

def die(publication, step):
    if step == "published":
        os.kill(os.getpid(), signal.SIGKILL)

with testing.watching(die):
    outputs = {"b": f"{elsewhere}/b", "d": f"{root}/x/d"}
    with atomik.stage(outputs, root=root, root_tmp_dir=f"{root}/hidden" if hidden else None) as out:
        out["d"].mkdir()
        (out["d"] / "new").touch()
        out["b"].write_bytes(b"new")
"""


@pytest.mark.system
@pytest.mark.parametrize("hidden", ["hidden", ""])
def test_killed_while_it_publishes(mounts, hidden):
    """All that is left, beside destinations, too, goes with the staging folder, in which it is noted; what lives stays."""
    root, elsewhere = mounts("ext4"), mounts("tmpfs")
    (root / "hidden").mkdir()
    (root / "x" / "d").mkdir(parents=True)
    (root / "x" / "d" / "old").touch()
    with atomik.stage([root / "x" / "alive"]) as alive:
        assert run(KILLED_WHILE_PUBLISHING, root, elsewhere, hidden).code == -signal.SIGKILL
        place = root / hidden
        left = {
            path: sorted(each.live is True for each in atomik.leftovers(path))
            for path in (place, root / "x", elsewhere)
        }
        assert left == {place: [False, False, False], root / "x": [False, True], elsewhere: [False]}

        listed = atomik.leftovers(place)
        assert {each.path for each in atomik.clean(place)} == {each.path for each in listed}

        assert atomik.leftovers(place) == atomik.leftovers(elsewhere) == []
        assert os.listdir(elsewhere) == ["b"]
        assert os.listdir(root / "x" / "d") == ["new"]
        alive[0].write_text("alive")
    assert (root / "x" / "alive").read_text() == "alive"


def test_notes_that_lead_in_a_circle(tmp_path):
    """Notes of other notes, of itself, of what is no directory: each is cleaned by who cleans its directory, no link is followed."""
    first, second = tmp_path / "first", tmp_path / "second"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("data")
    for place, other in ((first, second), (second, first)):
        staged = place / wrapper_name()
        staged.mkdir(parents=True)
        for number, noted in enumerate((place, other, tmp_path / "data", tmp_path / "gone", "relative")):
            (staged / f".atomik-directory-{number}").symlink_to(noted)
    assert len(atomik.clean(first)) == len(atomik.clean(second)) == 1
    assert set(tree(tmp_path)) == {".", "first", "second", "data", "data/file"}


@pytest.mark.system
def test_with_a_tmp_dir(mounts):
    """The staging folder is in the tmp_dir, on another filesystem, too; paths in it are still those from the root."""
    root, elsewhere = mounts("ext4"), mounts("tmpfs")
    with atomik.stage([root / "x" / "a", f"{root}/y/b/"], root=root, tmp_dir=elsewhere) as out:
        assert elsewhere in out[0].parents
        assert os.path.relpath(out[1], out[0]) == "../../y/b"
        out[0].write_text("new")
        out[1].mkdir()
        (out[1] / "c").write_text("new")
    assert {path for path in tree(root) if "lost" not in path} == {".", "x", "x/a", "y", "y/b", "y/b/c"}
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("inherit", [True, False])
def test_the_mode_of_what_is_replaced(tmp_path, inherit):
    """It is taken over, or, if that was not wanted, is that with which the program made the new version."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o600)
    os.setxattr(tmp_path / "a", "user.mark", b"old")
    with atomik.stage([tmp_path / "a"], inherit=inherit) as out:
        out[0].write_text("new")
        out[0].chmod(0o755)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == (0o600 if inherit else 0o755)
    assert os.listxattr(tmp_path / "a") == (["user.mark"] if inherit else [])


def test_links_that_are_not_followed(tmp_path):
    """With `follow_symlinks=False` a link at the destination is replaced, and what it leads to stays."""
    (tmp_path / "real").write_text("real")
    (tmp_path / "a").symlink_to("real")
    with atomik.stage([tmp_path / "a"], follow_symlinks=False) as out:
        out[0].write_text("new")

    assert not (tmp_path / "a").is_symlink()
    assert [(tmp_path / name).read_text() for name in ("a", "real")] == ["new", "real"]
