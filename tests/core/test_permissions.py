"""Modes of what is new: from the umask, the parent's setgid bit and default ACL, or as asked for."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

import atomik
from core.shapes import FILE
from support.needs import need_root, need_tool, require


def mode_of(path):
    """Look up the permissions of PATH."""
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077, 0o000, 0o777])
def test_umask(tmp_path, umask):
    """A new file gets 0o666 less the umask, a new folder 0o777 less the umask, as `open()` and `mkdir()` give."""
    os.umask(umask)

    FILE.publish(tmp_path / "file", "new")
    with atomik.folder(tmp_path / "folder"):
        pass

    assert mode_of(tmp_path / "file") == 0o666 & ~umask
    assert mode_of(tmp_path / "folder") == 0o777 & ~umask


def test_umask_is_never_read(tmp_path, shape, monkeypatch):
    """The umask is never read, which means setting it, for every thread: the kernel is left to apply it."""
    os.umask(0o027)
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("somebody has set the umask"))

    shape.publish(tmp_path / "a", "new")

    assert mode_of(tmp_path / "a") == (0o750 if shape.is_folder else 0o640)


@pytest.mark.parametrize("permissions", [0o600, 0o644, 0o400, 0o000, 0o7777, 0o1755])
def test_permissions(tmp_path, shape, permissions):
    """`permissions` is the mode to publish with, whatever the umask, for what is new and for what is overwritten."""
    os.umask(0o077)

    shape.publish(tmp_path / "a", "old", permissions=permissions)
    assert mode_of(tmp_path / "a") == permissions
    shape.publish(tmp_path / "a", "new", permissions=0o700, overwrite=True)
    assert mode_of(tmp_path / "a") == 0o700


def test_path_keeps_what_was_made(tmp_path):
    """What was made at a path keeps the mode that its maker gave it."""
    for name, mode in (("a", 0o600), ("b", 0o755)):
        with atomik.path(tmp_path / name) as p:
            p.write_text("new")
            p.chmod(mode)
    with atomik.path(tmp_path / "c") as p:
        p.mkdir()
        p.chmod(0o555)

    assert [mode_of(tmp_path / name) for name in "abc"] == [0o600, 0o755, 0o555]


def test_only_ours_until_published(tmp_path, folder_shape):
    """Until it is published nobody else can look into what is staged, whatever the umask."""
    os.umask(0)

    with folder_shape.call(tmp_path / "a") as handle:
        [staged] = os.listdir(tmp_path)
        assert mode_of(tmp_path / staged) == 0o700
        folder_shape.fill(handle, "new")

    assert mode_of(tmp_path / "a") == 0o777


@pytest.fixture
def of_a_group(tmp_path):
    """A directory of another group, with the setgid bit."""
    need_root()
    directory = tmp_path / "group"
    directory.mkdir()
    os.chown(directory, -1, 12345)
    directory.chmod(0o2775)
    return directory


def test_setgid(of_a_group, shape):
    """In a setgid directory, what is published has its group, and folders have the setgid bit, all the way down."""
    shape.publish(of_a_group / "a", "new")

    entries = [of_a_group / "a", *(of_a_group / "a").rglob("*")]
    for entry in entries:
        assert entry.stat().st_gid == 12345
        expected = 0o2755 if entry.is_dir() else 0o644
        assert mode_of(entry) == expected


def acl(path):
    """List the ACL of PATH, as getfacl gives it."""
    done = subprocess.run(["getfacl", "-cEp", path], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture
def with_a_default_acl(tmp_path):
    """A directory whose default ACL gives a user and a group more than the umask does."""
    need_tool("setfacl", "getfacl")
    directory = tmp_path / "acl"
    directory.mkdir()
    entries = "d:u:12345:rwX,d:g:23456:rX,d:o::-"
    done = subprocess.run(["setfacl", "-m", entries, directory], capture_output=True, text=True)
    require(done.returncode == 0, f"needs ACLs: {done.stderr}")
    return directory


@pytest.mark.system
def test_default_acl(with_a_default_acl, shape):
    """What is published gets the ACL that the directory's default ACL gives to what is made in it, all the way down."""
    shape.lay(with_a_default_acl / "theirs", "new")

    shape.publish(with_a_default_acl / "ours", "new")

    for theirs in [with_a_default_acl / "theirs", *(with_a_default_acl / "theirs").rglob("*")]:
        ours = with_a_default_acl / "ours" / theirs.relative_to(with_a_default_acl / "theirs")
        assert acl(ours) == acl(theirs)
        assert "user:12345:rwx" in acl(ours) or not ours.is_dir()


@pytest.mark.system
def test_default_acl_and_permissions(with_a_default_acl, shape):
    """`permissions` is the mode in a directory with a default ACL, too: its group bits are the mask."""
    shape.publish(with_a_default_acl / "a", "new", permissions=0o700)

    assert mode_of(with_a_default_acl / "a") == 0o700
    assert "mask::---" in acl(with_a_default_acl / "a")
