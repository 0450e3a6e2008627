"""A stage with a root through which other mounts can be reached: each has one staging folder, below its topmost directory there."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

import atomik
from support.namespace import command
from support.processes import run
from support.watch import descriptors, litter, no_leaks, tree

pytestmark = pytest.mark.system

#: What a program does that finds all other paths from that of its first output.
DERIVES = """
here=$(dirname "$1"); mkdir -p "$here/../logs"
echo x > "$1"; echo y > "$here/../b/y"; echo log > "$here/../logs/x.log"; echo top > "$here/../top"; echo idx > "$1.idx"
"""


@pytest.fixture(params=["link", "mount point", "staging folder elsewhere"])
def elsewhere(request, mounts):
    """A root, a directory in it whose outputs the root's staging folder cannot take, and where that folder is to be."""
    root = mounts("ext4")
    if request.param == "staging folder elsewhere":
        yield root, root, mounts("tmpfs")
        return
    (root / "hidden").mkdir()
    if request.param == "link":
        (root / "results").symlink_to(mounts("tmpfs"))
    else:
        (root / "results").mkdir()
        command("mount", "-t", "tmpfs", "tmpfs", root / "results")
    yield root, root / "results", root / "hidden"
    if request.param == "mount point":
        command("umount", root / "results")


def files(folder):
    """What is in the files of a folder, and where links in it lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_text().strip()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_program_that_goes_to_a_neighbour_directory(elsewhere):
    """What it derives from one staged path is right as far up as the directory on the other mount, and is published there."""
    root, top, hidden = elsewhere
    with atomik.stage([top / "a" / "x", top / "b" / "y"], root=root, root_tmp_dir=hidden) as out:
        assert out[0].parent.parent.parent == top
        subprocess.run(["sh", "-ec", DERIVES, "sh", out[0]], check=True)
        assert set(out.extras()) == {top / "a" / "x.idx", top / "logs", top / "top"}
        assert [path for path in files(top) if not path.startswith(".atomik-")] == []

    assert files(top) == {"a/x": "x", "a/x.idx": "idx", "b/y": "y", "logs/x.log": "log", "top": "top"}
    assert out.report.outputs == {0: "published", 1: "published"}
    assert os.listdir(hidden) == []


def test_links_within_a_mount_and_from_one_to_another(elsewhere):
    """Links lead where they should from their destinations, and before that `resolved` finds what they will lead to."""
    root, top, hidden = elsewhere
    (hidden / "held").mkdir()
    paths = {"x": top / "a" / "x", "near": top / "b" / "near", "d": f"{top}/d/", "held": hidden / "held" / "far"}
    with atomik.stage(paths, root=root, root_tmp_dir=hidden) as out:
        out["x"].write_text("x")
        (out["x"].parent.parent / "top").write_text("top")
        out["near"].symlink_to("../a/x")
        out["d"].mkdir()
        (out["d"] / "beside").symlink_to("../top")
        (out["d"] / "absolute").symlink_to(out["x"])
        out["held"].symlink_to(os.path.relpath(os.path.realpath(out["x"]), os.path.realpath(out["held"].parent)))
        assert [out.resolved(key) for key in ("near", "held")] == [out["x"], out["x"]]

    expected = {"a/x": "x", "b/near": "../a/x", "d/absolute": str(top / "a" / "x"), "d/beside": "../top", "top": "top"}
    assert files(top).items() >= expected.items()
    assert [path.read_text() for path in (paths["near"], paths["held"], Path(paths["d"]) / "beside")] == [
        "x",
        "x",
        "top",
    ]


def test_outputs_in_outputs_and_in_the_topmost_directory(elsewhere):
    """An output directly in the topmost directory shares its folder with those below, and one in a folder lies in that."""
    root, top, hidden = elsewhere
    with atomik.stage([f"{top}/s/d/", top / "s" / "d" / "e" / "x", top / "y"], root=root, root_tmp_dir=hidden) as out:
        (out[0] / "z").write_text("z")
        out[1].write_text("x")
        (out[1].parent / ".." / ".." / ".." / "y").write_text("y")

    assert files(top) == {"s/d/z": "z", "s/d/e/x": "x", "y": "y"}


def test_work_that_is_not_published(elsewhere):
    """If an output is missing or an extra is refused, everything is kept in the topmost directory, each at its path below it."""
    root, top, hidden = elsewhere
    with pytest.raises(atomik.ExtrasError, match=f"'{top}/log'"):
        with atomik.stage([top / "a" / "x"], root=root, root_tmp_dir=hidden, extras="refuse") as out:
            out[0].write_text("x")
            (out[0].parent.parent / "log").write_text("log")
    [kept] = litter(top)
    assert (kept.parent, files(kept)) == (top, {"a/x": "x", "log": "log"})
    atomik.remove(kept)

    with pytest.raises(atomik.NothingStagedError, match=f"kept in '{top}/atomik-kept-"):
        with atomik.stage([top / "a" / "x", top / "b" / "y"], root=root, root_tmp_dir=hidden) as out:
            out[1].write_text("y")
    [kept] = litter(top)
    assert (kept.parent, files(kept)) == (top, {"b/y": "y"})
    atomik.remove(kept)

    with atomik.stage([top / "a" / "x", top / "b" / "y"], root=root, root_tmp_dir=hidden) as out:
        out[0].write_text("x")
        [kept] = out.keep()
    assert (kept.parent, files(kept)) == (top, {"a/x": "x"})
    atomik.remove(kept)


KILLED = """
import os, signal, sys
import atomik

