"""What a new version keeps of the one that it replaces; and where it cannot be kept, that nobody gains by it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER, Shape
from support.filesystems import KINDS
from support.namespace import command
from support.needs import need_tool
from support.processes import NOBODY, Program, run

SHAPES = {"FILE": FILE, "FOLDER": FOLDER, "PATH_TO_FILE": PATH_TO_FILE, "PATH_TO_FOLDER": PATH_TO_FOLDER}
#: cap_net_raw=ep, as the kernel stores it.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def combinations(*kinds):
    """Each of these KINDS (all that have metadata) with each shape that can be replaced there."""
    return pytest.mark.parametrize(
        ("kind", "shape"),
        [
            pytest.param(kind.name, shape, id=f"{kind.name}-{name}")
            for kind in KINDS.values()
            for name, shape in SHAPES.items()
            if kind.posix and kind.name in (kinds or KINDS) and (kind.flags or not shape.is_folder)
        ],
    )


#: Modes of an old version, file or folder, and what becomes of each if its owner cannot be kept.
CUT = {0o664: 0o644, 0o660: 0o600, 0o640: 0o600, 0o4755: 0o755, 0o2775: 0o755, 0o6711: 0o711, 0o777: 0o777}
CUT_FOLDERS = {0o775: 0o755, 0o770: 0o700, 0o750: 0o700, 0o2775: 0o755, 0o3777: 0o1777, 0o711: 0o711}

each_shape = pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))


def mode(path: Path) -> int:
    """The permissions of PATH."""
    return stat.S_IMODE(path.stat().st_mode)


def acl(path: Path) -> list[str]:
    """The ACL of PATH, as getfacl says it."""
    need_tool("getfacl")
    return command("getfacl", "--absolute-names", "--omit-header", "--numeric", path).split()


@combinations()
def test_kept(mounts, kind, shape):
    """Mode, owner, group and extended attributes of what is replaced are the new version's, the umask regardless."""
    path = mounts(kind) / "a"
    shape.lay(path, "old")
    os.chown(path, 1, 2)
    path.chmod(0o2771 if shape.is_folder else 0o4755)
    os.setxattr(path, "user.note", b"kept")
    os.setxattr(path, "trusted.note", b"kept, too")
    os.umask(0o077)

    shape.publish(path, "new", overwrite=True)

    status = path.stat()
    assert (status.st_uid, status.st_gid) == (1, 2)
    assert mode(path) == (0o2771 if shape.is_folder else 0o4755)
    assert os.getxattr(path, "user.note") == b"kept"
    assert os.getxattr(path, "trusted.note") == b"kept, too"


@combinations()
def test_acl(mounts, kind, shape):
    """An access ACL is kept with its mask, and a folder's default ACL, which what is made in it inherits."""
    need_tool("setfacl")
    path = mounts(kind) / "a"
    shape.lay(path, "old")
    command("setfacl", "-m", "u:1:rw,g:2:r,m::r", path)
    if shape.is_folder:
        command("setfacl", "-d", "-m", "u:3:rwx", path)
    before = acl(path)

    shape.publish(path, "new", overwrite=True)

    assert acl(path) == before
    if shape.call is atomik.folder:
        assert "user:3:rwx" in " ".join(acl(path / "one"))


@combinations("ext4", "xfs", "btrfs", "tmpfs", "overlay")
def test_acl_of_the_parent(mounts, kind, shape):
    """A new version gets the old one's ACL, not what the directory's default ACL gives to everything new."""
    need_tool("setfacl")
    folder = mounts(kind)
    shape.lay(folder / "a", "old")
    before = acl(folder / "a")
    command("setfacl", "-d", "-m", "u:1:rwx", folder)

    shape.publish(folder / "a", "new", overwrite=True)
    shape.publish(folder / "b", "new")

    assert acl(folder / "a") == before
    shape.lay(folder / "c", "made without Atomik")
    assert acl(folder / "b") == acl(folder / "c")


@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["FILE", "FOLDER"])
def test_checksums_of_the_old_content(mounts, shape):
    """What the kernel has noted of the old content (IMA, EVM) is not said of the new one."""
    path = mounts("ext4") / "a"
    shape.lay(path, "old")
    os.setxattr(path, "security.ima", b"\x01" + bytes(20))
    os.setxattr(path, "user.mine", b"kept")

    shape.publish(path, "new", overwrite=True)

    assert os.listxattr(path) == ["user.mine"]


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.posix])
@pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["FILE", "PATH_TO_FILE"])
def test_capabilities(mounts, kind, shape):
    """A program's file capabilities survive its replacement, though writing and chown clear them."""
    path = mounts(kind) / "a"
    path.write_text("old")
    os.chown(path, 1, 2)
    os.setxattr(path, "security.capability", CAPABILITY)

    shape.publish(path, "new", overwrite=True)

    assert os.getxattr(path, "security.capability") == CAPABILITY
    assert path.stat().st_uid == 1


