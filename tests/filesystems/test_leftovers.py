"""`leftovers` and `clean`: what killed processes left is found and removed; what is alive, or no leftover, is not."""

from __future__ import annotations

import os
import signal
import time

import pytest

import atomik
from atomik_core._os import filesystems, locks, names
from core.shapes import FILE, FOLDER, PATH_TO_FOLDER, each_shape
from filesystems.leavings import STAGE, held, leave
from support.filesystems import KINDS
from support.namespace import command
from support.processes import NOBODY, Program, run
from support.watch import tree

#: On these a lock may be seen by one host only, so that `clean` wants to be forced.
UNKNOWN = {"bindfs", "exfat"}
LOCAL = pytest.mark.parametrize("kind", [name for name in KINDS if name not in UNKNOWN])
everywhere = pytest.mark.parametrize("kind", list(KINDS))


@everywhere
def test_nothing_to_find(mounts, kind):
    """In an empty directory nothing is found; `leftovers` and `clean` leave it as it is."""
    folder = mounts(kind)

    assert atomik.leftovers(folder) == []
    assert atomik.clean(folder) == []
    assert atomik.clean(folder, recursive=True, force=True) == []
    assert os.listdir(folder) == []


@LOCAL
def test_found_and_removed(mounts, kind):
    """A dead folder is listed with its path, size and last change, and removed; nothing else is touched."""
    folder = mounts(kind)
    FOLDER.lay(folder / "theirs", "theirs")
    before = tree(folder)
    start = time.time()
    path = leave(folder / "a")

    (found,) = atomik.leftovers(folder)

    assert found.path == path
    assert found.destination is None
    assert found.live is False
    assert found.size == len("content")
    assert abs(found.changed - start) < 600
    assert atomik.leftovers(folder) == [found]  # looking changes nothing
    assert atomik.clean(folder) == [found]
    assert tree(folder) == before


@pytest.mark.parametrize("kind", sorted(UNKNOWN))
def test_refused_where_locks_may_not_travel(mounts, kind):
    """Where another host may be publishing unseen, `clean` lists and refuses unless forced; live ones it never removes."""
    folder = mounts(kind)
    path = leave(folder / "a")

    assert [(found.path, found.live) for found in atomik.leftovers(folder)] == [(path, None)]
    assert atomik.clean(folder) == []
    assert path.exists()
    with held(path):
        assert [found.live for found in atomik.leftovers(folder)] == [True]
        assert atomik.clean(folder, force=True) == []
    assert [found.path for found in atomik.clean(folder, force=True)] == [path]
    assert os.listdir(folder) == []


def test_the_destination_of_a_path(mounts):
    """What was staged under its own name tells for which destination it was meant."""
    folder = mounts("ext4")
    left = leave(folder / "table.parquet", "path")
    (left / "table.parquet").write_bytes(b"PAR1")

    (found,) = atomik.leftovers(folder)

    assert found.destination == "table.parquet"
    assert found.size == 4
    assert atomik.clean(folder) == [found]


@LOCAL
def test_live(mounts, kind):
    """What somebody holds is listed as live, and stays; once they have let go it is removed."""
    folder = mounts(kind)
    path = leave(folder / "a")
    before = tree(folder)

    with held(path):
        assert [(found.path, found.live) for found in atomik.leftovers(folder)] == [(path, True)]
        assert atomik.clean(folder) == []
        assert atomik.clean(folder, force=True) == []
        assert tree(folder) == before

    assert [found.path for found in atomik.clean(folder)] == [path]


@everywhere
@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_cleaning_during_a_publication(mounts, kind, shape):
    """A cleaner that runs in the middle of a publication does it no harm, forced or not."""
    folder = mounts(kind)
    overwrite = kind == "exfat" and not shape.is_folder

    with shape.call(folder / "a", overwrite=overwrite) as handle:
        shape.fill(handle, "new")
        assert atomik.clean(folder) == []
        assert atomik.clean(folder, force=True) == []

    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


def test_recursive(mounts):
    """With `recursive=True` the folders below are looked through, too, and what is inside of leftovers is not."""
    folder = mounts("ext4")
    (folder / "x" / "y").mkdir(parents=True)
    top, below = leave(folder / "a"), leave(folder / "x" / "y" / "a")
    inside = leave(top / "b")

    assert [found.path for found in atomik.leftovers(folder)] == [top]
    assert {found.path for found in atomik.leftovers(folder, recursive=True)} == {top, below}
    assert not inside.samefile(top)
    assert {found.path for found in atomik.clean(folder, recursive=True)} == {top, below}
    assert sorted(path.name for path in folder.rglob("*")) == ["x", "y"]


def test_kept_work_stays(mounts):
    """Finished work that was kept is no leftover: it is not listed, and `clean` does not touch it."""
    folder = mounts("bindfs")
    (folder / "a").mkdir()
    with pytest.raises(atomik.UnsupportedFilesystemError), atomik.folder(folder / "a", overwrite=True) as d:
        (d / "new").touch()
        (folder / "a" / "theirs").touch()
    (kept,) = (path for path in folder.iterdir() if path.name.startswith("atomik-kept-"))

    assert atomik.leftovers(folder, recursive=True) == []
    assert atomik.clean(folder, recursive=True, force=True) == []
    assert (kept / "new").exists()
    atomik.remove(kept)


