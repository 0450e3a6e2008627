"""`tmp_dir`: staging in a directory of one's choice."""

from __future__ import annotations

import os

import pytest

import atomik


@pytest.fixture
def staging(tmp_path):
    """A directory to stage in."""
    directory = tmp_path / "staging"
    directory.mkdir()
    return directory


def test_staged_there(tmp_path, staging, shape):
    """What is written waits there, not beside the destination."""
    (tmp_path / "b").mkdir()

    publication = shape.call(tmp_path / "b" / "a", tmp_dir=staging)
    with publication as handle:
        shape.fill(handle, "new")
        assert os.listdir(tmp_path / "b") == []
        if shape.call is not atomik.file:
            assert publication.staged.is_relative_to(staging)

    assert shape.read(tmp_path / "b" / "a") == "new"
    assert os.listdir(staging) == []


def test_discarded_there(tmp_path, staging, shape):
    """A discard leaves nothing there."""
    with pytest.raises(ZeroDivisionError), shape.call(tmp_path / "a", tmp_dir=staging) as handle:
        shape.fill(handle, "new")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == ["staging"]


def test_a_rival_was_first(tmp_path, staging, shape):
    """Neither does one who comes too late, neither there nor beside the destination."""
    with pytest.raises(atomik.FileAlreadyExistsError), shape.call(tmp_path / "a", tmp_dir=staging) as handle:
        shape.fill(handle, "new")
        shape.lay(tmp_path / "a", "rival")

    assert shape.read(tmp_path / "a") == "rival"
    assert sorted(os.listdir(tmp_path)) == ["a", "staging"]


def test_relative(tmp_path, staging, monkeypatch, shape):
    """It may be relative, and a PathLike, str or bytes; the block may go elsewhere."""
    monkeypatch.chdir(tmp_path)
    for number, tmp_dir in enumerate(["staging", b"staging", staging]):
        with shape.call(tmp_path / str(number), tmp_dir=tmp_dir) as handle:
            monkeypatch.chdir("/")
            shape.fill(handle, "new")
        monkeypatch.chdir(tmp_path)

        assert shape.read(tmp_path / str(number)) == "new"


@pytest.mark.parametrize(("name", "error"), [("missing", FileNotFoundError), ("file", NotADirectoryError)])
def test_unusable(tmp_path, shape, name, error):
    """If it is missing or no directory, the error comes before the block, names it, and leaves nothing."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(error, match=name), shape.call(tmp_path / "b" / "a", tmp_dir=tmp_path / name, parents=True):
        pytest.fail("the block began")

    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("where", ["a", "a/sub", "link", "link/sub", "b/../a/sub"])
def test_inside_the_destination(tmp_path, folder_shape, where):
    """Inside the destination, by whatever path, it would be replaced with it: ValueError, and nothing is touched."""
    folder_shape.lay(tmp_path / "a", "old")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "b").mkdir()

    with pytest.raises(ValueError, match="inside"):
        with folder_shape.call(tmp_path / "a", overwrite=True, tmp_dir=tmp_path / where):
            pytest.fail("the block began")

    assert folder_shape.read(tmp_path / "a") == "old"


def test_beside_with_a_common_prefix(tmp_path, shape):
    """A directory whose name only begins like the destination's is fine."""
    (tmp_path / "a-staging").mkdir()

    with shape.call(tmp_path / "a", tmp_dir=tmp_path / "a-staging") as handle:
        shape.fill(handle, "new")

    assert shape.read(tmp_path / "a") == "new"
