"""Tests that share data, and one that needs its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_atomik import AtomicTmpFactory


@pytest.mark.parametrize("module", ["message", "parser", "charset"])
def test_modules_are_in_the_index(index: Path, module: str) -> None:
    """Each has a file of its own."""
    assert "__all__" in (index / f"{module}.txt").read_text().split()


def test_names_are_counted(index: Path, counts: dict[str, int]) -> None:
    """No name is used in more modules than there are."""
    assert 1 <= counts["len"] <= len(list(index.iterdir()))


def test_a_module_can_be_removed(index: Path, atomic_tmp_factory: AtomicTmpFactory) -> None:
    """From a copy: nobody can change what all share."""
    mine = atomic_tmp_factory.copy(index)
    (mine / "parser.txt").unlink()

    with pytest.raises(PermissionError):
        (index / "parser.txt").unlink()
    assert len(list(mine.iterdir())) == len(list(index.iterdir())) - 1
