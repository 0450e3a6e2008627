"""What goes wrong at a server: it is full, it is restarted in the middle of a block, it makes nobody of root."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import atomik
from lab.guest import places
from support.watch import tree

pytestmark = [pytest.mark.users("root"), pytest.mark.kernels("6.1")]

MEBIBYTE = b"x" * (1 << 20)
#: What fits, and what does not.
ROOM, TOO_MUCH = 5, 7
VERSIONS = {"nfs4.2": "vers=4.2", "nfs3": "vers=3"}
each_version = pytest.mark.parametrize("version", list(VERSIONS))


@pytest.fixture
def served(request) -> Iterator[tuple[Path, Path]]:
    """A small filesystem, and its mount by NFS: (there, here)."""
    version = request.getfixturevalue("version")
    name = f"{version}-{request.node.originalname}-{os.urandom(4).hex()}"
    there, here = Path("/m", f"there-{name}"), Path("/m", f"here-{name}")
    places.mount("nfs4.2", "root")  # for the server
    places.local("ext4", there, ROOM)
    places.export(str(there), getattr(request, "param", "no_root_squash"))
    places.mount_nfs(str(there), here, VERSIONS[version])
    yield there, here
    places.run("umount", here)
    places.run("exportfs", "-u", f"*:{there}")
    places.run("exportfs", "-f")
    for _ in range(50):
        if subprocess.run(["umount", there], capture_output=True).returncode == 0:
            break
        time.sleep(0.1)


def fill_file(path, sync):
    """Publish a file that does not fit."""
    with atomik.file(path, "wb", sync=sync) as file:
        for _ in range(TOO_MUCH):
            file.write(MEBIBYTE)


def fill_folder(path, sync):
    """Publish a folder that does not fit."""
    with atomik.folder(path, sync=sync) as folder:
        for number in range(TOO_MUCH):
            (folder / str(number)).write_bytes(MEBIBYTE)


def fill_path(path, sync):
    """Publish at a path a file that does not fit, written by a program that does not look at what close() says."""
    with atomik.path(path, sync=sync) as staged:
        fd = os.open(staged, os.O_WRONLY | os.O_CREAT)
        for _ in range(TOO_MUCH):
            os.write(fd, MEBIBYTE)
        os.close(fd)


@pytest.mark.survival
@each_version
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
@pytest.mark.parametrize("fill", [fill_file, fill_folder, fill_path], ids=["file", "folder", "path"])
def test_full(kernel, user, served, version, sync, fill, record_property):
    """A publication that does not fit fails with ENOSPC, and leaves the room that was there before."""
    _, here = served
    before = tree(here), shutil.disk_usage(here).free

    with pytest.raises(OSError, match="space") as caught:
        fill(here / "a", sync)

    assert caught.value.errno == errno.ENOSPC
    assert tree(here) == before[0], getattr(caught.value, "__notes__", None)
    assert before[1] - shutil.disk_usage(here).free < len(MEBIBYTE)
    record_property("saw", f"{version}|a server that is full|{sync}|old")


@pytest.mark.survival
@each_version
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_full_when_it_is_flushed(kernel, user, served, version, sync, record_property):
    """A file that fits the cache but not the disk fails, too, and the old version stays."""
    _, here = served
    (here / "a").write_text("old")
    with (here / "filler").open("wb", buffering=0) as filler:
        with pytest.raises(OSError, match="space"):
            while True:
                filler.write(b"y" * 65536)
                os.fsync(filler.fileno())

    with pytest.raises(OSError, match="space"), atomik.file(here / "a", "wb", overwrite=True, sync=sync) as file:
        file.write(b"z" * 300_000)

    assert (here / "a").read_text() == "old"
    assert sorted(os.listdir(here)) == ["a", "filler", "lost+found"]
    record_property("saw", f"{version}|a server that is full|{sync}|old")


@pytest.mark.survival
@each_version
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
@pytest.mark.parametrize("call", [atomik.file, atomik.folder], ids=["file", "folder"])
def test_restarted(kernel, user, served, version, call, sync, record_property):
    """A server that is stopped and started again in the block is waited for, and the publication is whole."""
    _, here = served
    with call(here / "a", sync=sync) as handle:
        if call is atomik.file:
            handle.write("x" * 100_000)
        else:
            (handle / "b").write_text("x" * 100_000)
        places.run("rpc.nfsd", "0")
        time.sleep(1)
        places.run("rpc.nfsd", "-L", "10", "-G", "10", "4")

    assert (here / "a" if call is atomik.file else here / "a" / "b").read_text() == "x" * 100_000
    assert atomik.leftovers(here) == []
    assert sorted(os.listdir(here)) == ["a", "lost+found"]
    record_property("saw", f"{version}|a server that is restarted in the block|{sync}|new")


@each_version
@pytest.mark.parametrize("served", ["root_squash"], indirect=True)
def test_root_squash(kernel, user, served, version):
    """Root, whom the server takes for nobody, publishes what nobody may, and is refused elsewhere before the block."""
    there, here = served
    with atomik.file(here / "a") as file:
        file.write("new")
    with atomik.folder(here / "b") as folder:
        (folder / "x").write_text("new")
    assert {(there / name).stat().st_uid for name in "ab"} == {65534}

    (there / "private").mkdir(mode=0o700)
    os.chown(there / "private", places.ids("user"), places.ids("user"))
    with pytest.raises(PermissionError):
        with atomik.file(here / "private" / "a"):
            pytest.fail("the block began")
    assert os.listdir(there / "private") == []
    assert atomik.leftovers(here) == []
    assert sorted(os.listdir(here)) == ["a", "b", "lost+found", "private"]


@each_version
def test_root_squash_and_a_users_file(kernel, user, served, version):
    """A file of somebody else's in a sticky directory is not replaced: an error, and it stays."""
    there, here = served
    places.export(str(there), "root_squash")
    (there / "a").write_text("old")
    os.chown(there / "a", places.ids("user"), places.ids("user"))

    with pytest.raises(PermissionError), atomik.file(here / "a", overwrite=True) as file:
        file.write("new")

    assert (there / "a").read_text() == "old"
    assert atomik.leftovers(here) == []


@each_version
def test_discarded_while_open(kernel, user, served, version):
    """What is discarded while somebody has a file in it open is hidden by NFS, and can be cleaned up afterwards."""
    _, here = served
    for call in (atomik.folder, atomik.path):
        with pytest.raises(ZeroDivisionError), call(here / "a") as staged:
            held = (staged / "x" if call is atomik.folder else staged).open("w")
            raise ZeroDivisionError
        held.close()
        atomik.clean(here)
        assert sorted(os.listdir(here)) == ["lost+found"]


@each_version
def test_removed_while_open(kernel, user, served, version):
    """A folder that is removed while a file in it is open is gone by name; what was hidden is said, and cleaned up later."""
    _, here = served
    (here / "a").mkdir()
    with (here / "a" / "x").open("w"):
        with pytest.raises(atomik.LeftoverError):
            atomik.remove(here / "a")
        assert not (here / "a").exists()
    atomik.clean(here)
    assert sorted(os.listdir(here)) == ["lost+found"]
