"""The portable rungs of the ladders: what is left when the kernel, the C library or a container lacks the best ones."""

from __future__ import annotations

import errno
import os

import pytest

import atomik
from atomik_core._os import calls
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER, each_shape
from support.processes import run
from support.rivals import rivals

each_kind = pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay"])

#: Makes the bindings answer ENOSYS, as they do where there is no such call.
NO_BINDINGS = """
from atomik_core._os import calls
calls._function = lambda *arguments: None
"""


@pytest.fixture
def no_bindings(monkeypatch):
    """No renameat2, linkat, syncfs, fstatfs or statx."""
    monkeypatch.setattr(calls, "_function", lambda *_: None)


def test_the_bindings_answer_enosys(no_bindings):
    """Where there is no such call the bindings say ENOSYS, and a filesystem is unknown."""
    for call in (
        lambda: calls.renameat2(-1, "a", -1, "b", 0),
        lambda: calls.link_descriptor(0, -1, "b"),
        lambda: calls.syncfs(0),
    ):
        with pytest.raises(OSError, match="not implemented") as caught:
            call()
        assert caught.value.errno == errno.ENOSYS
    assert calls.filesystem_magic(0) is None


@each_kind
@each_shape
def test_new(mounts, no_bindings, kind, shape):
    """Without the bindings new files and folders are published all the same, and never over anything."""
    folder = mounts(kind)
    shape.publish(folder / "a", "new")

    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(folder / "b") as handle:
        shape.fill(handle, "new")
        shape.lay(folder / "b", "theirs")

    assert shape.read(folder / "a") == "new"
    assert shape.read(folder / "b") == "theirs"
    assert sorted(os.listdir(folder)) == ["a", "b"]


@each_kind
@pytest.mark.parametrize("shape", [FILE, PATH_TO_FILE], ids=["file", "path-file"])
def test_replacing_a_file(mounts, no_bindings, kind, shape):
    """Without the bindings a file is replaced, as plain rename always could."""
    folder = mounts(kind)
    shape.lay(folder / "a", "old")

    shape.publish(folder / "a", "new", overwrite=True)

    assert shape.read(folder / "a") == "new"
    assert os.listdir(folder) == ["a"]


@each_kind
@pytest.mark.parametrize("shape", [FOLDER, PATH_TO_FOLDER], ids=["folder", "path-folder"])
def test_replacing_a_folder(mounts, no_bindings, kind, shape):
    """Without RENAME_EXCHANGE a folder is not replaced, unless it is empty: refused before the block, the old one stays."""
    folder = mounts(kind)
    shape.lay(folder / "a", "old")
    (folder / "b").mkdir()

    with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE") as caught:
        with shape.call(folder / "a", overwrite=True):
            pytest.fail("the block began")
    shape.publish(folder / "b", "new", overwrite=True)

    assert caught.value.errno == errno.ENOSYS
    assert shape.read(folder / "a") == "old"
    assert shape.read(folder / "b") == "new"
    assert sorted(os.listdir(folder)) == ["a", "b"]


def test_the_primitives(mounts, no_bindings):
    """Without the bindings `rename` and `remove` do what they say, and `exchange` says that it cannot."""
    folder = mounts("ext4")
    for name, shape in (("file", FILE), ("folder", FOLDER)):
        shape.lay(folder / name, "content")
        atomik.rename(folder / name, folder / "moved")
        assert shape.read(folder / "moved") == "content"
        shape.lay(folder / name, "theirs")
        with pytest.raises(atomik.FileAlreadyExistsError):
            atomik.rename(folder / "moved", folder / name)
        assert shape.read(folder / name) == "theirs"
        with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE"):
            atomik.exchange(folder / "moved", folder / name)
        if shape.is_folder:
            with pytest.raises(atomik.UnsupportedFilesystemError, match="RENAME_EXCHANGE"):
                atomik.rename(folder / "moved", folder / name, overwrite=True)
        else:
            atomik.rename(folder / "moved", folder / name, overwrite=True)
            assert shape.read(folder / name) == "content"
        for left in ("moved", name):
            if (folder / left).exists():
                atomik.remove(folder / left)
    assert os.listdir(folder) == []


def test_cleaning(mounts, no_bindings):
    """Where the filesystem is unknown, so is the reach of its locks: `clean` lists, and wants to be forced."""
    from filesystems.leavings import leave

    folder = mounts("ext4")
    left = leave(folder / "a")

    assert [found.live for found in atomik.leftovers(folder)] == [None]
    assert atomik.clean(folder) == []
    assert [found.path for found in atomik.clean(folder, force=True)] == [left]


RIVAL = (
    """
import sys
import atomik
from core.shapes import FILE, FOLDER
"""
    + NO_BINDINGS
    + """
def attempt(number):
    shape = FOLDER if sys.argv[2] == "folder" else FILE
    shape.publish(f"{sys.argv[1]}/{number}", "mine", sync="off")
    return "won"
"""
)


@pytest.mark.parametrize("shape", ["file", "folder"])
def test_one_rival_wins(mounts, shape):
    """On the portable rungs, too, exactly one of several rivals wins."""
    folder = mounts("ext4")
    for answers in rivals(3, RIVAL, folder, shape, rounds=25):
        assert sorted(answers) == ["FileAlreadyExistsError", "FileAlreadyExistsError", "won"]

    assert len(os.listdir(folder)) == 25