@each_shape
def test_new(mounts, shape):
    """Something new gets what any program would get: the umask's mode, the directory's setgid group."""
    folder = mounts("ext4")
    os.chown(folder, 1, 2)
    folder.chmod(0o2775)
    os.umask(0o027)
    shape.lay(folder / "b", "made without Atomik")

    shape.publish(folder / "a", "new")

    one, other = (folder / "a").stat(), (folder / "b").stat()
    assert (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)
    if shape.is_folder:
        assert (folder / "a" / "sub" / "two").stat().st_gid == 2


@each_shape
@pytest.mark.parametrize("permissions", [0o000, 0o400, 0o444, 0o640, 0o777, 0o1777, 0o2755, 0o4711])
def test_permissions(mounts, shape, permissions):
    """`permissions` is the mode to publish with, new or replacing, and the umask does not count."""
    path = mounts("ext4") / "a"
    os.umask(0o077)

    shape.publish(path, "one", permissions=permissions)
    assert mode(path) == permissions
    path.chmod(0o611)
    shape.publish(path, "two", permissions=permissions, overwrite=True)

    assert mode(path) == permissions


def test_a_mode_that_is_none(tmp_path):
    """What is no mode is a ValueError at the call."""
    for permissions in (-1, 0o10000):
        with pytest.raises(ValueError, match="0o644"):
            atomik.file(tmp_path / "a", permissions=permissions)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay"])
def test_a_folder_that_is_set_up_for_sharing(mounts, kind):
    """Whatever is made in a folder that replaces a setgid one has that one's group, from the start."""
    path = mounts(kind) / "a"
    path.mkdir()
    os.chown(path, 1, 2)
    path.chmod(0o2770)
    (path / "old").touch()

    with atomik.folder(path, overwrite=True) as d:
        (d / "sub").mkdir()
        (d / "sub" / "file").touch()
        assert mode(d) == 0o2700

    assert (path / "sub" / "file").stat().st_gid == 2
    assert mode(path / "sub") & stat.S_ISGID
    assert mode(path) == 0o2770


@each_shape
def test_unreadable_in_the_meantime(mounts, shape):
    """Until it is published nobody else can read what is staged, however open the old version is."""
    folder = mounts("ext4")
    shape.lay(folder / "a", "old")
    (folder / "a").chmod(0o777)

    with shape.call(folder / "a", overwrite=True) as handle:
        shape.fill(handle, "new")
        for found in atomik.leftovers(folder):
            assert mode(found.path) == 0o700

    assert mode(folder / "a") == 0o777


PUBLISH = """
import json, os, sys
import atomik
import core.shapes

shape = getattr(core.shapes, sys.argv[2])
for name in sorted(os.listdir(sys.argv[1])):
    shape.publish(f"{sys.argv[1]}/{name}", "new", overwrite=True, **json.loads(sys.argv[3]))
"""


def publish_as_nobody(folder: Path, shape: Shape, **options: int) -> None:
    """Replace all that is in FOLDER as a user who may write to that, but not to what is in it."""
    (name,) = (name for name, known in SHAPES.items() if known is shape)
    there = os.listdir(folder)
    done = run(PUBLISH, folder, name, json.dumps(options), user=NOBODY)
    assert done.code == 0, done
    # They may not empty somebody else's old folder, either: it is left for its owner, or root.
    assert len(atomik.clean(folder, force=True)) == (len(there) if shape.is_folder else 0)


@combinations("ext4", "overlay", "bindfs")
def test_owner_that_cannot_be_kept(mounts, kind, shape):
    """Without the right to give it away it is one's own: setuid and setgid go, and the group may what everybody may."""
    folder = mounts(kind)
    folder.chmod(0o777)
    modes = CUT_FOLDERS if shape.is_folder else CUT
    for before in modes:
        shape.lay(folder / oct(before), "old")
        (folder / oct(before)).chmod(before)

    publish_as_nobody(folder, shape)

    for before, after in modes.items():
        path = folder / oct(before)
        assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY)
        assert oct(mode(path)) == oct(after)