def test_a_linked_file(mounts):
    """The one thing that a killed `file()` can leave, complete and under a staging name, is found and removed."""
    folder = mounts("ext4")
    (folder / "a").write_text("old")
    done = run(
        """
import os, signal, sys
import atomik
from atomik_core._os import rename

rename.replace_file = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
with atomik.file(sys.argv[1], overwrite=True) as f:
    f.write("complete")
""",
        folder / "a",
    )
    assert done.code == -9, done

    (found,) = atomik.leftovers(folder)

    assert found.path.read_text() == "complete"
    assert (found.live, found.size, found.destination) == (False, 8, None)
    with held(found.path):
        assert atomik.clean(folder) == []
    assert [removed.path for removed in atomik.clean(folder)] == [found.path]
    assert os.listdir(folder) == ["a"]


CLEAN = """
import json, os, sys
import atomik
print(json.dumps([[os.fspath(found.path) for found in call(sys.argv[1])] for call in (atomik.leftovers, atomik.clean)]))
"""


def test_other_peoples(mounts):
    """A user removes their own; what belongs to somebody else is neither listed nor touched, writable as it may be."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    roots = leave(folder / "a")
    theirs = leave(folder / "b", user=NOBODY)
    os.chmod(roots, 0o777)

    done = run(CLEAN, folder, user=NOBODY)

    assert done.out.strip() == f'[["{theirs}"], ["{theirs}"]]', done
    assert not theirs.exists()
    assert (roots / "sub" / "file").read_text() == "content"
    assert [found.path for found in atomik.clean(folder)] == [roots]


def test_root_cleans_for_everybody(mounts):
    """Root removes what anybody left."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    theirs = leave(folder / "b", user=NOBODY)

    assert [found.path for found in atomik.clean(folder)] == [theirs]


def test_no_directory(tmp_path):
    """A directory that does not exist, or is none, is an error."""
    (tmp_path / "file").touch()
    for call in (atomik.leftovers, atomik.clean):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "missing")
        with pytest.raises(NotADirectoryError):
            call(tmp_path / "file")


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "overlay"])
@pytest.mark.parametrize("replacing", [False, True])
def test_published_between_opening_and_locking(mounts, monkeypatch, kind, replacing):
    """A cleaner that opened a folder before it was published gets its lock after: it sees that, and removes nothing.

    Where it was exchanged, the name that the cleaner has now leads to the old version, which a reader may hold.
    """
    folder = mounts(kind)
    if replacing:
        FOLDER.lay(folder / "a", "old")
    publication = atomik.folder(folder / "a", overwrite=replacing)
    staged = publication.open()
    FOLDER.fill(staged, "new")
    claims = []

    def claim_late(descriptor):
        claims.append(descriptor)
        if len(claims) == 1:
            return True  # it was looked at between its making and its locking
        publication.publish()
        return claim(descriptor)

    claim = locks.try_lock_exclusive
    monkeypatch.setattr(locks, "try_lock_exclusive", claim_late)

    with held(folder / "a" if replacing else folder):
        assert atomik.clean(folder) == []
        assert FOLDER.read(folder / "a") == "new"

    assert len(claims) > 1
    monkeypatch.undo()
    assert len(atomik.clean(folder)) == replacing
    assert os.listdir(folder) == ["a"]


#: Makes every filesystem one over whose network only the locks of files travel, as NFS is.
OVER_THE_NETWORK = (
    "from atomik_core._os.filesystems import Filesystem; Filesystem.lock_scope = property(lambda self: 'files')"
)


@pytest.fixture
def over_the_network(monkeypatch):
    """Locks of folders stay on one host."""
    monkeypatch.setattr(filesystems.Filesystem, "lock_scope", "files")


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "bindfs"])
@pytest.mark.parametrize("call", ["folder", "path"])
def test_the_lock_file(mounts, over_the_network, kind, call):
    """Where only files' locks travel, a lock file in the staging folder says whether it is live; all of it is removed."""
    folder = mounts(kind)
    with Program(f"{OVER_THE_NETWORK}\n{STAGE}", call, folder / "a") as program:
        program.line()
        (found,) = atomik.leftovers(folder)
        assert names.LOCK in os.listdir(found.path)
        assert found.live is True
        assert found.destination in {"a", None}
        assert atomik.clean(folder, force=True) == []
        program.kill()

    assert [left.live for left in atomik.leftovers(folder)] == [False]
    assert [left.path for left in atomik.clean(folder)] == [found.path]
    assert os.listdir(folder) == []


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "bindfs"])
@each_shape
def test_the_lock_file_goes(mounts, over_the_network, kind, shape):
    """The lock file is never published, and goes with the staging folder, whether that is published or discarded."""
    folder = mounts(kind)

    shape.publish(folder / "a", "new")
    with pytest.raises(ZeroDivisionError), shape.call(folder / "b") as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError

    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("shape", [FILE, FOLDER, PATH_TO_FOLDER], ids=["file", "folder", "path-folder"])
