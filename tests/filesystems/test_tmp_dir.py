"""`tmp_dir` anywhere: on the same filesystem it is renamed from there, from another one it is copied beside and published."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import atomik
from atomik_core import testing
from atomik_core._os import rename
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER, each_shape
from filesystems.extents import MIB, allocated, make_sparse
from support.filesystems import KINDS
from support.namespace import command
from support.needs import need_tool
from support.processes import Program
from support.state import ABSENT, state
from support.watch import tree
from support.watcher import Watcher

#: Where to stage and where to publish, and whether that is one filesystem.
PLACES = [
    pytest.param("ext4", "ext4", id="the same"),
    pytest.param("tmpfs", "ext4", id="from tmpfs to ext4"),
    pytest.param("ext4", "tmpfs", id="from ext4 to tmpfs"),
    pytest.param("btrfs", "xfs", id="from btrfs to xfs"),
    pytest.param("xfs", "btrfs", id="from xfs to btrfs"),
    pytest.param("ext4", "overlay", id="from ext4 to overlay"),
    pytest.param("overlay", "overlay-lower", id="from one overlay to another"),
    pytest.param("ext4", "bind", id="through a bind mount"),
    pytest.param("xfs", "xfs-project", id="into an xfs project"),
    pytest.param("bindfs", "ext4", id="from bindfs"),
    pytest.param("exfat", "ext4", id="from exFAT"),
    pytest.param("ext4", "bindfs", id="to bindfs"),
]
everywhere = pytest.mark.parametrize(("stage", "publish"), PLACES)


def places(mounts, stage: str, publish: str) -> tuple[Path, Path]:
    """A folder to stage in, and one to publish in."""
    return mounts.pair(publish) if publish in {"bind", "xfs-project"} else (mounts(stage), mounts(publish))


@everywhere
@each_shape
def test_new(mounts, stage, publish, shape):
    """What is staged elsewhere appears whole at its destination, with a new one's mode, and nothing is left anywhere."""
    here, there = places(mounts, stage, publish)
    with shape.call(there / "a", tmp_dir=here) as handle:
        shape.fill(handle, "new")
        assert not (there / "a").exists()
        assert os.listdir(there) == []

    assert shape.read(there / "a") == "new"
    if stage != "exfat":
        assert stat.S_IMODE((there / "a").stat().st_mode) == (0o755 if shape.is_folder else 0o644)
    assert os.listdir(there) == ["a"]
    assert os.listdir(here) == []


@pytest.mark.parametrize(("stage", "publish"), [place for place in PLACES if KINDS[str(place.values[1])].flags])
@each_shape
def test_overwriting(mounts, stage, publish, shape):
    """The old version is there until the new one is; it keeps mode, owner and attributes, also through exFAT."""
    here, there = places(mounts, stage, publish)
    shape.lay(there / "a", "old")
    os.chown(there / "a", 1, 2)
    (there / "a").chmod(0o2750 if shape.is_folder else 0o640)
    os.setxattr(there / "a", "user.note", b"kept")
    before = (there / "a").stat()

    with shape.call(there / "a", tmp_dir=here, overwrite=True) as handle:
        shape.fill(handle, "new")
        assert shape.read(there / "a") == "old"

    after = (there / "a").stat()
    assert shape.read(there / "a") == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(there / "a", "user.note") == b"kept"
    assert os.listdir(there) == ["a"]
    assert os.listdir(here) == []


@each_shape
def test_acl_through_a_filesystem_without(mounts, shape):
    """An ACL of the old version is kept though it was staged where there are none."""
    need_tool("setfacl")
    here, there = mounts("exfat"), mounts("ext4")
    shape.lay(there / "a", "old")
    command("setfacl", "-m", "u:1:rwx", there / "a")
    before = os.getxattr(there / "a", "system.posix_acl_access")

    shape.publish(there / "a", "new", tmp_dir=here, overwrite=True)

    assert os.getxattr(there / "a", "system.posix_acl_access") == before


