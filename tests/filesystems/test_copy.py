"""`copy`: a file or tree from any filesystem, there in one instant with its metadata, holes and links."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, FOLDER
from filesystems.deep import bottom, deepen
from filesystems.extents import MIB, allocated, blocks, make_sparse
from support.filesystems import KINDS, Mounts
from support.namespace import command
from support.needs import need_tool
from support.processes import NOBODY, Program, run
from support.state import ABSENT, state
from support.watch import tree
from support.watcher import Watcher


@pytest.mark.parametrize("source", ["ext4", "btrfs", "overlay-lower", "bindfs", "exfat"])
@pytest.mark.parametrize("target", list(KINDS))
@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_from_anywhere_to_anywhere(mounts, source, target, shape):
    """A copy is complete, whichever filesystems it comes from and goes to, and nothing is left beside it."""
    here, there = mounts(source), mounts(target)
    shape.lay(here / "a", "content" * 10_000)
    overwrite = target == "exfat"

    atomik.copy(here / "a", there / "b", overwrite=overwrite)

    assert shape.read(there / "b") == "content" * 10_000
    assert os.listdir(there) == ["b"]
    assert os.listdir(here) == ["a"]


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_in_one_instant(mounts, shape):
    """Who looks all the time sees no destination, then the whole copy; when it replaces one, the old, then the new."""
    here, there = mounts("tmpfs"), mounts("ext4")
    shape.lay(here / "a", "one" * 100_000)
    shape.lay(here / "b", "two" * 100_000)
    with Watcher(there / "c") as watcher:
        atomik.copy(here / "a", there / "c")
        one = state(there / "c")
        atomik.copy(here / "b", there / "c", overwrite=True)
        two = state(there / "c")

    assert set(watcher.history) <= {ABSENT, one, two}
    assert watcher.history == sorted(watcher.history, key=[ABSENT, one, two].index)


def dress(path: Path) -> None:
    """Give PATH all the metadata that there is, and the times of another age."""
    os.chown(path, 1, 2)
    path.chmod(0o2751 if path.is_dir() else 0o4751)
    os.setxattr(path, "user.note", b"a note")
    command("setfacl", "-m", "u:3:r", path)
    if path.is_dir():
        command("setfacl", "-d", "-m", "u:4:rwx", path)
    else:
        os.setxattr(path, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.utime(path, ns=(1_000_000_001, 1_234_567_890_123_456_789))


def described(path: Path) -> object:
    """All the metadata of PATH, to compare with another's."""
    status = path.lstat()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path) if not name.startswith("trusted.SGI")}
    return (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, attributes)


@pytest.mark.parametrize("target", [kind.name for kind in KINDS.values() if kind.posix])
def test_metadata(mounts, target):
    """Mode, owner, group, ACLs, attributes, capabilities and time of change come along, at every level of a tree."""
    need_tool("setfacl")
    here, there = mounts("xfs"), mounts(target)
    FOLDER.lay(here / "a", "content")
    for path in (here / "a" / "sub" / "two", here / "a" / "sub", here / "a" / "one", here / "a"):
        dress(path)

    atomik.copy(here / "a", there / "b")
    atomik.copy(here / "a" / "one", there / "file")

    for name in (".", "one", "sub", "sub/two"):
        assert described(there / "b" / name) == described(here / "a" / name), name
    assert described(there / "file") == described(here / "a" / "one")


def test_metadata_of_what_is_replaced(mounts):
    """A copy has its original's metadata, not that of what it replaces, nor what the new directory gives."""
    need_tool("setfacl")
    folder = mounts("ext4")
    FOLDER.lay(folder / "a", "new")
    before = described(folder / "a"), described(folder / "a" / "one")
    for name, shape in (("b", FOLDER), ("c", FILE)):
        shape.lay(folder / name, "old")
        dress(folder / name)
    command("setfacl", "-d", "-m", "u:1:rwx", folder)

    atomik.copy(folder / "a", folder / "b", overwrite=True)
    atomik.copy(folder / "a" / "one", folder / "c", overwrite=True)

    assert (described(folder / "b"), described(folder / "c")) == before
    assert described(folder / "b" / "one") == before[1]


COPY = """
import sys
import atomik
atomik.copy(sys.argv[1], sys.argv[2])
"""


def test_somebody_elses(mounts):
    """Who may not give files away gets copies of their own, without setuid, and with nothing for the group alone."""
    here, there = mounts("ext4"), mounts("tmpfs")
    FOLDER.lay(here / "a", "root's")
    (here / "a" / "one").chmod(0o4775)
    there.chmod(0o777)

    done = run(COPY, here / "a", there / "b", user=NOBODY)

    assert done.code == 0, done
    status = (there / "b" / "one").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY, 0o755)


