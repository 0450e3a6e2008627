"""Each public call in each place, against what the documentation's table of filesystems says of it."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, FOLDER, PATH_TO_FOLDER, SHAPES, each_shape
from lab.guest.places import elsewhere, settle
from support.watch import litter

EVERYWHERE = ("ext4", "xfs", "btrfs", "f2fs", "overlay", "nfs4.2", "nfs3", "smb3")
pytestmark = pytest.mark.places(*EVERYWHERE)


#: What the row of the documentation's table begins with, for each kind of place.
ROWS = {
    "ext4": "ext4, ",
    "xfs": "ext4, ",
    "btrfs": "ext4, ",
    "f2fs": "ext4, ",
    "overlay": "overlayfs",
    "nfs4.2": "NFS",
    "nfs3": "NFS",
    "smb3": "SMB",
}


def table(kind):
    """What the documentation says of this kind of place, by the heading of the column, without footnotes."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "filesystems.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    cells = [[re.sub(r"[ ¹²³⁴⁵⁶]+$", "", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    row = next(row for row in cells if row[0].startswith(ROWS[kind]))
    return dict(zip(cells[0], row, strict=True))


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """Fail a test that leaves litter, in its place or on the other filesystem."""
    there = request.getfixturevalue("place").path if "place" in request.fixturenames else None
    yield
    left = [found for folder in (there, elsewhere()) if folder is not None for found in litter(folder)]
    assert not left


@pytest.mark.quick
@each_shape
def test_new(kernel, user, place, shape):
    """What is new is there at the end of the block, for both clients, and a second time it is refused."""
    says = table(place.kind)
    assert says["new folder" if shape.is_folder else "new file"].startswith("yes")

    shape.publish(place / "a", "new")
    assert shape.read(place / "a") == "new"
    assert place.peer is None or shape.read(place.peer / "a") == "new"
    with pytest.raises(atomik.FileAlreadyExistsError):
        shape.publish(place / "a", "newer")

    assert shape.read(place / "a") == "new"
    assert os.listdir(place.path) == ["a"]


@pytest.mark.quick
@each_shape
def test_replaced(kernel, user, place, shape):
    """What the table says can be replaced is; what cannot is refused before the block, and stays."""
    says = table(place.kind)["replace a folder" if shape.is_folder else "replace a file"]
    shape.lay(place / "a", "old")
    settle(place)
    if says.startswith(("yes", "not one of the image")):
        shape.publish(place / "a", "new", overwrite=True)
        assert shape.read(place / "a") == "new"
    else:
        assert says == "only an empty one"
        with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE") as caught:
            with shape.call(place / "a", overwrite=True):
                pytest.fail("the block began")
        assert caught.value.errno == errno.EINVAL
        assert shape.read(place / "a") == "old"

    assert os.listdir(place.path) == ["a"]


@pytest.mark.parametrize("shape", [FOLDER, PATH_TO_FOLDER], ids=["folder", "path-folder"])
def test_an_empty_folder_is_replaced(kernel, user, place, shape):
    """An empty folder is replaced everywhere."""
    (place / "a").mkdir()
    shape.publish(place / "a", "new", overwrite=True)
    assert shape.read(place / "a") == "new"


@each_shape
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_durability(kernel, user, place, shape, sync):
    """Each level of durability can be had."""
    shape.publish(place / "a", "new", sync=sync)
    assert shape.read(place / "a") == "new"


@each_shape
def test_an_exception(kernel, user, place, shape):
    """An exception in the block leaves nothing at all."""
    with pytest.raises(ZeroDivisionError), shape.call(place / "a") as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError
    assert os.listdir(place.path) == []


@each_shape
def test_a_rival_in_the_block(kernel, user, place, shape):
    """What another client makes at the destination meanwhile stays, and nothing of ours does."""
    there = place.peer or place.path
    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(place / "a") as handle:
        shape.fill(handle, "new")
        shape.lay(there / "a", "theirs")
    assert shape.read(place / "a") == "theirs"
    assert os.listdir(place.path) == ["a"]


@pytest.mark.quick
@pytest.mark.parametrize("name", ["file", "folder"])
def test_killed(kernel, user, place, name):
    """What a killed publication leaves is what the table says, and `clean` removes it."""
    says = table(place.kind)
    child = os.fork()
    if not child:
        publication = getattr(atomik, name)(place / "a")
        SHAPES[name].fill(publication.open(), "new")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    left = atomik.leftovers(place.path)
    # overlayfs has unnamed files in newer kernels only (a footnote of the table).
    nothing = (
        name == "file" and says["a killed `file()` leaves"] == "nothing" and (place.kind, kernel) != ("overlay", "6.1")
    )
    assert len(left) == (0 if nothing else 1)
    known = says["locks"] != "unknown"
    assert [found.live for found in left] == [False if known else None] * len(left)
    removed = atomik.clean(place.path)
    assert len(removed) == (len(left) if known else 0)
    atomik.clean(place.path, force=True)
    assert os.listdir(place.path) == []


@pytest.mark.quick
def test_probe(kernel, user, place):
    """What `probe` finds is what the table says."""
    says, able = table(place.kind), atomik.probe(place.path)

    assert {"exact": "exact", "files": "of files"}.get(able.locks, able.locks) == says["locks"]
    assert able.exchange == (says["replace a folder"] != "only an empty one")
    assert os.listdir(place.path) == []


def test_modes_that_keep(kernel, user, place):
    """Appending, and changing a copy of what is there, in one instant."""
    (place / "a").write_text("old\n")
    settle(place)
    with atomik.file(place / "a", "a", overwrite=True) as file:
        file.write("new\n")
    with atomik.file(place / "a", "r+", overwrite=True) as file:
        file.write("OLD")
    assert (place / "a").read_text() == "OLD\nnew\n"


def test_permissions(kernel, user, place):
    """A mode that is asked for is the mode; SMB has none of its own."""
    with atomik.file(place / "a", permissions=0o640) as file:
        file.write("new")
    with atomik.folder(place / "b", permissions=0o750):
        pass
    if place.kind != "smb3":
        assert [stat.S_IMODE((place / name).stat().st_mode) for name in "ab"] == [0o640, 0o750]


def test_group(kernel, user, place):
    """A file and a folder, together or not at all."""
    (place / "b").mkdir()
    (place / "b" / "theirs").touch()
    with pytest.raises(atomik.FileAlreadyExistsError), atomik.group() as group:
        group.file(place / "a").open().write("new")
        (group.folder(place / "b").open() / "x").write_text("new")
    assert not (place / "a").exists()

    with atomik.group() as group:
        group.file(place / "a").open().write("new")
        (group.folder(place / "c").open() / "x").write_text("new")
    assert (place / "a").read_text() == (place / "c" / "x").read_text() == "new"


@pytest.mark.quick
def test_stage(kernel, user, place):
    """What a program makes at staged paths and beside them appears together, for both clients; what was there is replaced."""
    (place / "a").write_text("old")
    settle(place)
    with atomik.stage({"a": place / "a", "b": f"{place / 'b'}/", "c": place / "b" / "c"}) as out:
        assert out.old("a").read_text() == "old"
        out["a"].write_text("new")
        out["a"].with_name("a.idx").write_text("beside")
        out["c"].write_text("inside")
    there = place.peer or place.path

    assert sorted(os.listdir(place.path)) == ["a", "a.idx", "b"]
    assert [(there / name).read_text() for name in ("a", "a.idx", "b/c")] == ["new", "beside", "inside"]
    assert set(out.report.outputs.values()) == {"published"}
    assert [path.name for path in out.report.extras] == ["a.idx"]


@pytest.mark.quick
def test_stage_over_a_folder(kernel, user, place):
    """A stage replaces a folder where the table says that it can be replaced, and refuses before the block where not."""
    (place / "b").mkdir()
    (place / "b" / "x").write_text("old")
    stage = atomik.stage({"a": place / "a", "b": f"{place / 'b'}/"})
    if table(place.kind)["replace a folder"] == "only an empty one":
        with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE"), stage:
            pytest.fail("the block began")
        assert (place / "b" / "x").read_text() == "old"
        return
    with stage as out:
        out["a"].write_text("new")
        out["b"].mkdir()
        (out["b"] / "y").write_text("new")
    assert (place / "a").read_text() == "new"
    assert os.listdir(place / "b") == ["y"]


@pytest.mark.quick
def test_stage_that_fails(kernel, user, place):
    """If the program fails nothing of what it made is published, and what was there stays."""
    (place / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), atomik.stage([place / "a", place / "b"]) as out:
        out[0].write_text("new")
        out[0].with_name("a.idx").write_text("beside")
        raise ZeroDivisionError
    assert os.listdir(place.path) == ["a"]
    assert (place / "a").read_text() == "old"


def test_stage_killed(kernel, user, place):
    """What a killed stage leaves is one staging folder, which `clean` removes where the table says that locks are known."""
    child = os.fork()
    if not child:
        out = atomik.stage([place / "a", place / "b"]).open()
        out[0].write_text("new")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    assert len(atomik.leftovers(place.path)) == 1
    assert len(atomik.clean(place.path)) == (table(place.kind)["locks"] != "unknown")
    atomik.clean(place.path, force=True)
    assert os.listdir(place.path) == []


def test_stage_and_a_direct_write(kernel, user, place):
    """What a program writes to the destination itself stays, and is reported; if it is made twice, both are kept."""
    (place / "a").write_text("old")
    with atomik.stage({"a": place / "a", "b": place / "b"}) as out:
        (place / "a").write_text("written directly")
        (place / "b").write_text("written directly")
        out["b"].write_text("staged")

    assert out.report.outputs == {"a": "direct", "b": "published"}
    assert (place / "a").read_text() == "written directly"
    assert (place / "b").read_text() == "staged"
    assert out.report.kept["b"].read_text() == "written directly"
    out.report.kept["b"].unlink()


def test_symlink(kernel, user, place):
    """A symbolic link appears, and is replaced, in one instant, for both clients."""
    atomik.symlink("releases/1", place / "current")
    with pytest.raises(atomik.FileAlreadyExistsError):
        atomik.symlink("releases/2", place / "current")
    atomik.symlink("releases/2", place / "current", overwrite=True)

    assert os.readlink(place / "current") == "releases/2"
    assert place.peer is None or os.readlink(place.peer / "current") == "releases/2"
    assert os.listdir(place.path) == ["current"]


@each_shape
def test_tmp_dir(kernel, user, place, shape):
    """What is staged on another filesystem is copied, then published as ever."""
    shape.publish(place / "a", "new", tmp_dir=elsewhere())
    assert shape.read(place / "a") == "new"
    assert os.listdir(place.path) == ["a"]


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_copy(kernel, user, place, shape):
    """Copies in, here and out."""
    out = elsewhere() / f"{user}-{place.kind}-{shape.is_folder}"
    shape.lay(place / "a", "x")
    try:
        atomik.copy(place / "a", place / "b")
        atomik.copy(place / "b", out)
        atomik.copy(out, place / "c")
        assert [shape.read(path) for path in (place / "b", out, place / "c")] == ["x"] * 3
    finally:
        atomik.remove(out)


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_rename_and_remove(kernel, user, place, shape):
    """Renamed to a free name, refused for a taken one, removed in one instant."""
    shape.lay(place / "a", "x")
    shape.lay(place / "b", "y")
    with pytest.raises(atomik.FileAlreadyExistsError):
        atomik.rename(place / "a", place / "b")
    atomik.rename(place / "a", place / "c")
    atomik.remove(place / "b")
    assert shape.read(place / "c") == "x"
    assert os.listdir(place.path) == ["c"]


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_exchange(kernel, user, place, shape):
    """Exchanged where folders can be replaced, refused elsewhere."""
    shape.lay(place / "a", "x")
    shape.lay(place / "b", "y")
    if atomik.probe(place.path).exchange:
        atomik.exchange(place / "a", place / "b")
        assert shape.read(place / "a") == "y"
    else:
        with pytest.raises(atomik.UnsupportedFilesystemError):
            atomik.exchange(place / "a", place / "b")
        assert shape.read(place / "a") == "x"


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_snapshot(kernel, user, place, shape):
    """A version is held while it is read; one of a folder only where every writer would see that (the table's "exact")."""
    shape.lay(place / "a", "x")
    if shape.is_folder and table(place.kind)["locks"] != "exact":
        with pytest.raises(atomik.UnsupportedFilesystemError, match="lock"), atomik.snapshot(place / "a"):
            pytest.fail("the block began")
        return
    with atomik.snapshot(place / "a") as held:
        assert shape.read(Path(held)) == "x"


def test_a_reader_of_the_old_file(kernel, user, place):
    """Who has the old file open goes on reading it while it is replaced on the other client, or is told (ESTALE)."""
    (place / "a").write_text("old")
    with (place / "a").open() as reader:
        if place.kind == "smb3":
            pytest.skip("a server may refuse to replace a file that is open: see test_clients")
        FILE.publish((place.peer or place.path) / "a", "new", overwrite=True)
        try:
            seen = reader.read()
        except OSError as error:
            seen = errno.errorcode[error.errno or 0]
    assert seen in {"old", "ESTALE"}
    assert FILE.read(place / "a") == "new"
