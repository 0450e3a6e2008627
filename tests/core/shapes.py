"""The four shapes in which something can be published, so that a promise is written down once and tested on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import atomik


@dataclass(frozen=True)
class Shape:
    """A way to publish: what is called, and whether a file or a folder comes of it."""

    call: Callable[..., Any]
    is_folder: bool

    def fill(self, handle: Any, text: str) -> None:
        """Make in the block, with what it yielded, a version that says TEXT."""
        if self.call is atomik.file:
            handle.write(text)
        else:
            self.lay(handle, text)

    def lay(self, path: Path, text: str) -> None:
        """Make a version that says TEXT at PATH, without Atomik."""
        if not self.is_folder:
            path.write_text(text)
            return
        (path / "sub").mkdir(parents=True)
        (path / "one").write_text(text)
        (path / "sub" / "two").write_text(text)

    def read(self, path: Path) -> str | None:
        """What the version at PATH says, or None if nothing is there. It has to be whole."""
        if not path.exists():
            assert not path.is_symlink()
            return None
        if not self.is_folder:
            return path.read_text()
        assert sorted(str(entry.relative_to(path)) for entry in path.rglob("*")) == ["one", "sub", "sub/two"]
        text = (path / "one").read_text()
        assert (path / "sub" / "two").read_text() == text
        return text

    def publish(self, path: Path, text: str, **options: Any) -> None:
        """Publish at PATH a version that says TEXT."""
        with self.call(path, **options) as handle:
            self.fill(handle, text)


FILE = Shape(atomik.file, is_folder=False)
FOLDER = Shape(atomik.folder, is_folder=True)
PATH_TO_FILE = Shape(atomik.path, is_folder=False)
PATH_TO_FOLDER = Shape(atomik.path, is_folder=True)

#: All of them, as tests and destinations are named after them.
SHAPES = {"file": FILE, "folder": FOLDER, "path-file": PATH_TO_FILE, "path-folder": PATH_TO_FOLDER}
each_shape = pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
