"""Instants of microseconds, in which a rival or a writer comes between a look and a call: nobody's version is lost."""

from __future__ import annotations

import contextlib
import os
import time

import pytest

import atomik
from atomik_core._os import calls, locks, rename
from atomik_core._os.filesystems import Filesystem


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_rival_while_a_replacement_is_undone(tmp_path, monkeypatch, folder):
    """A rival's version that comes between the look and the exchange that undoes ours is put back."""
    real, count = rename.exchange, []

    def make(path, text):
        if folder:
            path.mkdir()
            (path / "x").write_text(text)
        else:
            path.write_text(text)

    def exchange(*names):
        count.append(names)
        if len(count) == 2:
            make(tmp_path / "r", "rival")
            if folder:
                os.rename(tmp_path / "a", tmp_path / "ours")
            os.rename(tmp_path / "r", tmp_path / "a")
        real(*names)

    make(tmp_path / "a", "old")
    with pytest.raises(FileExistsError) as caught, atomik.group() as group:
        with (
            group.folder(tmp_path / "a", overwrite=True)
            if folder
            else group.file(tmp_path / "a", overwrite=True) as new
        ):
            (new / "x").write_text("ours") if folder else new.write("ours")
        with group.file(tmp_path / "b") as f:
            f.write("ours")
        (tmp_path / "b").touch()
        monkeypatch.setattr(rename, "exchange", exchange)
    monkeypatch.undo()

    assert len(count) == 3
    assert (tmp_path / "a" / "x" if folder else tmp_path / "a").read_text() == "rival"
    assert any("somebody else has replaced it" in note for note in caught.value.__notes__)
    if folder:
        atomik.remove(tmp_path / "ours")


@pytest.mark.leaves_litter
@pytest.mark.parametrize("taken_again", [False, True])
def test_rival_while_a_new_name_is_undone(tmp_path, monkeypatch, taken_again):
    """A rival's version that the undoing has taken is given back; is its name taken again, it is kept, and the note says where."""
    from atomik_core._publish.destination import Destination

    count = []

    holds = Destination.holds

    def holds_then_rival(self, identity):
        found = holds(self, identity)
        if self.name == "a" and found and not count:
            count.append(self)
            (tmp_path / "r").write_text("rival")
            os.rename(tmp_path / "r", tmp_path / "a")
        return found

    new_file = rename.new_file

    def new_file_late(source_dir, source, target_dir, target):
        if count and target == "a" and taken_again:
            (tmp_path / "a").write_text("another rival")
        new_file(source_dir, source, target_dir, target)

    with pytest.raises(FileExistsError) as caught, atomik.group() as group:
        for name in "ab":
            with group.file(tmp_path / name) as f:
                f.write("ours")
        (tmp_path / "b").touch()
        monkeypatch.setattr(Destination, "holds", holds_then_rival)
        monkeypatch.setattr(rename, "new_file", new_file_late)
    monkeypatch.undo()

    assert count
    if not taken_again:
        assert (tmp_path / "a").read_text() == "rival"
        return
    assert (tmp_path / "a").read_text() == "another rival"
    (kept,) = [path for path in tmp_path.iterdir() if path.name.startswith("atomik-kept-")]
    assert kept.read_text() == "rival"
    assert any(str(kept) in note for note in caught.value.__notes__)


def test_destination_that_vanishes_and_is_back(tmp_path, monkeypatch):
    """A destination that is gone at the exchange and back at the rename is exchanged after all: nothing fails for it."""
    real, count = calls.renameat2, []
    (tmp_path / "a").mkdir()

    def renameat2(source_dir, source, target_dir, target, flags):
        if target == "a":
            count.append(flags)
            if len(count) == 1:
                os.rename(tmp_path / "a", tmp_path / "moved")
            elif len(count) == 2:
                os.rename(tmp_path / "moved", tmp_path / "a")
        real(source_dir, source, target_dir, target, flags)

    with atomik.folder(tmp_path / "a", overwrite=True) as d:
        (d / "x").write_text("new")
        monkeypatch.setattr(calls, "renameat2", renameat2)
    monkeypatch.undo()

    assert count[:3] == [calls.RENAME_EXCHANGE, calls.RENAME_NOREPLACE, calls.RENAME_EXCHANGE]
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["x"]


