"""What every test of groups, snapshots and backups may ask for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.filesystems import Mounts, mount_point
from support.traced import Traced

#: Run once in the process that workloads are forked from, so that none of them imports or looks for plugins.
PREPARE = """
import atomik
for overwrite in (False, True):
    with atomik.group() as group:
        with group.file("file", overwrite=overwrite) as stream: stream.write("prepared")
        with group.folder("folder", overwrite=overwrite) as folder: (folder / "a").write_text("prepared")
        with group.path("path", overwrite=overwrite) as path: path.mkdir()
for name in ("file", "folder"):
    with getattr(atomik, name)(name, overwrite=True, backup=name + "-before") as handle: pass
try:
    with atomik.group() as group, group.file("file"): pass
except FileExistsError:
    pass
with atomik.snapshot("folder") as folder: list(folder.iterdir())
"""


@pytest.fixture(autouse=True)
def level_of_the_call(monkeypatch):
    """Keep a level of durability that is set outside away from the tests."""
    monkeypatch.delenv("ATOMIK_SYNC", raising=False)


@pytest.fixture(scope="session")
def traced() -> Iterator[Traced]:
    """A warm process that has published in a group before; it sees the filesystems of the tests."""
    mount_point("ext4")
    with Traced(PREPARE) as warm:
        yield warm


@pytest.fixture
def fresh(mounts: Mounts) -> Callable[[], Path]:
    """A maker of fresh folders on ext4."""
    top = mounts("ext4")
    numbers = itertools.count()

    def make() -> Path:
        folder = top / str(next(numbers))
        folder.mkdir()
        return folder

    return make
