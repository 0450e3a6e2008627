"""Hostile directories in the way of `clean` and of the removal of old versions: nothing outside is ever touched."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

import atomik
from atomik_core._os import names, walk
from core.shapes import FOLDER
from filesystems.deep import DEPTH, bottom, deepen
from filesystems.leavings import held, leave
from support.filesystems import Mounts
from support.processes import NOBODY, run
from support.watch import tree


@pytest.fixture
def outside(mounts):
    """A precious folder elsewhere on the same filesystem; afterwards all of it has to be there."""
    folder = mounts("ext4")
    FOLDER.lay(folder / "precious", "precious")
    before = tree(folder)
    yield folder / "precious"
    assert tree(folder) == before


@pytest.fixture
def left(mounts):
    """A dead folder in a fresh directory, to be made hostile."""
    return leave(mounts("ext4") / "a")


def test_links_in_it(left, outside):
    """Links in a leftover are removed, not followed, whatever they point to."""
    (left / "to-folder").symlink_to(outside)
    (left / "to-file").symlink_to(outside / "one")
    (left / "sub" / "up").symlink_to("../..")
    (left / "self").symlink_to(".")
    (left / "dangling").symlink_to("nowhere")
    os.link(outside / "one", left / "hard")

    assert [found.path for found in atomik.clean(left.parent)] == [left]

    assert os.listdir(left.parent) == []


@pytest.mark.parametrize("target", ["folder", "file", "nowhere"])
def test_a_link_with_our_name(mounts, outside, target):
    """A link is no leftover, even with a name that Atomik would give: it is neither listed, followed nor removed."""
    folder = mounts("ext4")
    link = folder / names.staging_name()
    link.symlink_to({"folder": outside, "file": outside / "one", "nowhere": "nowhere"}[target])

    assert atomik.leftovers(folder, recursive=True) == []
    assert atomik.clean(folder, recursive=True, force=True) == []

    assert link.is_symlink()
    link.unlink()


def test_a_link_to_look_in(mounts, outside):
    """`recursive=True` does not follow links out of the directory."""
    folder = mounts("ext4")
    inside = leave(outside.parent / "a")
    (folder / "link").symlink_to(outside.parent)

    assert atomik.clean(folder, recursive=True) == []

    assert inside.exists()
    assert [found.path for found in atomik.clean(folder / "link")] == [folder / "link" / inside.name]


def make_socket(path: Path) -> None:
    """Bind a socket, whose name may not be long, at PATH."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/cwd/{path.name}")


def test_special_files_in_it(left, monkeypatch):
    """FIFOs, sockets and devices in a leftover neither block nor stop its removal."""
    monkeypatch.chdir(left)
    os.mkfifo("fifo")
    make_socket(left / "socket")
    os.mknod("null", stat.S_IFCHR | 0o600, os.makedev(1, 3))

    assert atomik.leftovers(left.parent)[0].live is False
    assert [found.path for found in atomik.clean(left.parent)] == [left]


def test_special_files_with_our_name(mounts, monkeypatch):
    """A FIFO, socket or device is no leftover, whatever it is called."""
    folder = mounts("ext4")
    monkeypatch.chdir(folder)
    os.mkfifo(names.staging_name())
    make_socket(folder / names.staging_name())
    os.mknod(names.staging_name(), stat.S_IFBLK | 0o600, os.makedev(7, 0))
    made = sorted(os.listdir())

    assert atomik.leftovers(folder) == []
    assert atomik.clean(folder, force=True) == []
    assert sorted(os.listdir()) == made
    for name in made:
        os.unlink(name)


LOOKALIKES = [
    ".atomik-",
    ".atomik-x",
    ".atomik-" + 20 * "0",
    ".atomik-backup",
    ".atomik-" + 16 * "0" + "ffff",
    "atomik-kept-" + 20 * "0",
    names.kept_name(),
    names.staging_name().upper(),
    names.staging_name() + "0",
    names.staging_name()[:-1],
    names.staging_name()[1:],
    " " + names.staging_name(),
    names.staging_name() + "\n",
    names.staging_name().replace(".atomik-", ".Atomik-"),
    os.fsdecode(b".atomik-" + 10 * b"\xff\xfe"),
]


@pytest.mark.leaves_litter
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_names_that_only_look_like_ours(mounts, make):
    """A name that Atomik cannot have made, since its checksum is wrong, belongs to a person, and stays."""
    folder = mounts("ext4")
    for name in LOOKALIKES:
        make(folder / name)

    assert atomik.leftovers(folder) == []
    assert atomik.clean(folder, recursive=True, force=True) == []
    assert sorted(os.listdir(folder)) == sorted(set(LOOKALIKES))


