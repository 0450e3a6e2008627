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
    """Options are named, but the two of 0.0.x, and have their types."""
    level: atomik.Sync = "normal"
    atomik.file(path, overwrite=True, sync=level, tmp_dir=None, parents=True, permissions=0o644, follow_symlinks=False)
    atomik.folder(path, sync="fast")  # type: ignore[arg-type]
    atomik.file(path, "w", True, "tmp")
    atomik.folder(path, True, path)
    atomik.folder(path, True, path, "off")  # type: ignore[call-arg]
    atomik.path(path, True)  # type: ignore[call-arg]
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


def stages(path: Path) -> None:
    """Outputs are a mapping or a sequence of paths; what is told to programs are paths, too."""
    by_name = atomik.stage({"a": path, "b": "b/"}, overwrite=True, sync="full", tmp_dir=path, parents=True, strict=True)
    assert_type(by_name, atomik.Stage)
    with atomik.stage([path, b"b"], extras="refuse") as out:
        assert_type(out, atomik.Stage)
        assert_type(out[0], Path)
        assert_type(out.staged(0), Path)
        assert_type(out.destination(0), Path)
        assert_type(out.old(0), Path | None)
        assert_type(out.copy_old(0), Path)
        assert_type(out.make_folder(0, "logs"), Path)
        assert_type(out.resolved(0), Path)
        assert_type(out.is_written(0), bool)
        assert_type(out.find(path), Path | None)
        assert_type(out.keep(), list[Path])
        assert_type(len(out), int)
    assert_type(out.state, Literal["new", "open", "published", "discarded"])
    assert_type(out.report, atomik.StageReport)
    assert_type(out.report.extras, tuple[Path, ...])
    for outcome in out.report.outputs.values():
        assert_type(outcome, Literal["published", "direct", "unchanged", "missing"])
    for kept in out.report.kept.values():
        assert_type(kept, Path)
    assert_type(by_name.open(), atomik.Stage)
    assert_type(by_name.publish(), None)
    atomik.stage([path], extras="keep")  # type: ignore[arg-type]
    atomik.stage(3)  # type: ignore[arg-type]


def links(path: Path) -> None:
    """A link is made at once; it has no handle."""
    assert_type(atomik.symlink("7", path), None)
    atomik.symlink(b"7", "current", overwrite=True, sync="off", parents=True)
    atomik.symlink("7")  # type: ignore[call-arg]
    with atomik.group() as group:
        assert_type(group.symlink(path, "current", overwrite=True), None)
        group.symlink("7", path, sync="off")  # type: ignore[call-arg]
    atomik.path(path, extras="publish")
    atomik.path(path, extras="drop")  # type: ignore[arg-type]


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