@each_shape
def test_acl_where_the_owner_cannot_be_kept(mounts, shape):
    """With an ACL, too, nobody may do more than everybody, once the owner is another."""
    need_tool("setfacl")
    folder = mounts("ext4")
    folder.chmod(0o777)
    shape.lay(folder / "a", "old")
    command("setfacl", "-m", "u:1:rwx,g:2:rwx,o::r", folder / "a")

    publish_as_nobody(folder, shape)

    assert "mask::r--" in acl(folder / "a")


@each_shape
def test_permissions_where_the_owner_cannot_be_kept(mounts, shape):
    """`permissions` is what the caller wants, whatever else could not be kept."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    shape.lay(folder / "a", "old")

    publish_as_nobody(folder, shape, permissions=0o640)

    assert mode(folder / "a") == 0o640


@pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["FILE", "PATH_TO_FILE"])
def test_capabilities_that_may_not_be_given(mounts, shape):
    """Who may not give capabilities does not: the new program has none, and there is no error."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    (folder / "a").write_text("old")
    os.setxattr(folder / "a", "security.capability", CAPABILITY)

    publish_as_nobody(folder, shape)

    assert "security.capability" not in os.listxattr(folder / "a")


MAKE_CLOSED = """
import os, sys
import atomik

with atomik.path(sys.argv[1]) as p:
    if sys.argv[2] == "folder":
        p.mkdir()
        (p / "file").write_text("x")
    else:
        p.write_text("x")
    p.chmod(int(sys.argv[3], 8))
"""


@pytest.mark.parametrize("made", ["file", "folder"])
@pytest.mark.parametrize("permissions", [0o000, 0o200, 0o555, 0o444, 0o300])
def test_the_mode_that_a_program_gave(mounts, made, permissions):
    """What is made at a path keeps the mode that its maker gave, even one that its owner cannot read or write with."""
    folder = mounts("ext4")
    folder.chmod(0o777)

    done = run(MAKE_CLOSED, folder / "a", made, oct(permissions), user=NOBODY)

    assert done.code == 0, done
    assert mode(folder / "a") == permissions
    assert os.listdir(folder) == ["a"]


REPLACE_READ_ONLY = """
import os, sys
import atomik
from core.shapes import FOLDER, PATH_TO_FOLDER

shape = FOLDER if sys.argv[2] == "folder" else PATH_TO_FOLDER
shape.publish(sys.argv[1], "one", permissions=0o555)
shape.publish(sys.argv[1], "two", overwrite=True)
os.chmod(sys.argv[1] + "/sub", 0o500)
shape.publish(sys.argv[1], "three", overwrite=True)
"""


@pytest.mark.parametrize("call", ["folder", "path"])
def test_a_folder_that_its_owner_may_not_write_to(mounts, call):
    """A folder of mode 0o555 is published and replaced by its owner; the old one and its read-only parts are removed."""
    folder = mounts("ext4")
    folder.chmod(0o777)

    done = run(REPLACE_READ_ONLY, folder / "a", call, user=NOBODY)

    assert done.code == 0, done
    assert FOLDER.read(folder / "a") == "three"
    assert mode(folder / "a") == 0o555
    assert os.listdir(folder) == ["a"]


def test_a_reader_of_a_read_only_folder(mounts):
    """While somebody else holds the old version, its mode is not changed: they go on reading it to the end."""
    folder = mounts("ext4")
    FOLDER.publish(folder / "a", "old", permissions=0o555)
    reader = """
import fcntl, os, sys
held = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(held, fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.readline()
print(open(os.open("sub/two", os.O_RDONLY, dir_fd=held)).read(), flush=True)
sys.stdin.read()
"""
    with Program(reader, folder / "a", user=NOBODY) as program:
        assert program.line() == "held"
        FOLDER.publish(folder / "a", "new", overwrite=True)
        assert atomik.clean(folder) == []
        program.say("read on")
        assert program.line() == "old"

    assert len(atomik.clean(folder)) == 1
    assert FOLDER.read(folder / "a") == "new"


@pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["FILE", "PATH_TO_FILE"])
def test_capabilities_where_the_owner_is_not_kept(mounts, monkeypatch, shape):
    """Capabilities are given only with the owner that they were given to, even by who may give them."""
    folder = mounts("ext4")
    (folder / "a").write_text("old")
    os.chown(folder / "a", NOBODY, NOBODY)
    os.setxattr(folder / "a", "security.capability", CAPABILITY)

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    shape.publish(folder / "a", "new", overwrite=True)

    assert (folder / "a").read_text() == "new"
    assert "security.capability" not in os.listxattr(folder / "a")
