"""What a type checker knows of the interface; mypy reads this, nobody runs it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, assert_type

import atomik
import atomik.errors
import atomik_core


def file_in_text_modes(path: Path) -> None:
    """A file is text unless said otherwise."""
    assert_type(atomik.file(path), atomik.Publication[TextIO])
    assert_type(atomik.file(path, "w"), atomik.Publication[TextIO])
    assert_type(atomik.file(path, mode="x"), atomik.Publication[TextIO])
    assert_type(atomik.file(path, "w+"), atomik.Publication[TextIO])
    assert_type(atomik.file(path, "a"), atomik.Publication[TextIO])
    assert_type(atomik.file(path, "r+"), atomik.Publication[TextIO])
    assert_type(atomik.file(path, atomik.Mode.TEXT), atomik.Publication[TextIO])
    assert_type(atomik.file(path, encoding="utf-8", newline=""), atomik.Publication[TextIO])
    with atomik.file(path) as f:
        assert_type(f, TextIO)
        f.write("text")
        f.write(b"bytes")  # type: ignore[arg-type]


def file_in_binary_modes(path: Path) -> None:
    """With b it is binary."""
    assert_type(atomik.file(path, "wb"), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, mode="xb"), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, "w+b"), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, "ab"), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, "r+b"), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, atomik.Mode.BYTES), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, mode=atomik.Mode.BYTES, overwrite=True), atomik.Publication[BinaryIO])
    assert_type(atomik.file(path, "wb", buffering=0), atomik.Publication[BinaryIO])
    with atomik.file(path, "wb") as f:
        assert_type(f, BinaryIO)
        f.write(b"bytes")
        f.write("text")  # type: ignore[call-overload]


def file_in_a_mode_that_is_computed(path: Path, mode: str) -> None:
    """Of a mode that is only known at run time it knows as much as it can."""
    assert_type(atomik.file(path, mode), atomik.Publication[IO[Any]])
    with atomik.file(path, mode) as f:
        assert_type(f, IO[Any])


def folder_and_path(path: Path) -> None:
    """Both yield a path."""
    assert_type(atomik.folder(path), atomik.Publication[Path])
    assert_type(atomik.path(path), atomik.Publication[Path])
    with atomik.folder(path) as d, atomik.path(path) as p:
        assert_type(d, Path)
        assert_type(p, Path)


def paths(path: Path) -> None:
    """A path is a str, bytes or PathLike of either; nothing else."""
    atomik.file("a")
    atomik.folder(b"a")
    atomik.path(path, tmp_dir="b")
    atomik.rename("a", b"b")
    atomik.file(3)  # type: ignore[call-overload]
    atomik.folder(None)  # type: ignore[arg-type]


def options(path: Path) -> None:
    """Options are named, and have their types."""
    level: atomik.Sync = "normal"
    atomik.file(path, overwrite=True, sync=level, tmp_dir=None, parents=True, permissions=0o644, follow_symlinks=False)
    atomik.folder(path, sync="fast")  # type: ignore[arg-type]
    atomik.folder(path, True)  # type: ignore[call-arg]
    atomik.path(path, permissions="rw")  # type: ignore[arg-type]
    atomik.file(path, no_such=True)  # type: ignore[call-overload]


def publication(path: Path) -> None:
    """A publication by hand."""
    made = atomik.file(path, "wb")
    assert_type(made.open(), BinaryIO)
    assert_type(made.publish(), None)
    assert_type(made.discard(), None)
    assert_type(made.destination, Path)
    assert_type(made.staged, Path)
    assert_type(made.kind, Literal["file", "folder", "symlink"] | None)
    assert_type(made.state, Literal["new", "open", "published", "discarded"])
    made.state = "published"  # type: ignore[misc]

    anything: atomik.Publication[object] = atomik.folder(path)
    assert_type(anything.open(), object)


def exceptions_leave_the_block(path: Path) -> int:
    """A block never swallows an exception: what comes after it needs no return."""
    with atomik.folder(path):
        return 1


def errors(error: atomik.errors.FileAlreadyExistsError) -> None:
    """The errors are the built-in ones, too."""
    built_in: FileExistsError = error
    own: atomik.AtomikError = error
    assert_type(error.destination, str | None)
    del built_in, own


def typos() -> None:
    """A name that does not exist is seen, although names are resolved late."""
    atomik.flie("a")  # type: ignore[attr-defined]
    atomik_core.fodler("a")  # type: ignore[attr-defined]


@atomik.hookimpl
def atomik_integration() -> atomik.Integration:
    """A plugin's function keeps its type."""
    return atomik.Integration(name="a", summary="b", requires="c")


assert_type(atomik_integration(), atomik.Integration)
assert_type(atomik.__version__, str)