root, top, hidden = sys.argv[1:]
out = atomik.stage([f"{top}/a/x", f"{top}/b/y"], root=root, root_tmp_dir=hidden).open()
for key in out:
    out[key].write_text("half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed(elsewhere):
    """What a killed process has left on the other mount is found, and removed, where the root's staging folder was."""
    root, top, hidden = elsewhere
    assert run(KILLED, root, top, hidden).code == -signal.SIGKILL

    assert {each.path.parent for each in atomik.leftovers(hidden)} == {hidden, top}
    assert len(atomik.clean(hidden)) == 2
    assert atomik.leftovers(top) == []
    assert {path for path in tree(top) if "lost" not in path} == {".", "a", "b"} | ({"hidden"} & set(os.listdir(top)))


@pytest.mark.parametrize("attribute", ["a", "i"], ids=["append only", "immutable"])
def test_a_topmost_directory_that_takes_no_folder(mounts, attribute):
    """The next one below it takes the staging folder, and what lies in the same one of these still shares it."""
    root, scratch = mounts("tmpfs"), mounts("ext4")
    (scratch / "mine" / "a").mkdir(parents=True)
    (scratch / "mine" / "b").mkdir()
    (root / "results").symlink_to(scratch)
    mine = root / "results" / "mine"
    command("chattr", f"+{attribute}", scratch)
    try:
        with atomik.stage([mine / "a" / "x", mine / "b" / "y"], root=root) as out:
            assert {out[key].parent.parent.parent for key in out} == {mine}
            subprocess.run(["sh", "-ec", DERIVES, "sh", out[0]], check=True)
    finally:
        command("chattr", f"-{attribute}", scratch)
    assert files(scratch / "mine") == {"a/x": "x", "a/x.idx": "idx", "b/y": "y", "logs/x.log": "log", "top": "top"}


def test_one_directory_by_two_links(mounts):
    """Two links in the root that lead to one directory of another mount: outputs by either share its staging folder."""
    root, scratch = mounts("ext4"), mounts("tmpfs")
    for name in ("one", "two"):
        (root / name).symlink_to(scratch)
    with atomik.stage([root / "one" / "a" / "x", root / "two" / "b" / "y"], root=root) as out:
        subprocess.run(["sh", "-ec", DERIVES, "sh", out[0]], check=True)
    assert files(scratch) == {"a/x": "x", "a/x.idx": "idx", "b/y": "y", "logs/x.log": "log", "top": "top"}


def test_a_path_that_goes_back_behind_a_link(mounts):
    """`link/../x` lies beside what the link leads to, wherever the text of the path would have it, and so does what is beside it."""
    root, scratch = mounts("ext4"), mounts("tmpfs")
    (scratch / "inner").mkdir()
    (root / "link").symlink_to(scratch / "inner")
    with atomik.stage([f"{root}/link/../x"], root=root) as out:
        out[0].write_text("x")
        out[0].with_name("x.idx").write_text("idx")
    assert files(scratch) == {"x": "x", "x.idx": "idx"}
    assert files(root) == {"link": str(scratch / "inner")}


def test_more_directories_than_descriptors(mounts, few_descriptors):
    """400 outputs in 400 directories on another mount than the root, with 256 descriptors."""
    root, scratch = mounts("tmpfs"), mounts("ext4")
    (root / "results").symlink_to(scratch)
    before = len(descriptors())
    with no_leaks(), atomik.stage([root / "results" / str(number) / "a" for number in range(400)], root=root) as out:
        for key in out:
            out[key].write_text("new")
        assert len(descriptors()) - before < 100
    assert {(scratch / str(number) / "a").read_text() for number in range(400)} == {"new"}
