"""What can be known of a destination is asked before the user's work begins."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

import atomik
from atomik_core._os import calls, rename
from core.shapes import FILE, FOLDER
from support.needs import need_tool
from support.processes import NOBODY, run


def refused(shape, path, error, match, **options):
    """Assert that publishing is refused before the block, and leaves nothing."""
    before = sorted(os.listdir(path.parent))
    with pytest.raises(error, match=match) as caught, shape.call(path, **options):
        pytest.fail("the block began")
    assert caught.value.filename == str(path)
    assert sorted(os.listdir(path.parent)) == before


@pytest.mark.system
@pytest.mark.parametrize("sync", ["full", "off"])
@pytest.mark.parametrize("flag", ["a", "i"])
def test_chattr_of_what_stands_there(mounts, shape, flag, sync):
    """What is immutable or append-only is not replaced, and that is said at the start, with the remedy."""
    need_tool("chattr")
    path = mounts("ext4") / "a"
    shape.lay(path, "old")
    subprocess.run(["chattr", f"+{flag}", path], check=True)
    try:
        refused(shape, path, PermissionError, f"chattr -{flag}", overwrite=True, sync=sync)
    finally:
        subprocess.run(["chattr", f"-{flag}", path], check=True)
    assert shape.read(path) == "old"


@pytest.mark.system
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_append_only_directory(mounts, shape, overwrite):
    """In an append-only directory nothing is staged by a name, which could never be taken away again."""
    need_tool("chattr")
    directory = mounts("ext4")
    if overwrite:
        shape.lay(directory / "a", "old")
    subprocess.run(["chattr", "+a", directory], check=True)
    try:
        if shape is FILE and not overwrite:
            shape.publish(directory / "a", "new")
        else:
            refused(shape, directory / "a", PermissionError, "append-only", overwrite=overwrite)
    finally:
        subprocess.run(["chattr", "-a", directory], check=True)
    assert os.listdir(directory) == (["a"] if overwrite or shape is FILE else [])


@pytest.mark.system
@pytest.mark.parametrize("how", ["group", "symlink", "copy"])
def test_append_only_directory_otherwise(mounts, how):
    """Nor by a group, a link or a copy that replaces."""
    need_tool("chattr")
    directory = mounts("ext4")
    (directory / "a").write_text("old")
    subprocess.run(["chattr", "+a", directory], check=True)
    try:
        with pytest.raises(PermissionError, match="append-only"):
            if how == "group":
                with atomik.group() as group, group.file(directory / "b"):
                    pytest.fail("the block began")
            elif how == "symlink":
                atomik.symlink("a", directory / "b")
            else:
                atomik.copy(directory / "a", directory / "a", overwrite=True)
    finally:
        subprocess.run(["chattr", "-a", directory], check=True)
    assert os.listdir(directory) == ["a"]


AS_NOBODY = """
import os, sys
import atomik
call, path, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
try:
    with getattr(atomik, call)(path, **options):
        print("the block began")
except OSError as error:
    print(type(error).__name__, error.filename == path, error.strerror)
"""


@pytest.mark.system
@pytest.mark.parametrize("call", ["file", "folder", "path"])
@pytest.mark.parametrize("what", ["tmp_dir", "backup", "sticky"])
def test_directories_of_others(mounts, call, what):
    """A directory that the result may not be moved to, with a tmp_dir or a backup, and a sticky one, are seen at the start."""
    top = mounts("ext4")
    top.chmod(0o755)
    for name, mode in (("closed", 0o755), ("open", 0o777), ("sticky", 0o1777)):
        (top / name).mkdir()
        (top / name).chmod(mode)
        (top / name / "a").mkdir() if call == "folder" else (top / name / "a").write_text("old")
    path = top / {"tmp_dir": "closed", "backup": "open", "sticky": "sticky"}[what] / "a"
    options = {
        "tmp_dir": {"overwrite": True, "tmp_dir": str(top / "open")},
        "backup": {"overwrite": True, "backup": str(top / "closed" / "b")},
        "sticky": {"overwrite": True},
    }[what]

    done = run(AS_NOBODY, call, str(path), repr(options), user=NOBODY)

    assert done.out.startswith("PermissionError True"), done
    assert not [each for each in top.rglob("*") if "atomik-" in each.name]


def test_refused_fchmod(tmp_path, monkeypatch):
    """Where a filter forbids to change a mode, a folder, which needs that at its end, is refused at the start."""

    def forbid(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", forbid)
    refused(FOLDER, tmp_path / "a", PermissionError, "not permitted")
    refused(FILE, tmp_path / "a", PermissionError, "not permitted", permissions=0o600)
    FILE.publish(tmp_path / "b", "new")


@pytest.mark.parametrize("code", [1, 13, 38], ids=["EPERM", "EACCES", "ENOSYS"])
def test_refused_renameat2(tmp_path, monkeypatch, shape, code):
    """Where a filter refuses renameat2, by whatever errno, new content is published by another rung."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(rename.calls, "renameat2", refuse)
    shape.publish(tmp_path / "a", "new")
    assert shape.read(tmp_path / "a") == "new"


