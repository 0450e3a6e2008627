"""Four outputs of one run, one of each shape, so that what holds for a group is tested on all of them together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import atomik
from core.shapes import SHAPES, Shape

#: The destinations' names, and what is published there.
OUTPUTS = SHAPES
NAMES = list(OUTPUTS)


def member(group: atomik.Group, shape: Shape, path: Path, **options: Any) -> atomik.Publication[Any]:
    """Make a member of this shape; it is still to be opened."""
    publication: atomik.Publication[Any] = getattr(group, shape.call.__name__)(path, **options)
    return publication


def add(group: atomik.Group, shape: Shape, path: Path, text: str = "new", **options: Any) -> atomik.Publication[Any]:
    """Add a complete member whose version says TEXT."""
    publication = member(group, shape, path, **options)
    with publication as handle:
        shape.fill(handle, text)
    return publication


def add_all(group: atomik.Group, directory: Path, text: str = "new", **options: Any) -> None:
    """Add a complete member for each output."""
    for name, shape in OUTPUTS.items():
        add(group, shape, directory / name, text, **options)


def lay_all(directory: Path, text: str = "old") -> None:
    """Make a version of each output, without Atomik."""
    for name, shape in OUTPUTS.items():
        shape.lay(directory / name, text)


def read_all(directory: Path) -> list[str | None]:
    """Read what each output says."""
    return [shape.read(directory / name) for name, shape in OUTPUTS.items()]
