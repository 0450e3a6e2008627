"""What a type checker knows of `atomic_tmp_factory`; mypy reads this, nobody runs it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, BinaryIO, TextIO, assert_type

from pytest_atomik import AtomicTmpFactory


def write_text(file: TextIO) -> None:
    """Build a text file."""


def write_bytes(file: BinaryIO) -> int:
    """Build a file of bytes."""
    return file.write(b"")


def write_any(file: IO[str]) -> None:
    """Build a text file, as it may be written, too."""


def fill(folder: Path) -> None:
    """Build a folder."""


def count() -> dict[str, list[int]]:
    """Build a value."""
    return {}


def what_is_built(atomic_tmp_factory: AtomicTmpFactory, path: Path) -> None:
    """Folders and files are paths; a value is what its builder returns."""
    assert_type(atomic_tmp_factory.folder("name", fill), Path)
    assert_type(atomic_tmp_factory.file("name", write_text), Path)
    assert_type(atomic_tmp_factory.file("name", write_any), Path)
    assert_type(atomic_tmp_factory.file("name", write_bytes, mode="wb"), Path)
    assert_type(atomic_tmp_factory.file("name", lambda file: file.write("text")), Path)
    assert_type(atomic_tmp_factory.value("name", count), dict[str, list[int]])
    assert_type(atomic_tmp_factory.copy(path), Path)
    atomic_tmp_factory.file("name", write_bytes)  # type: ignore[arg-type]
    atomic_tmp_factory.file("name", write_text, mode="a")  # type: ignore[call-overload]
    atomic_tmp_factory.folder("name", count)  # type: ignore[arg-type]


def what_keys_are(atomic_tmp_factory: AtomicTmpFactory, path: Path) -> None:
    """Of str, bytes, numbers, paths, and lists, tuples and dicts of them."""
    atomic_tmp_factory.folder("name", fill, key="x")
    atomic_tmp_factory.folder("name", fill, key=path)
    atomic_tmp_factory.folder("name", fill, key=[1, 2.5, None, True, b"x", (path, "x")])
    atomic_tmp_factory.folder("name", fill, key={"sources": [path], "version": 1})
    atomic_tmp_factory.folder("name", fill, key={1, 2})  # type: ignore[arg-type]
    atomic_tmp_factory.folder("name", fill, key=object())  # type: ignore[arg-type]
