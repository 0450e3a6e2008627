"""As an ordinary user: what one may do, one's files may be published; what one may not do, is refused in time."""

from __future__ import annotations

import os
import stat

import pytest

from core.shapes import FILE, FOLDER
from support.processes import NOBODY, run

pytestmark = pytest.mark.system

SOURCE = """
import sys
import atomik
from core import shapes

shape, path, options = getattr(shapes, sys.argv[1]), shapes.Path(sys.argv[2]), eval(sys.argv[3])
try:
    with shape.call(path, **options) as handle:
        print("began")
        shape.fill(handle, "new")
    print("published")
except OSError as error:
    print(type(error).__name__, error.filename, error.strerror)
"""


@pytest.fixture(params=["tmpfs", "ext4"])
def theirs(request, mounts):
    """A directory that belongs to the ordinary user."""
    directory = mounts(request.param)
    os.chown(directory, NOBODY, NOBODY)
    return directory


@pytest.fixture(params=["FILE", "FOLDER", "PATH_TO_FILE", "PATH_TO_FOLDER"])
def name(request):
    """The name of each way to publish."""
    return request.param


def publish(name, path, **options):
    """Try to publish as the ordinary user; what was said, line by line."""
    finished = run(SOURCE, name, path, repr(options), user=NOBODY)
    assert finished.code == 0, finished
    assert all("the old version could not be removed" in line for line in finished.err.splitlines())
    return finished.out.splitlines()


def give(path):
    """Make PATH, and all in it, the ordinary user's."""
    for entry in [path, *path.rglob("*")]:
        os.chown(entry, NOBODY, NOBODY)


def shape_of(name):
    """The shape of that name."""
    return FOLDER if name.endswith("FOLDER") else FILE


def test_own(theirs, name):
    """In a directory of one's own everything can be published and overwritten."""
    assert publish(name, theirs / "a") == ["began", "published"]
    assert publish(name, theirs / "a", overwrite=True) == ["began", "published"]

    assert shape_of(name).read(theirs / "a") == "new"
    assert (theirs / "a").stat().st_uid == NOBODY
    assert os.listdir(theirs) == ["a"]


def test_directory_read_only(theirs, name):
    """In a directory that one may not write to, the error comes before the block, and names the destination."""
    shape_of(name).lay(theirs / "old", "old")
    theirs.chmod(0o555)

    for path, options in ((theirs / "a", {}), (theirs / "old", {"overwrite": True})):
        [answer] = publish(name, path, **options)
        assert answer.startswith(f"PermissionError {path} ")

    assert os.listdir(theirs) == ["old"]
    assert shape_of(name).read(theirs / "old") == "old"


def test_directory_of_somebody_else(mounts, name):
    """So it is in a directory that belongs to somebody else."""
    directory = mounts("tmpfs")

    [answer] = publish(name, directory / "a")

    assert answer.startswith("PermissionError")
    assert os.listdir(directory) == []


@pytest.mark.parametrize("mode", [0o555, 0o500, 0o000])
@pytest.mark.parametrize("name", ["FOLDER", "PATH_TO_FOLDER"])
def test_read_only_folder(theirs, name, mode):
    """A folder that its owner may not write to, nor anything in it, is replaced, keeps its mode, and nothing is left."""
    FOLDER.lay(theirs / "a", "old")
    give(theirs / "a")
    (theirs / "a" / "sub").chmod(mode)
    (theirs / "a").chmod(mode)

    assert publish(name, theirs / "a", overwrite=True) == ["began", "published"]

    assert FOLDER.read(theirs / "a") == "new"
    assert stat.S_IMODE((theirs / "a").stat().st_mode) == mode
    assert os.listdir(theirs) == ["a"]


