"""Destinations that are symbolic links: followed when overwriting, as `open()` does, or replaced if that was said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import atomik
from core.shapes import FILE, FOLDER
from support.needs import require
from support.processes import NOBODY, run


def test_any_link_counts(tmp_path, shape):
    """Without overwriting a link counts as existing, a dangling one, too, and one to itself."""
    shape.lay(tmp_path / "target", "old")
    for name, target in (("good", "target"), ("dangling", "nowhere"), ("loop", "loop")):
        (tmp_path / name).symlink_to(target)

        for follow in (True, False):
            with pytest.raises(atomik.FileAlreadyExistsError):
                shape.publish(tmp_path / name, "new", follow_symlinks=follow)

    assert shape.read(tmp_path / "target") == "old"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("target", ["target", "./target", "sub/../target", "sub/link", "{tmp_path}/target"])
def test_followed(tmp_path, shape, target):
    """Overwriting through a link replaces what it points to, in that one's directory, and the link stays."""
    shape.lay(tmp_path / "target", "old")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link").symlink_to("../target")
    (tmp_path / "link").symlink_to(target.format(tmp_path=tmp_path))

    shape.publish(tmp_path / "link", "new", overwrite=True)

    assert shape.read(tmp_path / "target") == "new"
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "sub", "target"]


def test_staged_beside_the_target(tmp_path, folder_shape):
    """What is published through a link is staged where the link points to, which may be another filesystem."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/target")

    with folder_shape.call(tmp_path / "link", overwrite=True) as handle:
        assert len(os.listdir(tmp_path / "elsewhere")) == 1
        folder_shape.fill(handle, "new")

    assert folder_shape.read(tmp_path / "elsewhere" / "target") == "new"


def test_relative_to_the_working_directory(tmp_path, monkeypatch, shape):
    """A relative link is resolved from its own directory, not from the working directory."""
    (tmp_path / "sub").mkdir()
    shape.lay(tmp_path / "sub" / "target", "old")
    (tmp_path / "sub" / "link").symlink_to("target")
    monkeypatch.chdir(tmp_path)

    shape.publish(tmp_path / "sub" / "link", "new", overwrite=True)

    assert shape.read(tmp_path / "sub" / "target") == "new"
    assert os.listdir(tmp_path) == ["sub"]


def test_dangling(tmp_path, shape):
    """Overwriting through a dangling link makes what it names, as `open()` does."""
    (tmp_path / "link").symlink_to("target")

    shape.publish(tmp_path / "link", "new", overwrite=True)

    assert (tmp_path / "link").is_symlink()
    assert shape.read(tmp_path / "target") == "new"


def test_dangling_into_a_missing_directory(tmp_path, shape):
    """A link into a directory that does not exist is FileNotFoundError before the block, and names the link's target."""
    (tmp_path / "link").symlink_to("missing/target")

    with pytest.raises(FileNotFoundError, match="missing/target"), shape.call(tmp_path / "link", overwrite=True):
        pytest.fail("the block began")

    assert os.listdir(tmp_path) == ["link"]


def test_a_chain(tmp_path, shape):
    """As many links as the kernel follows are followed: forty."""
    shape.lay(tmp_path / "0", "old")
    for number in range(1, 41):
        (tmp_path / str(number)).symlink_to(str(number - 1))

    shape.publish(tmp_path / "40", "new", overwrite=True)

    assert shape.read(tmp_path / "0") == "new"
    assert len(os.listdir(tmp_path)) == 41


@pytest.mark.parametrize("length", [1, 41])
def test_too_many(tmp_path, shape, length):
    """A loop, or one link more than the kernel follows, is an error before the block (ELOOP), and not an endless search."""
    for number in range(length):
        (tmp_path / str(number)).symlink_to(str((number + 1) % 42 if length > 1 else 0))

    with pytest.raises(OSError, match="symbolic links"), shape.call(tmp_path / "0", overwrite=True):
        pytest.fail("the block began")


def test_not_followed(tmp_path, shape):
    """With `follow_symlinks=False` the link itself is replaced, and what it points to is untouched."""
    shape.lay(tmp_path / "target", "old")
    (tmp_path / "link").symlink_to("target")

    shape.publish(tmp_path / "link", "new", overwrite=True, follow_symlinks=False)

    assert not (tmp_path / "link").is_symlink()
    assert shape.read(tmp_path / "link") == "new"
    assert shape.read(tmp_path / "target") == "old"
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_dangling_not_followed(tmp_path, shape):
    """With `follow_symlinks=False` a dangling link is replaced."""
    (tmp_path / "link").symlink_to("nowhere")

    shape.publish(tmp_path / "link", "new", overwrite=True, follow_symlinks=False)

    assert not (tmp_path / "link").is_symlink()
    assert shape.read(tmp_path / "link") == "new"
    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.parametrize(
    ("there", "made", "error"), [(FILE, FOLDER, NotADirectoryError), (FOLDER, FILE, IsADirectoryError)]
)
def test_to_the_other_kind(tmp_path, there, made, error):
    """A link to a file is not overwritten by a folder, nor the reverse."""
    there.lay(tmp_path / "target", "old")
    (tmp_path / "link").symlink_to("target")

    with pytest.raises(error), made.call(tmp_path / "link", overwrite=True):
        pytest.fail("the block began")

    assert there.read(tmp_path / "target") == "old"


def test_links_on_the_way(tmp_path, shape):
    """A link among the parents is followed, as everywhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    shape.publish(tmp_path / "link" / "a", "new")

    assert shape.read(tmp_path / "real" / "a") == "new"


FOLLOW = """
import sys
import atomik
try:
    with atomik.file(sys.argv[1], overwrite=True):
        print("the block began")
except PermissionError as error:
    print(error.filename)
"""


@pytest.fixture
def protected_symlinks():
    """The kernel's setting is on, as it is nearly everywhere; where it is off, it is on for the time of the test."""
    setting = Path("/proc/sys/fs/protected_symlinks")
    before = setting.read_text()
    if before.strip() != "1":
        require(os.access(setting, os.W_OK), "needs fs.protected_symlinks=1")
        setting.write_text("1")
    yield
    if before.strip() != "1":
        setting.write_text(before)


@pytest.mark.system
def test_a_link_that_the_kernel_does_not_follow(mounts, protected_symlinks):
    """Somebody else's link in a sticky directory is not followed (fs.protected_symlinks), as open() does not."""
    folder = mounts("ext4")
    folder.chmod(0o1777)
    (folder / "own").mkdir()
    (folder / "own").chmod(0o777)
    (folder / "own" / "a").write_text("old")
    os.chown(folder / "own" / "a", NOBODY, NOBODY)
    (folder / "link").symlink_to("own/a")
    os.chown(folder / "link", 1234, 1234, follow_symlinks=False)

    done = run(FOLLOW, folder / "link", user=NOBODY)

    assert done.out.strip() == str(folder / "link"), done
    assert (folder / "own" / "a").read_text() == "old"


def test_a_link_that_is_refused(tmp_path, monkeypatch):
    """Whatever keeps the kernel from following a link is final: it is not followed by hand instead."""
    (tmp_path / "b").write_text("old")
    (tmp_path / "a").symlink_to("b")
    real = os.stat

    def stat(path, *rest, follow_symlinks=True, **named):
        if path == "a" and follow_symlinks:
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, follow_symlinks=follow_symlinks, **named)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(PermissionError), atomik.file(tmp_path / "a", overwrite=True):
        pytest.fail("the block began")
    monkeypatch.undo()

    assert (tmp_path / "b").read_text() == "old"
