"""Power cuts lose what was not synced, and only that."""

from __future__ import annotations

import errno
import os
from typing import Literal

import pytest

from support.powercut import PowerCut
from support.processes import Program

pytestmark = pytest.mark.system


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_cut(filesystem: Literal["ext4", "xfs"]) -> None:
    """After a cut a synced file is whole, and what was not synced is gone or empty."""
    with PowerCut(filesystem) as disk:
        for name in ("synced", "named", "lost"):
            descriptor = os.open(disk.path / name, os.O_CREAT | os.O_WRONLY)
            os.write(descriptor, name.encode() * 1000)
            if name == "synced":
                os.fsync(descriptor)
            os.close(descriptor)
            if name != "lost":
                folder = os.open(disk.path, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
        disk.cut()
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            (disk.path / "more").write_text("x")
        disk.remount()

        assert (disk.path / "synced").read_bytes() == b"synced" * 1000
        assert (disk.path / "named").read_bytes() in (b"", bytes(5000))
        assert not (disk.path / "lost").exists()


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_cut_under_a_writer(filesystem: Literal["ext4", "xfs"]) -> None:
    """What a process acknowledged after its sync is there after a cut in the middle of its work, again and again."""
    source = (
        "import os\n"
        "folder = os.open('.', os.O_RDONLY)\n"
        "for number in range(1000000):\n"
        "    descriptor = os.open(str(number), os.O_CREAT | os.O_WRONLY)\n"
        "    os.write(descriptor, b'x' * 100)\n"
        "    os.fsync(descriptor)\n"
        "    os.close(descriptor)\n"
        "    os.fsync(folder)\n"
        "    print(number, flush=True)\n"
    )
    with PowerCut(filesystem) as disk:
        for _ in range(3):
            with Program(source, cwd=disk.path) as writer:
                for _ in range(20):
                    number = int(writer.line())
                disk.cut()
            disk.remount()

            assert all((disk.path / str(done)).read_bytes() == b"x" * 100 for done in range(number + 1))
            for name in os.listdir(disk.path):
                if name.isdigit():
                    (disk.path / name).unlink()