def test_made_read_only(theirs):
    """A folder that is made read-only in the block, or is to be published so, is published."""
    source = """
import os, sys
import atomik

with atomik.path(sys.argv[1]) as p:
    p.mkdir()
    (p / "one").write_text("new")
    p.chmod(0o555)
with atomik.folder(sys.argv[2], permissions=0o555) as d:
    (d / "one").write_text("new")
    d.chmod(0o500)
"""
    assert run(source, theirs / "a", theirs / "b", user=NOBODY) == (0, "", "")

    for path in (theirs / "a", theirs / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o555
        assert (path / "one").read_text() == "new"


@pytest.mark.leaves_litter
@pytest.mark.parametrize("name", ["FOLDER", "PATH_TO_FOLDER"])
def test_folder_of_somebody_else(theirs, name):
    """A folder of somebody else in one's own directory is replaced; what one may not remove of it is a leftover, and logged."""
    FOLDER.lay(theirs / "a", "old")

    assert publish(name, theirs / "a", overwrite=True) == ["began", "published"]

    assert FOLDER.read(theirs / "a") == "new"
    [leftover] = [entry for entry in os.listdir(theirs) if entry != "a"]
    assert leftover.startswith(".atomik-")
    assert FOLDER.read(theirs / leftover) == "old"


@pytest.mark.parametrize("name", ["FOLDER", "PATH_TO_FOLDER"])
def test_empty_folder_of_somebody_else(theirs, name):
    """An empty folder of somebody else is replaced, and nothing is left."""
    (theirs / "a").mkdir()

    assert publish(name, theirs / "a", overwrite=True) == ["began", "published"]

    assert FOLDER.read(theirs / "a") == "new"
    assert os.listdir(theirs) == ["a"]


@pytest.mark.parametrize("name", ["FILE", "PATH_TO_FILE"])
@pytest.mark.parametrize("mode", [0o644, 0o444, 0o000])
def test_file_of_somebody_else(theirs, name, mode):
    """A file of somebody else in one's own directory is replaced, which needs no right to the file itself."""
    FILE.lay(theirs / "a", "old")
    (theirs / "a").chmod(mode)

    assert publish(name, theirs / "a", overwrite=True) == ["began", "published"]

    assert FILE.read(theirs / "a") == "new"
    assert (theirs / "a").stat().st_uid == NOBODY


@pytest.fixture
def sticky(mounts):
    """A directory like /tmp, of somebody else, with the sticky bit."""
    directory = mounts("tmpfs")
    directory.chmod(0o1777)
    return directory


def test_sticky_directory(sticky, name):
    """In a sticky directory of another user one publishes and overwrites what is one's own."""
    assert publish(name, sticky / "a") == ["began", "published"]
    assert publish(name, sticky / "a", overwrite=True) == ["began", "published"]

    assert shape_of(name).read(sticky / "a") == "new"
    assert os.listdir(sticky) == ["a"]


@pytest.mark.leaves_litter
def test_sticky_directory_and_somebody_elses(sticky, name):
    """What is somebody else's in a sticky directory is not overwritten; the finished work is kept, and the error says where."""
    shape_of(name).lay(sticky / "a", "old")

    answer = publish(name, sticky / "a", overwrite=True)[-1]

    assert answer.startswith(f"PermissionError {sticky / 'a'} ")
    assert shape_of(name).read(sticky / "a") == "old"
    for left in set(os.listdir(sticky)) - {"a"}:
        assert str(sticky / left) in answer
        assert shape_of(name).read(sticky / left) == "new"


def test_descriptors_of_one_directory(theirs):
    """Under a low limit of open files, an error when they run out comes before the block, and leaves nothing."""
    source = """
import os, resource, sys
import atomik

resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
publications, error = [], None
try:
    for number in range(20):
        publication = atomik.folder(os.path.join(sys.argv[1], str(number)))
        publication.open()
        publications.append(publication)
except OSError as caught:
    error = caught
print(error.errno, error.filename == os.path.join(sys.argv[1], str(len(publications))))
for publication in publications:
    publication.publish()
"""
    finished = run(source, theirs, user=NOBODY)

    assert finished == (0, "24 True\n", "")