def test_replaced_between_opening_and_locking(tmp_path, monkeypatch):
    """A snapshot whose folder is replaced and removed between its open and its lock opens again: none is emptied."""
    with atomik.folder(tmp_path / "a") as d:
        (d / "x").write_text("old")
    real = locks.try_lock_shared

    def late(fd):
        monkeypatch.setattr(locks, "try_lock_shared", real)
        with atomik.folder(tmp_path / "a", overwrite=True) as d:
            (d / "x").write_text("new")
        return real(fd)

    monkeypatch.setattr(locks, "try_lock_shared", late)
    with atomik.snapshot(tmp_path / "a") as held:
        assert (held / "x").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_files_of_a_group_where_syncfs_is_not_trusted(tmp_path, monkeypatch):
    """Where syncfs does not do what it says (overlayfs, FUSE, NFS) each file of a group is fsynced before it is published."""
    synced, real = [], os.fsync
    monkeypatch.setattr(Filesystem, "has_reliable_syncfs", property(lambda _: False))
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), real(fd)))
    monkeypatch.setattr(calls, "syncfs", lambda fd: pytest.fail("syncfs was trusted"))

    with atomik.group(sync="full") as group:
        for number in range(12):
            with group.file(tmp_path / str(number)) as f:
                f.write("x")

    assert {(tmp_path / str(number)).stat().st_ino for number in range(12)} <= set(synced)


def test_staged_content_that_is_moved_away(tmp_path, monkeypatch):
    """Content that somebody moves away just before the rename is no publication: that is said, and theirs stays theirs."""
    import atomik_core.testing

    for call in ("folder", "path"):
        for overwrite in (False, True):
            if overwrite:
                (tmp_path / "a").mkdir()
                (tmp_path / "a" / "old").touch()

            def move(_, step):
                if step == "synced":
                    (staged,) = [path.parent for path in tmp_path.glob(".atomik-*/x")]
                    os.rename(staged, tmp_path / "theirs")

            publication = getattr(atomik, call)(tmp_path / "a", overwrite=overwrite)
            with atomik_core.testing.watching(move), pytest.raises(atomik.NothingStagedError, match="moved"):
                with publication as d:
                    d.mkdir(exist_ok=True)
                    (d / "x").write_text("new")

            assert publication.state == "discarded"
            if overwrite:
                assert os.listdir(tmp_path / "a") == ["old"]
                atomik.remove(tmp_path / "a")
            else:
                assert not (tmp_path / "a").exists()
            atomik.remove(tmp_path / "theirs")
            assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("level", [1, 2])
def test_snapshot_below_what_is_replaced(tmp_path, level):
    """A snapshot of a folder inside another is held still when that is replaced; the last reader tidies."""

    def publish(text):
        with atomik.folder(tmp_path / "a", overwrite=True) as d:
            (d / "in" / "deep").mkdir(parents=True)
            (d / "in" / "deep" / "x").write_text(text)
            (d / "in" / "y").write_text(text)

    publish("old")
    path = tmp_path / "a" / "in" if level == 1 else tmp_path / "a" / "in" / "deep"
    with atomik.snapshot(path) as held, contextlib.ExitStack() as others:
        second = others.enter_context(atomik.snapshot(path))
        publish("new")
        for each in (held, second):
            assert sorted(os.listdir(each)) == (["deep", "y"] if level == 1 else ["x"])
            assert (each / ("y" if level == 1 else "x")).read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_copy_of_what_is_replaced(tmp_path):
    """A copy of a folder that is replaced meanwhile is of the version that it began with, whole; that is removed after it."""

    def publish(text):
        with atomik.folder(tmp_path / "a", overwrite=True) as d:
            for number in range(4):
                (d / f"sub{number}").mkdir()
                (d / f"sub{number}" / "x").write_text(text)

    publish("old")
    begun = []

    def progress(files, data):
        if not begun:
            begun.append(files)
            publish("new")

    atomik.copy(tmp_path / "a", tmp_path / "b", progress=progress)

    assert [(tmp_path / "b" / f"sub{number}" / "x").read_text() for number in range(4)] == ["old"] * 4
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.system
@pytest.mark.parametrize("instant", ["before its handle is taken", "after that"])
def test_rival_with_the_inode_number_of_the_old_version(mounts, monkeypatch, instant):
    """An old version that was looked at in the very instant in which a rival replaced it is not taken for the next rival's.

    That one has its inode number, and was made in the same tick of the clock.
    """
    from atomik_core._publish import staging
    from atomik_core._publish.destination import Destination

    path, looked, theirs = mounts("ext4") / "a", [], []
    stat, stage_unnamed, file_handle = Destination.stat, staging.stage_unnamed, calls.file_handle

    def publish(text):
        with atomik.file(path, overwrite=True, sync="off") as f:
            f.write(text)

    def stat_late(self):
        monkeypatch.setattr(Destination, "stat", stat)
        with open(path) as old:
            publish("a rival's")
            monkeypatch.setattr(staging, "stage_unnamed", stage_late)
            if instant == "before its handle is taken":
                monkeypatch.setattr(calls, "file_handle", handle_late)
            looked.append(os.fstat(old.fileno()))
        return looked[-1]

    def handle_late(directory, name):
        monkeypatch.setattr(calls, "file_handle", file_handle)
        monkeypatch.setattr(staging, "stage_unnamed", stage_unnamed)
        publish("another rival's")
        theirs.append((path.stat().st_ino, calls.birth_time(directory, name)))
        monkeypatch.setattr(staging, "stage_unnamed", stage_late)
        return file_handle(directory, name)

    def stage_late(fds, directory, mode):
        monkeypatch.setattr(staging, "stage_unnamed", stage_unnamed)
        if instant == "after that":
            publish("another rival's")
            theirs.append((path.stat().st_ino, calls.birth_time(directory.fd, "a")))
        time.sleep(0.01)  # until a tick in which ours is younger than theirs
        return stage_unnamed(fds, directory, mode)

    for _ in range(100):
        path.unlink(missing_ok=True)
        path.write_text("old")
        publication = atomik.file(path, overwrite=True, sync="off")
        monkeypatch.setattr(Destination, "stat", stat_late)
        with publication as f:
            f.write("ours")
        assert path.read_text() == "ours"
        number, born = theirs[-1]
        if number == looked[-1].st_ino and born[0] * 10**9 + born[1] <= looked[-1].st_ctime_ns:
            return
    pytest.fail("no rival got the number in time: this test has shown nothing")