@pytest.mark.leaves_litter
@pytest.mark.parametrize("depth", ["at", "inside", "deep inside"])
@pytest.mark.parametrize("source", ["the same device", "another device"])
def test_a_mount(mounts, outside, left, depth, source):
    """What is mounted on a leftover, or anywhere in it, stays, all of it, and so does the way there."""
    if source == "another device":
        mounted = mounts("tmpfs") / "a"
        FOLDER.lay(mounted, "mounted")
    else:
        mounted = outside
    (left / "sub" / "point").mkdir()
    point = {"at": left, "inside": left / "sub", "deep inside": left / "sub" / "point"}[depth]
    before = tree(mounted)
    mounts.bind(mounted, point)

    assert atomik.clean(left.parent, force=True) == []

    assert tree(mounted) == before
    assert tree(point) == before


@pytest.mark.leaves_litter
def test_a_mounted_file(mounts, outside, left):
    """A file that is mounted over one in a leftover stays."""
    mounts.bind(outside / "one", left / "sub" / "file")

    assert atomik.clean(left.parent) == []

    assert (left / "sub" / "file").read_text() == "precious"


@pytest.mark.leaves_litter
def test_a_mount_in_an_old_version(mounts, outside):
    """Replacing a folder in which something is mounted publishes, and leaves the mount and what is in it."""
    folder = mounts("ext4")
    FOLDER.lay(folder / "a", "old")
    (folder / "a" / "point").mkdir()
    mounts.bind(outside, folder / "a" / "point")

    FOLDER.publish(folder / "a", "new", overwrite=True)

    assert FOLDER.read(folder / "a") == "new"
    (found,) = atomik.leftovers(folder)
    assert FOLDER.read(found.path / "point") == "precious"


def test_a_mount_to_look_in(mounts, outside):
    """`recursive=True` does not look into what is mounted below."""
    folder = mounts("ext4")
    inside = leave(outside.parent / "a")
    (folder / "point").mkdir()
    mounts.bind(outside.parent, folder / "point")

    assert atomik.leftovers(folder, recursive=True) == []
    assert atomik.clean(folder, recursive=True) == []

    atomik.clean(outside.parent)
    assert not inside.exists()


AS_NOBODY = """
import sys
import atomik
print(len(atomik.leftovers(sys.argv[1], recursive=True)), len(atomik.clean(sys.argv[1], recursive=True, force=True)))
"""


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400, 0o555])
@pytest.mark.parametrize("where", ["the leftover", "a folder in it"])
def test_folders_without_permission(mounts, mode, where):
    """Folders that their owner may not read, write or search are removed all the same, by that owner and not only root."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    left = leave(folder / "a", user=NOBODY)
    closed = left if where == "the leftover" else left / "sub"
    closed.chmod(mode)

    done = run(AS_NOBODY, folder, user=NOBODY)

    assert done.out.split() == ["1", "1"], done
    assert os.listdir(folder) == []


def test_a_live_folder_without_permission(mounts):
    """To see whether an unreadable folder is alive it has to be opened up; if it is, it gets its mode back."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    left = leave(folder / "a", user=NOBODY)
    left.chmod(0o035)

    with held(left):
        done = run(AS_NOBODY, folder, user=NOBODY)

        assert done.out.split() == ["1", "0"], done
        assert stat.S_IMODE(left.stat().st_mode) == 0o035
        assert (left / "sub" / "file").exists()

    atomik.clean(folder)


@pytest.mark.leaves_litter
@pytest.mark.parametrize("sticky", [False, True])
def test_foreign_entries_in_it(mounts, sticky):
    """What a user may not remove from their own leftover stays, the rest goes, and there is no error."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    left = leave(folder / "a", user=NOBODY)
    (left / "roots").mkdir(mode=0o1777 if sticky else 0o755)
    (left / "roots" / "file").write_text("root's")

    done = run(AS_NOBODY, folder, user=NOBODY)

    assert done.out.split() == ["1", "0"], done
    assert (left / "roots" / "file").read_text() == "root's"
    assert not (left / "sub").exists()


def test_an_unreadable_directory_to_look_in(mounts):
    """What cannot be entered is passed over by `recursive=True`, unchanged; the directory itself has to be readable."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    (folder / "closed").mkdir(mode=0o700)
    inside = leave(folder / "closed" / "a")
    theirs = leave(folder / "b", user=NOBODY)

    done = run(AS_NOBODY, folder, user=NOBODY)

    assert done.out.split() == ["1", "1"], done
    assert not theirs.exists()
    assert inside.exists()
    assert "PermissionError" in run(AS_NOBODY, folder / "closed", user=NOBODY).err
    atomik.clean(folder / "closed")