def test_something_unreadable(mounts):
    """What cannot be read ends the copy: the error names it, and nothing is published or left."""
    here, there = mounts("ext4"), mounts("tmpfs")
    FOLDER.lay(here / "a", "root's")
    there.chmod(0o777)
    for closed in (here / "a" / "sub" / "two", here / "a" / "sub"):
        closed.chmod(0o000)

        done = run(COPY, here / "a", there / "b", user=NOBODY)

        assert "PermissionError" in done.err
        assert str(closed) in done.err.splitlines()[-1] or str(closed) in done.err
        closed.chmod(0o755)
    assert os.listdir(there) == []


@pytest.mark.parametrize("target", [kind.name for kind in KINDS.values() if kind.posix and kind.name != "bindfs"])
def test_sparse(mounts, target):
    """Holes stay holes, also from one filesystem to another."""
    for source in ("ext4", "tmpfs"):
        here, there = mounts(source), mounts(target)
        content = make_sparse(here / "a")
        (here / "folder").mkdir()
        make_sparse(here / "folder" / "a")
        with (here / "hole").open("wb") as file:
            file.truncate(3 * MIB)

        atomik.copy(here / "a", there / "a")
        atomik.copy(here / "folder", there / "folder")
        atomik.copy(here / "hole", there / "hole")

        for copy in (there / "a", there / "folder" / "a"):
            assert copy.read_bytes() == content
            assert allocated(copy) < MIB
        assert (there / "hole").read_bytes() == bytes(3 * MIB)
        assert allocated(there / "hole") == 0


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_reflink(mounts, kind):
    """On a filesystem that can, the copy shares every block with the original, and is independent of it."""
    folder = mounts(kind)
    (folder / "a").mkdir()
    (folder / "a" / "file").write_bytes(os.urandom(3 * MIB))
    original = blocks(folder / "a" / "file")
    assert original

    atomik.copy(folder / "a", folder / "b")
    atomik.copy(folder / "a" / "file", folder / "c")

    assert blocks(folder / "b" / "file") == original
    assert blocks(folder / "c") == original
    (folder / "c").write_bytes(b"changed")
    assert (folder / "a" / "file").stat().st_size == 3 * MIB


@pytest.mark.parametrize("target", ["ext4", "btrfs", "tmpfs", "overlay", "bindfs"])
def test_hard_links(mounts, target):
    """Names of one file within the tree are names of one file in the copy; one that leads outside is cut."""
    here, there = mounts("ext4"), mounts(target)
    FOLDER.lay(here / "a", "content")
    os.link(here / "a" / "one", here / "a" / "sub" / "link")
    os.link(here / "a" / "one", here / "a" / "zlink")
    os.link(here / "a" / "sub" / "two", here / "outside")

    atomik.copy(here / "a", there / "b")

    one = (there / "b" / "one").stat()
    assert all(os.path.samestat(one, (there / "b" / name).stat()) for name in ("sub/link", "zlink"))
    assert (there / "b" / "zlink").read_text() == "content"
    if target != "bindfs":  # which answers from a cache for about a second
        assert (there / "b" / "sub" / "two").stat().st_nlink == 1


def test_hard_links_where_there_are_none(mounts):
    """On a filesystem without links each name gets the content."""
    here, there = mounts("ext4"), mounts("exfat")
    FOLDER.lay(here / "a", "content")
    os.link(here / "a" / "one", here / "a" / "link")

    atomik.copy(here / "a", there / "b")

    assert (there / "b" / "one").read_text() == (there / "b" / "link").read_text() == "content"