def test_cleaner_before_a_replaced_folder_is_put_back(tmp_path):
    """A cleaner leaves the old version of a group's folder alone, which is out of sight for the time being."""
    import atomik_core.testing

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()

    def clean(publication, step):
        if (publication.destination.name, step) == ("b", "synced"):
            assert atomik.clean(tmp_path) == []
            (tmp_path / "b").touch()

    with atomik_core.testing.watching(clean), pytest.raises(atomik.FileAlreadyExistsError), atomik.group() as group:
        (group.folder(tmp_path / "a", overwrite=True).open() / "new").touch()
        group.file(tmp_path / "b").open().write("ours")

    assert os.listdir(tmp_path / "a") == ["old"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_published_between_a_cleaners_opening_and_locking(tmp_path, monkeypatch):
    """A folder that is published when a leaving reader is about to remove it as a leftover keeps what is in it."""
    from atomik_core._os import remove
    from atomik_core._os.descriptors import DIRECTORY, Descriptors

    publication = atomik.folder(tmp_path / "a")
    (publication.open() / "x").write_text("new")
    (staged,) = [path.name for path in tmp_path.glob(".atomik-*")]
    real = locks.try_lock_exclusive

    def late(fd):
        publication.publish()
        return real(fd)

    fds = Descriptors()
    monkeypatch.setattr(locks, "try_lock_exclusive", late)
    assert remove.remove_if_unlocked(fds.open(str(tmp_path), DIRECTORY), staged) == "held"
    fds.close_all()

    assert (tmp_path / "a" / "x").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_removed_while_a_folder_in_it_is_read(tmp_path):
    """`remove` is done when what is left is a reader's, who tidies: no leftover is reported."""
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "a" / "in" / "x").write_text("old")

    with atomik.snapshot(tmp_path / "a" / "in") as held:
        atomik.remove(tmp_path / "a")
        assert (held / "x").read_text() == "old"

    assert os.listdir(tmp_path) == []


def test_link_of_a_group_is_synced_before_its_instant(tmp_path, monkeypatch):
    """A symbolic link is in its folder's blocks: the staging folder is synced while the link is still in it."""
    synced, real = [], os.fsync

    def fsync(fd):
        synced.append(sorted(os.listdir(fd)))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomik.group(sync="full") as group:
        group.symlink("target", tmp_path / "a")

    assert ["a"] in synced
    assert len(synced) == 2


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_file_that_is_copied_since_links_are_refused_is_synced(tmp_path, monkeypatch, overwrite):
    """Where a filter refuses the link of a file without a name, its copy is as durable before it is visible."""
    synced, real = [], os.fsync
    if overwrite:
        (tmp_path / "a").write_text("old")

    def fsync(fd):
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(rename, "link_unnamed", refuse)
    with atomik.file(tmp_path / "a", overwrite=overwrite, sync="normal") as f:
        f.write("new")

    assert (tmp_path / "a").read_text() == "new"
    assert synced[-1] == (tmp_path / "a").stat().st_ino
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.system
def test_cleaner_after_a_file_has_got_its_staging_name(mounts):
    """On btrfs, where a file is named to be synced, a cleaner leaves it alone, though it was made without a lock."""
    import atomik_core.testing

    folder, seen = mounts("btrfs"), []

    def clean(_, step):
        if step == "synced":
            seen.append((len(list(folder.glob(".atomik-*"))), atomik.clean(folder)))

    with atomik_core.testing.watching(clean), atomik.file(folder / "a") as f:
        f.write("new")

    assert seen == [(1, [])]
    assert (folder / "a").read_text() == "new"
