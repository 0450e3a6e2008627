"""How files lie on the disk: whether two share their blocks, and how much of one is holes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from support.namespace import command
from support.needs import need_tool

MIB = 1 << 20


def blocks(path: Path) -> set[int]:
    """The numbers of the blocks of the device that hold the data of the file at PATH, as filefrag tells them."""
    need_tool("filefrag")
    with path.open("rb") as file:
        os.fsync(file.fileno())
    extents = re.findall(r"^ *\d+: +\d+\.\. +\d+: +(\d+)\.\. *(\d+):", command("filefrag", "-v", path), re.MULTILINE)
    return {block for first, last in extents for block in range(int(first), int(last) + 1)}


def make_sparse(path: Path) -> bytes:
    """Make a file of 9 MiB at PATH that is holes but for a little at 1 MiB and at 5 MiB; what it reads as."""
    with path.open("wb") as file:
        for offset in (1, 5):
            file.seek(offset * MIB)
            file.write(b"data" * 1024)
        file.truncate(9 * MIB)
    assert allocated(path) < MIB
    return path.read_bytes()


def allocated(path: Path) -> int:
    """How many bytes of the file at PATH take up room."""
    return path.stat().st_blocks * 512
