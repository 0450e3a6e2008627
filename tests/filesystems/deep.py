"""Trees that are deeper than a path can be long and Python recurses."""

from __future__ import annotations

import os
import stat
from pathlib import Path

DEPTH = 2000


def deepen(folder: Path) -> None:
    """Make folders in FOLDER one inside the other, each with a file that says how deep it is, of two names, and a link."""
    above = os.open(folder, os.O_RDONLY)
    for number in range(DEPTH):
        os.mkdir("deeper", 0o750, dir_fd=above)
        below = os.open("deeper", os.O_RDONLY, dir_fd=above)
        os.close(above)
        file = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below)
        os.write(file, str(number).encode())
        os.close(file)
        os.link("file", "name", src_dir_fd=below, dst_dir_fd=below)
        os.symlink("..", "link", dir_fd=below)
        above = below
    os.close(above)


def bottom(folder: Path) -> int:
    """Go down what `deepen` made in FOLDER, checking all of it; the descriptor of the deepest folder."""
    here = os.open(folder, os.O_RDONLY)
    for number in range(DEPTH):
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        assert stat.S_IMODE(os.fstat(below).st_mode) == 0o750
        assert os.readlink("link", dir_fd=below) == ".."
        for name in ("file", "name"):
            with open(os.open(name, os.O_RDONLY, dir_fd=below)) as file:
                assert file.read() == str(number)
    return here