def test_links_and_special_files(mounts, monkeypatch):
    """Symbolic links, also dangling ones, FIFOs, sockets and devices are made anew, with owner, mode and time."""
    here, there = mounts("ext4"), mounts("tmpfs")
    FOLDER.lay(here / "a", "content")
    monkeypatch.chdir(here / "a")
    os.symlink("one", "link")
    os.symlink("nowhere", "dangling")
    os.symlink("..", "sub/up")
    os.mkfifo("fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    os.mknod("null", stat.S_IFCHR | 0o604, os.makedev(1, 3))
    for name in ("link", "fifo", "socket", "null"):
        os.chown(name, 1, 2, follow_symlinks=False)
        os.utime(name, ns=(5, 123_456_789), follow_symlinks=False)

    atomik.copy(here / "a", there / "b")

    for name in ("link", "dangling", "sub/up"):
        assert os.readlink(there / "b" / name) == os.readlink(name)
    for name in ("link", "fifo", "socket", "null"):
        one, other = os.lstat(name), os.lstat(there / "b" / name)
        assert (other.st_mode, other.st_uid, other.st_gid, other.st_rdev) == (one.st_mode, 1, 2, one.st_rdev)
        assert other.st_mtime_ns == 123_456_789


def test_links_where_there_are_none(mounts):
    """A tree with symbolic links does not go to a filesystem that has none: an error, and nothing is published or left."""
    here, there = mounts("ext4"), mounts("exfat")
    FOLDER.lay(here / "a", "content")
    (here / "a" / "link").symlink_to("one")

    with pytest.raises(OSError, match="link"):
        atomik.copy(here / "a", there / "b")

    assert os.listdir(there) == []


def test_a_link_as_source(mounts):
    """A symbolic link as the source itself is followed."""
    folder = mounts("ext4")
    FOLDER.lay(folder / "a", "content")
    (folder / "link").symlink_to("a")

    atomik.copy(folder / "link", folder / "b")

    assert FOLDER.read(folder / "b") == "content"
    assert not (folder / "b").is_symlink()


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_a_deep_tree(mounts, kind):
    """A tree 2,000 deep is copied to its bottom."""
    here, there = mounts("tmpfs"), mounts(kind)
    (here / "a").mkdir()
    deepen(here / "a")

    atomik.copy(here / "a", there / "b", sync="off")

    os.close(bottom(there / "b"))
    atomik.remove(there / "b")
    atomik.remove(here / "a")


def test_read_only_folders(mounts):
    """Folders that their owner may not write to are filled before they get their mode, by others than root, too."""
    here, there = mounts("ext4"), mounts("ext4")
    for folder in (here, there):
        os.chown(folder, NOBODY, NOBODY)
    FOLDER.lay(here / "a", "content")
    (here / "a" / "sub").chmod(0o555)
    (here / "a").chmod(0o555)

    done = run(COPY, here / "a", there / "b", user=NOBODY)

    assert done.code == 0, done
    assert tree(there / "b") == tree(here / "a")


@pytest.mark.parametrize("size", [0, 1, 100, 3 * MIB + 1])
@pytest.mark.parametrize("target", ["ext4", "xfs", "bindfs"])
def test_progress_of_a_file(mounts, size, target):
    """`progress` hears of the bytes so far, never fewer than before, and in the end of one file and all its bytes."""
    here, there = mounts("xfs"), mounts(target)
    (here / "a").write_bytes(bytes(size))
    heard = []

    atomik.copy(here / "a", there / "b", progress=lambda files, size: heard.append((files, size)))

    assert heard == sorted(heard)
    assert heard[-1] == (1, size)


def test_progress_of_a_tree(mounts):
    """In a tree, each name of a file counts as one, and a hard link adds no bytes."""
    here, there = mounts("ext4"), mounts("tmpfs")
    FOLDER.lay(here / "a", "content")
    os.link(here / "a" / "one", here / "a" / "link")
    heard = []

    atomik.copy(here / "a", there / "b", progress=lambda files, size: heard.append((files, size)))

    assert heard == sorted(heard)
    assert heard[-1] == (3, 2 * len("content"))


class EnoughError(OSError):
    """What a caller's callback raises; an OSError, so that none of the copy's own handling may take it for its own."""


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), EnoughError(13, "enough"), FileNotFoundError(2, "theirs", "one")]
)
def test_progress_that_raises(mounts, shape, error):
    """What `progress` raises ends the copy and reaches the caller unchanged; nothing is published or left."""
    here, there = mounts("ext4"), mounts("tmpfs")
    shape.lay(here / "a", "content")

    def progress(files, size):
        raise error

    with pytest.raises(type(error)) as caught:
        atomik.copy(here / "a", there / "b", progress=progress)

    assert caught.value is error
    assert os.listdir(there) == []


def test_inside_itself(mounts):
    """A copy cannot contain itself: ValueError before anything is made, also through links and with `..`."""
    folder = mounts("ext4")
    FOLDER.lay(folder / "a", "content")
    (folder / "link").symlink_to("a/sub")
    before = tree(folder)

    for target in ("a", "a/b", "a/sub/b", "link/b", "a/../a/b"):
        with pytest.raises(ValueError, match="inside"):
            atomik.copy(folder / "a", f"{folder}/{target}", overwrite=True, parents=True)

    assert tree(folder) == before
    atomik.copy(folder / "a" / "sub", folder / "a" / "copy")
    atomik.copy(folder / "a", folder / "ab")
    assert (folder / "ab" / "copy" / "two").read_text() == "content"


@pytest.mark.parametrize("target", ["ext4", "bindfs"])
def test_inside_itself_through_a_mount(mounts, target):
    """Where a mount hides that it would contain itself, that is found out on the way, and nothing is left."""
    folder, point = mounts(target), mounts("tmpfs")
    FOLDER.lay(folder / "a", "content")
    (point / "bound").mkdir()
    mounts.bind(folder / "a" / "sub", point / "bound")
    before = tree(folder)

    with pytest.raises(ValueError, match="inside"):
        atomik.copy(folder / "a", point / "bound" / "b")

    assert tree(folder) == before