#: Takes away what only Linux has, as far as Atomik could use it, before Atomik is imported.
ANOTHER_SYSTEM = """
import os, sys
from pathlib import Path
import contextlib, ctypes, dataclasses, enum, errno, fcntl, functools, importlib.metadata, io, json, logging, pathlib
import re, shutil, signal, stat, tempfile, threading, types, typing

sys.platform = "otherbsd"
for name in ("O_TMPFILE", "O_PATH", "copy_file_range", "listxattr", "getxattr", "setxattr", "removexattr", "sendfile"):
    delattr(os, name)
_open, _stat, _readlink, _listdir, _io_open = os.open, os.stat, os.readlink, os.listdir, open

def _no_proc(call):
    def wrapped(path, *arguments, **options):
        if isinstance(path, (str, Path)) and str(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return call(path, *arguments, **options)
    return wrapped

for name in ("open", "stat", "lstat", "readlink", "listdir", "scandir", "link"):
    setattr(os, name, _no_proc(getattr(os, name)))
import builtins
builtins.open = _no_proc(open)
import atomik
"""

EVERYTHING = """
folder = Path(sys.argv[1])
from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER

for number, shape in enumerate((FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER)):
    path = folder / str(number)
    shape.publish(path, "one")
    assert shape.read(path) == "one"
    try:
        shape.publish(path, "two")
    except atomik.FileAlreadyExistsError:
        pass
    else:
        raise AssertionError
    try:
        with shape.call(folder / "discarded") as handle:
            shape.fill(handle, "new")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    try:
        shape.publish(path, "two", overwrite=True)
    except atomik.UnsupportedFilesystemError:
        assert shape.is_folder
        assert shape.read(path) == "one"
    else:
        assert shape.read(path) == "two"
    atomik.copy(path, folder / "copy")
    assert shape.read(folder / "copy") == shape.read(path)
    atomik.remove(folder / "copy")

with atomik.file(folder / "0", "a", overwrite=True) as f:
    f.write("!")
with atomik.file(folder / "0", "r+", overwrite=True) as f:
    f.write("T")
assert (folder / "0").read_text() == "Two!"
FOLDER.publish(folder / "deep" / "er" / "a", "new", parents=True)
atomik.rename(folder / "deep", folder / "moved")
atomik.remove(folder / "moved")
assert atomik.leftovers(folder, recursive=True) == []
assert atomik.clean(folder, recursive=True, force=True) == []
found = atomik.probe(folder)
assert (found.exchange, found.noreplace, found.unnamed, found.reflink, found.syncfs) == (False,) * 5, found
print(sorted(os.listdir(folder)))
"""


def test_another_posix_system(mounts):
    """With only what every POSIX system has, and no /proc, all works but replacing a folder, and nothing is left."""
    folder = mounts("ext4")

    done = run(ANOTHER_SYSTEM + EVERYTHING, folder)

    assert done.code == 0, done.err
    assert done.out.strip() == "['0', '1', '2', '3']", done


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.EINVAL])
@each_shape
def test_a_container_that_forbids_renameat2(mounts, monkeypatch, shape, code):
    """Where a seccomp filter answers for renameat2, the next rung is taken, and what cannot be done is refused."""
    folder = mounts("overlay")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(calls, "renameat2", refuse)
    shape.publish(folder / "a", "one")
    if shape.is_folder:
        with pytest.raises(atomik.UnsupportedFilesystemError), shape.call(folder / "a", overwrite=True):
            pytest.fail("the block began")
        assert shape.read(folder / "a") == "one"
    else:
        shape.publish(folder / "a", "two", overwrite=True)
        assert shape.read(folder / "a") == "two"
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_a_link_that_was_made_though_it_failed(mounts, monkeypatch, kind):
    """NFS may repeat a request whose answer was lost: EEXIST then, though the link is ours. It counts as published."""
    folder = mounts(kind)
    monkeypatch.setattr(calls, "_renameat2", lambda: None)
    link = os.link

    def link_and_fail(*arguments, **options):
        link(*arguments, **options)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    with atomik.path(folder / "a") as p:
        p.write_text("new")
        monkeypatch.setattr(os, "link", link_and_fail)

    monkeypatch.undo()
    assert (folder / "a").read_text() == "new"
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_a_rename_that_took_place_though_it_failed(mounts, monkeypatch, kind):
    """NFS may repeat a rename whose answer was lost: ENOENT then, though the file is ours. It counts as published."""
    folder = mounts(kind)
    (folder / "a").write_text("old")
    rename = os.rename

    def rename_and_fail(*arguments, **options):
        rename(*arguments, **options)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    publication = atomik.path(folder / "a", overwrite=True)
    with publication as p:
        p.write_text("new")
        monkeypatch.setattr(os, "rename", rename_and_fail)

    monkeypatch.undo()
    assert publication.state == "published"
    assert (folder / "a").read_text() == "new"
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize("shape", [FOLDER, PATH_TO_FOLDER], ids=["folder", "path-folder"])
@pytest.mark.parametrize(
    "lay", [FILE.lay, FOLDER.lay, lambda path, _: path.symlink_to("nowhere")], ids=["file", "folder", "link"]
)
def test_between_the_look_and_the_rename(mounts, no_bindings, monkeypatch, shape, lay):
    """On the last rung something may appear between its look and its rename: the kernel refuses to replace it."""
    folder = mounts("ext4")
    look = os.stat

    def look_too_early(path, *arguments, **options):
        try:
            return look(path, *arguments, **options)
        finally:
            if path == "a" and armed and not os.path.lexists(folder / "a"):
                lay(folder / "a", "theirs")

    armed = False
    monkeypatch.setattr(os, "stat", look_too_early)
    with pytest.raises((atomik.FileAlreadyExistsError, NotADirectoryError)), shape.call(folder / "a") as handle:
        shape.fill(handle, "new")
        armed = True

    monkeypatch.undo()
    assert os.listdir(folder) == ["a"]
    assert not (folder / "a" / "one").exists() or FOLDER.read(folder / "a") == "theirs"
