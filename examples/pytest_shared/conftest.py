"""Test data that takes long to make: built once, for all workers and all runs.

pytest -v -n 4 examples/pytest_shared      (twice: the second run finds it)
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from pytest_atomik import AtomicTmpFactory

#: What the data is made from: a part of the standard library.
SOURCES = Path(ast.__file__).parent / "email"


def build_index(folder: Path) -> None:
    """Write a file for each module, with the names that it uses, one a line."""
    for source in sorted(SOURCES.rglob("*.py")):
        tree = ast.parse(source.read_bytes())
        names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
        (folder / f"{'.'.join(source.relative_to(SOURCES).with_suffix('').parts)}.txt").write_text("\n".join(names))


@pytest.fixture(scope="session")
def index(atomic_tmp_factory: AtomicTmpFactory) -> Path:
    """A folder that all tests read."""
    return atomic_tmp_factory.folder("index", build_index, key=[SOURCES, sys.version])


@pytest.fixture(scope="session")
def counts(atomic_tmp_factory: AtomicTmpFactory, index: Path) -> dict[str, int]:
    """In how many modules each name is used."""

    def count() -> dict[str, int]:
        return dict(Counter(name for file in index.iterdir() for name in file.read_text().split()))

    return atomic_tmp_factory.value("counts", count)