def test_onto_itself(mounts):
    """A file may be copied onto itself; it is the same afterwards."""
    folder = mounts("ext4")
    FILE.lay(folder / "a", "content")

    with pytest.raises(atomik.FileAlreadyExistsError):
        atomik.copy(folder / "a", folder / "a")
    atomik.copy(folder / "a", folder / "a", overwrite=True)

    assert FILE.read(folder / "a") == "content"


def test_what_is_refused(mounts):
    """A missing source or parent, an existing destination, one of the other kind, and special files are refused."""
    folder = mounts("ext4")
    FILE.lay(folder / "file", "file")
    FOLDER.lay(folder / "folder", "folder")
    os.mkfifo(folder / "fifo")
    here = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)
    before = tree(folder)

    for source, target, error in (
        ("missing", "b", FileNotFoundError),
        ("file", "missing/b", FileNotFoundError),
        ("file/x", "b", NotADirectoryError),
        ("file", "folder", IsADirectoryError),
        ("folder", "file", NotADirectoryError),
        ("fifo", "b", OSError),
        ("socket", "b", OSError),
        ("/dev/null", "b", OSError),
    ):
        with pytest.raises(error) as caught:
            atomik.copy(folder / source, folder / target, overwrite=True)
        if error is OSError:
            assert "device, FIFO or socket" in str(caught.value)
    FOLDER.lay(folder / "other", "other")
    for source, target in (("file", "folder"), ("folder", "other"), ("folder", "file")):
        with pytest.raises(atomik.FileAlreadyExistsError):
            atomik.copy(folder / source, folder / target)
    atomik.remove(folder / "other")

    assert tree(folder) == before


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_no_space(mounts, shape):
    """If the copy does not fit, ENOSPC is raised, the old version stays, and nothing is left to fill the filesystem."""
    here, there = mounts("tmpfs"), mounts.small("tmpfs")
    shape.lay(here / "a", "x" * (12 * MIB))
    shape.lay(there / "b", "old")

    with pytest.raises(OSError, match="No space"):
        atomik.copy(here / "a", there / "b", overwrite=True)

    assert shape.read(there / "b") == "old"
    assert os.listdir(there) == ["b"]


def test_a_little_too_much(mounts):
    """If only the last bytes do not fit, of which the kernel writes as many as it can, that is an error, too."""
    here, there = mounts("ext4"), mounts.small("tmpfs")
    (there / "other").write_bytes(b"x" * (MIB // 2))  # so that a part of the last MiB, which is read at once, does fit
    free = os.statvfs(there).f_bavail * os.statvfs(there).f_bsize
    (here / "a").write_bytes(b"x" * (free + 4096))

    with pytest.raises(OSError, match="No space"):
        atomik.copy(here / "a", there / "b")

    assert os.listdir(there) == ["other"]


KILLED = """
import sys
import atomik

def progress(files, size):
    print("copying", flush=True)
    sys.stdin.read()

atomik.copy(sys.argv[1], sys.argv[2], progress=progress)
"""


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_killed(mounts: Mounts, shape):
    """After kill -9 in the middle there is no destination; a file leaves nothing, a tree what `clean` removes."""
    here, there = mounts("tmpfs"), mounts("ext4")
    shape.lay(here / "a", "content")
    with Program(KILLED, here / "a", there / "b") as program:
        assert program.line() == "copying"
        assert atomik.clean(there) == []
        program.kill()

    assert not (there / "b").exists()
    assert len(atomik.clean(there)) == shape.is_folder
    assert os.listdir(there) == []


@pytest.mark.parametrize(
    "path", ["/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/filesystems"]
)
def test_files_that_do_not_say_how_long_they_are(mounts, path):
    """Files of /proc and /sys, which say 0 or 4,096 bytes and hold something else, are copied as they read."""
    folder = mounts("ext4")
    if not os.path.exists(path):
        pytest.skip(f"no {path} here")

    atomik.copy(path, folder / "a")

    copied, original = (folder / "a").read_text(), Path(path).read_text()
    assert copied.split("\n")[0] == original.split("\n")[0]
    assert not copied.endswith("\0")


def test_what_is_mounted_in_it(mounts):
    """A copy holds what can be seen: also what is mounted in the tree."""
    here, there, other = mounts("ext4"), mounts("ext4"), mounts("tmpfs")
    FOLDER.lay(here / "a", "content")
    FILE.lay(other / "mounted", "mounted")
    (here / "a" / "point").mkdir()
    mounts.bind(other, here / "a" / "point")

    atomik.copy(here / "a", there / "b")

    assert (there / "b" / "point" / "mounted").read_text() == "mounted"
