"""Where there is no /proc (a chroot, a jail): nothing is lost that can be had otherwise, and permissions are never widened."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from support.needs import need_tool
from support.processes import NOBODY, run

pytestmark = pytest.mark.system

REPLACE = """
import ctypes, os, subprocess, sys
import atomik
from core import shapes
for name in atomik.__all__:
    getattr(atomik, name)
for shape in (shapes.FILE, shapes.FOLDER, shapes.PATH_TO_FILE):
    shape.publish(shapes.Path(sys.argv[2]) / "warm", "warm")
    atomik.remove(sys.argv[2] + "/warm")
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE
assert libc.umount2(b"/proc", 2) == 0
assert not os.path.exists("/proc/self")
if len(sys.argv) > 3:
    os.setresgid(*[int(sys.argv[3])] * 3)
    os.setresuid(*[int(sys.argv[3])] * 3)
getattr(shapes, sys.argv[1]).publish(shapes.Path(sys.argv[2]) / "a", "new", overwrite=True)
"""


@pytest.mark.parametrize("name", ["FILE", "FOLDER", "PATH_TO_FILE"])
def test_attributes_are_kept(mounts, name):
    """ACL and attributes of what can be opened are kept."""
    need_tool("setfacl", "getfacl")
    folder = mounts("ext4")
    target = folder / "a"
    target.mkdir() if name == "FOLDER" else target.write_text("old")
    target.chmod(0o750 if name == "FOLDER" else 0o640)
    subprocess.run(["setfacl", "-m", "u:1234:rw", target], check=True)
    os.setxattr(target, "user.mine", b"value")
    before = subprocess.run(["getfacl", "-cn", target], capture_output=True, text=True).stdout

    done = run(REPLACE, name, str(folder))

    assert done.code == 0, done.err
    assert subprocess.run(["getfacl", "-cn", target], capture_output=True, text=True).stdout == before
    assert os.getxattr(target, "user.mine") == b"value"
    assert (target / "one" if name == "FOLDER" else target).read_text() == "new"


def test_attributes_that_cannot_be_read(mounts):
    """Where the old file cannot be opened either, the group may do what everybody may: its bits were an ACL's mask, perhaps."""
    need_tool("setfacl")
    folder = mounts("ext4")
    folder.chmod(0o777)
    (folder / "a").write_text("old")
    (folder / "a").chmod(0o200)
    os.chown(folder / "a", NOBODY, NOBODY)
    subprocess.run(["setfacl", "-m", "u:1234:rw,g::-,m::rw", folder / "a"], check=True)
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o260  # the mask's bits, not the group's

    done = run(REPLACE, "FILE", str(folder), str(NOBODY))

    assert done.code == 0, done.err
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o200
    assert (folder / "a").read_text() == "new"
