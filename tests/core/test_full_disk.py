"""A disk that is full: the old version stays, nothing is left, and an error that was swallowed publishes no half."""

from __future__ import annotations

import contextlib
import errno
import os

import pytest

import atomik

pytestmark = pytest.mark.system

MEGABYTE = 1 << 20


@pytest.fixture
def disk(mounts):
    """A filesystem of one MiB, with room for what the core needs."""
    return mounts.small("tmpfs", 1)


@pytest.fixture
def old(disk):
    """An old version, which has to stay."""
    (disk / "a").write_text("old")
    yield disk / "a"
    assert (disk / "a").read_text() == "old"
    assert os.listdir(disk) == ["a"]


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_full_in_the_block(old, mode):
    """A write that fails is the caller's OSError, and discards."""
    data = "x" * MEGABYTE if mode == "w" else b"x" * MEGABYTE

    with pytest.raises(OSError) as caught, atomik.file(old, mode, overwrite=True) as f:
        for _ in range(3):
            f.write(data)

    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_full_at_the_end(disk, old, mode):
    """What fails only when the last buffer is written discards, too, and the error names the destination."""
    with filler(disk), pytest.raises(OSError) as caught, atomik.file(old, mode, overwrite=True) as f:
        f.write("x" if mode == "w" else b"x")

    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(old)


@pytest.mark.parametrize("mode", ["wb", "w", "w+b"])
def test_failing_close(disk, old, mode):
    """A `close()` in the block that fails is the caller's OSError; the buffer that it lost is not published."""
    with filler(disk), pytest.raises(OSError) as caught, atomik.file(old, mode, overwrite=True) as f:
        f.write("x" if mode == "w" else b"x")
        f.close()

    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("mode", ["wb", "w", "w+b"])
def test_failing_close_that_is_swallowed(disk, old, mode):
    """Who swallows the error of a failing `close()` gets another at the end of the block, not half a file."""
    with (
        filler(disk),
        pytest.raises(OSError, match="its error was caught") as caught,
        atomik.file(old, mode, overwrite=True) as f,
    ):
        f.write("x" if mode == "w" else b"x")
        with contextlib.suppress(OSError):
            f.close()

    assert caught.value.errno == errno.EIO
    assert caught.value.filename == str(old)


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_failing_write_that_is_swallowed(disk, old, mode):
    """Who swallows the error of a write, and goes on when there is room again, does not publish a file with a hole:
    the layers of the handle may have lost what was written before.
    """
    data = "x" * MEGABYTE if mode == "w" else b"x" * MEGABYTE

    with pytest.raises(OSError, match="its error was caught") as caught, atomik.file(old, mode, overwrite=True) as f:
        with filler(disk), contextlib.suppress(OSError):
            f.write(data)
        f.write(data[:10])

    assert caught.value.errno == errno.EIO


def test_full_in_a_folder(disk, shape):
    """A folder or path whose filling fails is discarded, with all that was written to it."""
    with pytest.raises(OSError) as caught, shape.call(disk / "a") as handle:
        shape.fill(handle, "x" * 2 * MEGABYTE)

    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(disk) == []


def test_no_inodes(mounts, shape):
    """Without a free inode the error comes before the block, and names the destination."""
    disk = mounts.small("ext4", 8)
    count = 0
    with contextlib.suppress(OSError):
        while True:
            (disk / str(count)).touch()
            count += 1

    with pytest.raises(OSError) as caught, shape.call(disk / "a"):
        pytest.fail("the block began")

    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(disk / "a")
    assert not (disk / "a").exists()


@contextlib.contextmanager
def filler(disk):
    """Leave no room on DISK within the block."""
    name = disk / "filler"
    with name.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    try:
        yield
    finally:
        name.unlink()
