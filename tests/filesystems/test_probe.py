"""`probe` finds out what a filesystem can do by doing it there, and leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import os

import pytest

import atomik
from atomik_core._os import locks
from support.filesystems import KINDS
from support.processes import NOBODY, run

LOCAL = {"ext4", "xfs", "btrfs", "tmpfs", "overlay", "overlay-lower", "overlay-copied-up", "bind", "xfs-project"}


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_each_can_do(mounts, kind):
    """Each answer is the true one, and the directory is as it was."""
    folder = mounts(kind)

    found = atomik.probe(folder)

    assert found.directory == folder
    assert found.filesystem.partition(".")[0] == KINDS[kind].type
    assert found.noreplace is KINDS[kind].flags
    assert found.exchange is KINDS[kind].flags
    assert found.unnamed is KINDS[kind].unnamed
    assert found.locks == ("exact" if kind in LOCAL else "unknown")
    assert found.reflink is (kind in {"xfs", "btrfs", "xfs-project"})
    assert found.syncfs is (KINDS[kind].type in {"ext4", "xfs", "btrfs", "tmpfs"})
    assert os.listdir(folder) == []


def test_not_remembered(mounts):
    """The answer is of this mount and this moment: what another one said before does not count."""
    one, other = mounts("bindfs"), mounts("ext4")

    assert [atomik.probe(folder).exchange for folder in (one, other, one, other)] == [False, True, False, True]


def test_no_locks(mounts, monkeypatch):
    """A filesystem that refuses locks is found out."""
    folder = mounts("ext4")

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)

    assert atomik.probe(folder).locks == "none"


def test_where_nothing_can_be_made(mounts):
    """A directory that is missing, is a file, is read-only or somebody else's is an error that names it."""
    folder = mounts("ext4")
    (folder / "file").touch()
    with pytest.raises(FileNotFoundError) as caught:
        atomik.probe(folder / "missing")
    assert caught.value.filename == str(folder / "missing")
    with pytest.raises(NotADirectoryError):
        atomik.probe(folder / "file")
    with mounts.read_only(folder), pytest.raises(OSError, match="Read-only") as read_only:
        atomik.probe(folder)
    assert read_only.value.filename == str(folder)

    done = run("import sys, atomik; atomik.probe(sys.argv[1])", folder, user=NOBODY)

    assert "PermissionError" in done.err
    assert f"'{folder}'" in done.err
    assert os.listdir(folder) == ["file"]


def test_a_full_filesystem(mounts):
    """Where there is no room an error is raised, or the answers are true; nothing is left either way."""
    folder = mounts.small("tmpfs", 1)
    with pytest.raises(OSError, match="No space"):
        (folder / "full").write_bytes(bytes(2 << 20))

    with contextlib.suppress(OSError):
        assert atomik.probe(folder).exchange

    assert os.listdir(folder) == ["full"]