@pytest.mark.parametrize("kind", ["btrfs", "overlay"])
def test_a_deep_tree(mounts, kind):
    """A tree 2,000 deep, deeper than a path is long and Python recurses, is measured and removed."""
    folder = mounts(kind)
    left = leave(folder / "a")
    deepen(left)

    assert [found.path for found in atomik.leftovers(folder)] == [left]
    assert [found.path for found in atomik.clean(folder)] == [left]
    assert os.listdir(folder) == []


def test_a_deep_tree_to_look_in(mounts):
    """`recursive=True` finds what lies 2,000 deep, too."""
    folder = mounts("ext4")
    deepen(folder)
    name = names.staging_name()
    here = bottom(folder)
    os.mkdir(name, dir_fd=here)
    os.close(here)

    (found,) = atomik.clean(folder, recursive=True)

    assert found.path == folder.joinpath(*["deeper"] * DEPTH, name)
    assert atomik.leftovers(folder, recursive=True) == []
    atomik.remove(folder / "deeper")


def test_a_large_flat_folder(left):
    """Ten thousand entries are no different from ten."""
    for number in range(10_000):
        (left / str(number)).touch()

    assert [found.path for found in atomik.clean(left.parent)] == [left]


def remove_by(call: str, folder: Path) -> None:
    """Have the folder at FOLDER, or the leftover that it is, removed in one of the ways in which Atomik does."""
    if call == "clean":
        atomik.clean(folder.parent)
    elif call == "remove":
        with contextlib.suppress(atomik.LeftoverError):  # what is swapped meanwhile may have to stay
            atomik.remove(folder)
    else:
        FOLDER.publish(folder, "new", overwrite=True, sync="off")


def hostile(mounts: Mounts, call: str) -> tuple[Path, Path]:
    """A directory for links to wait in, and beside it a folder that is to be removed, full of folders."""
    base = mounts("ext4")
    (base / "links").mkdir()
    (base / "dir").mkdir()
    folder = leave(base / "dir" / "a") if call == "clean" else base / "dir" / "a"
    for number in range(20):
        FOLDER.lay(folder / f"folder-{number}", "waste")
    return base / "links", folder


def swap(folder: int, name: str, links: Path, target: Path) -> None:
    """Exchange NAME in the open FOLDER, wherever that is by now, for a link to TARGET; or back, if it is that link."""
    link = links / name
    if not os.path.lexists(link):
        link.symlink_to(target)
    with contextlib.suppress(OSError):
        atomik.exchange(f"/proc/self/fd/{folder}/{name}", link, sync="off")


def tidy(folder: Path) -> None:
    """Remove what the swapping has left of the folder that was removed."""
    for found in atomik.leftovers(folder.parent):
        assert not found.live
    atomik.clean(folder.parent)


calls = pytest.mark.parametrize("call", ["clean", "remove", "publish"])


@calls
def test_swapped_just_before_it_is_entered(mounts, outside, monkeypatch, call):
    """A folder that was seen as one, and is a link to a precious place by the time that it is opened, is not entered."""
    links, folder = hostile(mounts, call)
    enter = walk.Walk._open
    swapped = []

    def swap_and_enter(self, fds, directory, name):
        if name.startswith("folder-") and self._purpose == "remove":
            swap(directory, name, links, outside)
            swapped.append(name)
        return enter(self, fds, directory, name)

    monkeypatch.setattr(walk.Walk, "_open", swap_and_enter)
    remove_by(call, folder)
    monkeypatch.undo()

    assert len(set(swapped)) == 20
    assert FOLDER.read(outside) == "precious"
    assert all(FOLDER.read(links / name) == "waste" for name in swapped)
    tidy(folder)


@calls
def test_swapped_all_the_time(mounts, outside, call):
    """While it works, folders are swapped for links to a precious place, and back: nothing there is ever touched."""
    for _ in range(5):
        links, folder = hostile(mounts, call)
        names = os.listdir(folder)
        stop, here = threading.Event(), os.open(folder, os.O_RDONLY)

        def work(here=here, stop=stop, names=names, links=links):
            while not stop.is_set():
                for name in names:
                    swap(here, name, links, outside)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            remove_by(call, folder)
        finally:
            stop.set()
            thread.join()
            os.close(here)
        assert FOLDER.read(outside) == "precious"
        tidy(folder)