@everywhere
@each_shape
def test_permissions(mounts, stage, publish, shape):
    """`permissions` is what is published, wherever it was staged."""
    here, there = places(mounts, stage, publish)

    shape.publish(there / "a", "new", tmp_dir=here, permissions=0o511)

    assert stat.S_IMODE((there / "a").stat().st_mode) == 0o511


@each_shape
def test_in_one_instant(mounts, shape):
    """However it arrives, who looks all the time sees nothing, then the first version, then the second."""
    here, there = mounts("tmpfs"), mounts("ext4")
    with Watcher(there / "a") as watcher:
        shape.publish(there / "a", "one" * 100_000, tmp_dir=here)
        one = state(there / "a")
        shape.publish(there / "a", "two" * 100_000, tmp_dir=here, overwrite=True)
        two = state(there / "a")

    assert set(watcher.history) <= {ABSENT, one, two}
    assert watcher.history == sorted(watcher.history, key=[ABSENT, one, two].index)


@everywhere
@each_shape
def test_a_rival_meanwhile(mounts, stage, publish, shape):
    """A rival's version stays, and what was staged elsewhere is discarded, on both sides."""
    here, there = places(mounts, stage, publish)

    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(there / "a", tmp_dir=here) as handle:
        shape.fill(handle, "new")
        shape.lay(there / "a", "theirs")

    assert shape.read(there / "a") == "theirs"
    assert os.listdir(there) == ["a"]
    assert os.listdir(here) == []


@everywhere
@each_shape
def test_discarded(mounts, stage, publish, shape):
    """An exception in the block leaves nothing, on either side."""
    here, there = places(mounts, stage, publish)

    with pytest.raises(ZeroDivisionError), shape.call(there / "a", tmp_dir=here) as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError

    assert os.listdir(there) == []
    assert os.listdir(here) == []


@pytest.mark.parametrize("stage", ["tmpfs", "ext4", "btrfs"])
@each_shape
def test_no_space_at_the_destination(mounts, stage, shape):
    """If the destination is full, the finished work is kept in `tmp_dir`, and the error says where; the old one stays."""
    here, there = mounts(stage), mounts.small("tmpfs" if stage != "tmpfs" else "ext4")
    shape.lay(there / "a", "old")
    before = tree(there)

    with pytest.raises(OSError, match=r"No space.*kept as") as caught:
        with shape.call(there / "a", tmp_dir=here, overwrite=True) as handle:
            shape.fill(handle, "x" * (12 * MIB))

    (kept,) = here.iterdir()
    assert kept.name.startswith("atomik-kept-")
    assert repr(str(kept)) in str(caught.value)
    assert caught.value.filename == str(there / "a")
    assert shape.read(kept) == "x" * (12 * MIB)
    assert tree(there) == before
    assert atomik.clean(here) == []
    atomik.copy(kept, here / "rescued")
    atomik.remove(kept)


@pytest.mark.parametrize("shape", [FILE, FOLDER, PATH_TO_FOLDER], ids=["file", "folder", "path-folder"])
def test_refused_where_the_destination_is_unable(mounts, shape):
    """What the destination's filesystem cannot do is found out there, not where it is staged, before the block."""
    here, there = mounts("ext4"), mounts("exfat")
    if shape.is_folder:
        shape.lay(there / "a", "old")

    with pytest.raises(atomik.UnsupportedFilesystemError):
        with shape.call(there / "a", tmp_dir=here, overwrite=shape.is_folder):
            pytest.fail("the block began")

    assert os.listdir(here) == []


@pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["file", "path-file"])
def test_sparse(mounts, shape):
    """On the way from one filesystem to another holes stay holes."""
    here, there = mounts("tmpfs"), mounts("ext4")
    content = make_sparse(here / "content")

    with atomik.path(there / "a", tmp_dir=here) as p:
        (here / "content").rename(p)

    assert (there / "a").read_bytes() == content
    assert allocated(there / "a") < MIB