def test_a_cleaner_before_the_lock(mounts, over_the_network, monkeypatch, shape, call):
    """A cleaner of another host that comes before the folder, or its lock file, is locked takes nobody's work away."""
    folder = mounts("bindfs" if shape is FILE else "ext4")
    lock, calls, removed = locks.try_lock_shared, [], []

    def clean_first(fd):
        calls.append(fd)
        if len(calls) == call:
            removed.extend(atomik.clean(folder))
        return lock(fd)

    monkeypatch.setattr(locks, "try_lock_shared", clean_first)
    shape.publish(folder / "a", "new")

    assert len(removed) == 1
    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


KILLED_AT = """
import os, signal, sys
from atomik_core import testing
import core.shapes

def die(publication, reached):
    if reached == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

with testing.watching(die):
    getattr(core.shapes, sys.argv[2]).publish(f"{sys.argv[1]}/a", "new")
"""


@pytest.mark.parametrize("step", ["opened", "sealed", "synced", "published"])
@pytest.mark.parametrize("shape", ["FILE", "FOLDER", "PATH_TO_FILE", "PATH_TO_FOLDER"])
def test_killed_over_the_network(mounts, over_the_network, shape, step):
    """At whichever step a publisher is killed, the lock file of what it leaves says that nobody needs it any more."""
    folder = mounts("bindfs")
    assert run(f"{OVER_THE_NETWORK}\n{KILLED_AT}", folder, shape, step).code == -signal.SIGKILL

    assert [found.live for found in atomik.leftovers(folder)] == [False]
    assert len(atomik.clean(folder)) == 1
    assert os.listdir(folder) == (["a"] if step == "published" else [])


def test_what_cannot_be_removed_yet(mounts, over_the_network):
    """What is left of a removed folder has a lock file, which tells a later cleaner that it is dead."""
    folder = mounts("ext4")
    (folder / "a").mkdir()
    (folder / "a" / "immutable").touch()
    command("chattr", "+i", folder / "a" / "immutable")
    with pytest.raises(atomik.LeftoverError):
        atomik.remove(folder / "a")

    (left,) = atomik.leftovers(folder)
    assert left.live is False
    assert atomik.clean(folder) == []
    command("chattr", "-i", left.path / "immutable")
    assert len(atomik.clean(folder)) == 1
    assert os.listdir(folder) == []


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400])
def test_a_file_without_permission(mounts, mode):
    """A leftover file that its owner may not read is theirs to remove; one that is alive keeps its mode."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    left = folder / names.staging_name()
    left.write_text("complete")
    os.chown(left, NOBODY, NOBODY)
    left.chmod(mode)

    with held(left):
        done = run(CLEAN, folder, user=NOBODY)
        assert done.out.strip() == f'[["{left}"], []]', done
        assert left.stat().st_mode & 0o7777 == mode
    done = run(CLEAN, folder, user=NOBODY)

    assert done.out.strip() == f'[["{left}"], ["{left}"]]', done
    assert os.listdir(folder) == []


REMOVE = """
import sys
import atomik
try:
    atomik.remove(sys.argv[1])
except atomik.LeftoverError as error:
    print(error.filename, error.strerror)
"""


@pytest.mark.leaves_litter
def test_remove_says_what_stays(mounts):
    """`remove` that cannot delete everything says so, and where the rest is; the name is gone."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    (folder / "a" / "theirs").mkdir(parents=True)
    (folder / "a" / "theirs" / "x").write_text("root's")
    os.chown(folder / "a", NOBODY, NOBODY)

    done = run(REMOVE, folder / "a", user=NOBODY)

    (left,) = folder.iterdir()
    assert left.name.startswith(".atomik-")
    assert done.out.startswith(f"{folder / 'a'} "), done
    assert str(left) in done.out
    assert (left / "theirs" / "x").read_text() == "root's"


LOGGED = """
import logging, sys
import atomik
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
with atomik.folder(sys.argv[1], overwrite=True) as d:
    (d / "new").touch()
"""


@pytest.mark.leaves_litter
def test_old_version_that_stays_is_logged(mounts):
    """An old version of which something cannot be deleted is logged, with its path; the publication took place."""
    folder = mounts("ext4")
    folder.chmod(0o777)
    (folder / "a" / "theirs").mkdir(parents=True)
    (folder / "a" / "theirs" / "x").write_text("root's")
    os.chown(folder / "a", NOBODY, NOBODY)

    done = run(LOGGED, folder / "a", user=NOBODY)

    (left,) = [path for path in folder.iterdir() if path.name != "a"]
    assert done.out.startswith("WARNING "), done
    assert str(left) in done.out
    assert os.listdir(folder / "a") == ["new"]