@pytest.mark.parametrize("code", [1, 13, 38], ids=["EPERM", "EACCES", "ENOSYS"])
def test_refused_exchange(tmp_path, monkeypatch, code):
    """Where a filter refuses renameat2, a folder that is not empty cannot be replaced, and that is said at the start."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    FOLDER.lay(tmp_path / "a", "old")
    monkeypatch.setattr(rename.calls, "renameat2", refuse)
    refused(FOLDER, tmp_path / "a", atomik.UnsupportedFilesystemError, "RENAME_EXCHANGE", overwrite=True)
    assert FOLDER.read(tmp_path / "a") == "old"


def test_no_directory_sync(tmp_path, monkeypatch):
    """A directory that cannot be synced is known at the start, where durability was asked for."""
    from atomik_core._os.filesystems import Filesystem

    real = os.fsync

    def fsync(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(22, "Invalid argument")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Filesystem, "has_reliable_sync", property(lambda _: False))
    refused(FILE, tmp_path / "a", atomik.UnsupportedFilesystemError, "no fsync of a directory")
    FILE.publish(tmp_path / "a", "new", sync="normal")


def test_syncfs_before_linux_5_8(tmp_path, monkeypatch):
    """Before Linux 5.8 syncfs hid errors: a tree is fsynced file by file there."""
    synced, real = [], os.fsync
    monkeypatch.setattr(calls, "KERNEL", (5, 7))
    monkeypatch.setattr(calls, "syncfs", lambda fd: pytest.fail("syncfs was trusted"))
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), real(fd)))

    with atomik.folder(tmp_path / "a") as d:
        for number in range(20):
            (d / str(number)).write_text("x")
    with atomik.group() as group:
        for number in range(20):
            with group.file(tmp_path / str(number)) as f:
                f.write("x")

    files = [tmp_path / "a" / str(n) for n in range(20)] + [tmp_path / str(n) for n in range(20)]
    assert {path.stat().st_ino for path in files} <= set(synced)


def test_before_linux_6_10(tmp_path, monkeypatch):
    """Before Linux 6.10 an unnamed file gets its name through /proc, so it is opened through /proc, too."""
    opened, real = [], os.open
    monkeypatch.setattr("atomik_core._publish.staging._AT_EMPTY_PATH_WORKS", False)
    monkeypatch.setattr(os, "open", lambda path, *rest, **named: (opened.append(path), real(path, *rest, **named))[1])

    for text in ("old", "new"):
        FILE.publish(tmp_path / "a", text, overwrite=True)
    monkeypatch.undo()

    assert sum(str(path).startswith("/proc/self/fd/") for path in opened) == 2
    assert FILE.read(tmp_path / "a") == "new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("permissions", "error", "match"),
    [
        (644, ValueError, "0o644"),
        (755, ValueError, "0o755"),
        ("644", TypeError, "0o644"),
        (True, TypeError, "number"),
        (-1, ValueError, "0o7777"),
    ],
)
@pytest.mark.parametrize("call", ["file", "folder", "path"])
def test_permissions_that_are_a_mistake(tmp_path, call, permissions, error, match):
    """A decimal mode and a text are mistakes, said by the call itself, with what was meant."""
    with pytest.raises(error, match=match):
        getattr(atomik, call)(tmp_path / "a", permissions=permissions)
    with pytest.raises(error, match=match), atomik.group() as group:
        getattr(group, call)(tmp_path / "a", permissions=permissions)


@pytest.mark.parametrize("permissions", [0o644, 0o755, 0o600, 0o4755, 0o1777, 0o400, 0])
def test_permissions_that_are_meant(tmp_path, permissions):
    """Every usual mode is taken as it is."""
    with atomik.file(tmp_path / "a", permissions=permissions) as f:
        f.write("x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == permissions


def test_forgotten_with(tmp_path):
    """Who forgets the `with` is told so."""
    with pytest.raises(AttributeError, match="that is what its `with` gives"):
        atomik.file(tmp_path / "a").write("text")
    with pytest.raises(AttributeError, match="that is what its `with` gives"):
        atomik.path(tmp_path / "a").write_text("text")


@pytest.mark.parametrize("there", ["folder", "device"])
def test_no_advice_that_is_refused_afterwards(tmp_path, there):
    """Where overwriting would be refused, too, nothing advises it."""
    path = "/dev/null" if there == "device" else tmp_path / "a"
    if there == "folder":
        path.mkdir()
    for call in (lambda: atomik.file(path).open(), lambda: atomik.rename(__file__, path)):
        with pytest.raises(atomik.FileAlreadyExistsError) as caught:
            call()
        assert "overwrite" not in str(caught.value)