def test_append_is_copied_twice_if_need_be(mounts):
    """Mode `a` starts from what is at the destination, wherever it is staged."""
    here, there = mounts("tmpfs"), mounts("ext4")
    (there / "a").write_text("old\n")

    with atomik.file(there / "a", "a", overwrite=True, tmp_dir=here) as f:
        f.write("new\n")

    assert (there / "a").read_text() == "old\nnew\n"


def test_what_is_no_tmp_dir(mounts):
    """A `tmp_dir` that is missing, is a file, or lies inside the destination is refused before the block."""
    folder = mounts("ext4")
    FOLDER.lay(folder / "a", "old")
    (folder / "file").touch()
    before = tree(folder)

    for tmp_dir, error in (
        ("missing", FileNotFoundError),
        ("file", NotADirectoryError),
        ("a", ValueError),
        ("a/sub", ValueError),
        ("a/../a/sub", ValueError),
    ):
        with pytest.raises(error, match="tmp_dir") as caught:
            with atomik.folder(folder / "a", overwrite=True, tmp_dir=f"{folder}/{tmp_dir}"):
                pytest.fail("the block began")
        if isinstance(caught.value, OSError):
            assert caught.value.filename == str(folder / "a")

    assert tree(folder) == before


@each_shape
def test_a_relative_tmp_dir(mounts, monkeypatch, shape):
    """A relative `tmp_dir` is what it was at the start, wherever the program goes meanwhile."""
    here, there = mounts("tmpfs"), mounts("ext4")
    monkeypatch.chdir(here.parent)
    with shape.call(there / "a", tmp_dir=here.name) as handle:
        os.chdir("/")
        shape.fill(handle, "new")

    assert shape.read(there / "a") == "new"
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("stage", "publish"), [("ext4", "ext4"), ("tmpfs", "ext4"), ("bindfs", "ext4"), ("btrfs", "xfs")]
)
@each_shape
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_right_after_the_instant(mounts, monkeypatch, stage, publish, shape, error):
    """An interrupt between the call that publishes and the next line: it is published, says so, and tidies both sides."""
    here, there = places(mounts, stage, publish)
    publication = shape.call(there / "a", tmp_dir=here)

    def then_raise(call):
        def wrapped(*arguments):
            call(*arguments)
            if arguments[-1] == "a":
                raise error

        return wrapped

    for name in ("link_unnamed", "new_file", "new_folder"):
        monkeypatch.setattr(rename, name, then_raise(getattr(rename, name)))
    handle = publication.open()
    shape.fill(handle, "new")
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            publication.publish()
    else:
        publication.publish()

    assert publication.state == "published"
    assert shape.read(there / "a") == "new"
    assert os.listdir(there) == ["a"]
    assert os.listdir(here) == []


@pytest.mark.parametrize("step", ["sealed", "synced"])
@each_shape
def test_failing_on_the_way(mounts, step, shape):
    """A failed sync discards; a failure of publishing itself keeps the work on the side where it is."""
    here, there = mounts("tmpfs"), mounts("ext4")

    def fail(_, reached):
        if reached == step:
            raise OSError(5, "Input/output error")

    with testing.watching(fail), pytest.raises(OSError, match="Input/output") as caught:
        shape.publish(there / "a", "new", tmp_dir=here)

    assert not (there / "a").exists()
    kept = [*here.iterdir(), *there.iterdir()]
    if step == "sealed":
        assert kept == []
        return
    assert "kept" in str(caught.value)
    assert shape.read(kept[0]) == "new"
    assert len(kept) == 1
    atomik.remove(kept[0])


KILLED = """
import sys
import atomik
import core.shapes

shape = getattr(core.shapes, sys.argv[1])
with shape.call(sys.argv[2], tmp_dir=sys.argv[3]) as handle:
    shape.fill(handle, "new")
    print("filled", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("shape", ["FILE", "FOLDER"])
def test_killed(mounts, shape):
    """What a killed process staged elsewhere is found there."""
    here, there = mounts("tmpfs"), mounts("ext4")
    with Program(KILLED, shape, there / "a", here) as program:
        program.line()
        program.kill()

    assert len(atomik.clean(here)) == (shape == "FOLDER")
    assert os.listdir(there) == []
    assert os.listdir(here) == []
