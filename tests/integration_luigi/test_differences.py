"""Situations side by side: what AtomicLocalTarget does that LocalTarget does not is in the guide's table, all of it."""

# ruff: noqa: D103 - each situation is named by what it does

from __future__ import annotations

import contextlib
import os
import pickle
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
import pytest
from luigi.local_target import LocalTarget

from luigi_atomik import AtomicLocalTarget

GUIDE = Path(__file__).parents[2] / "docs/how-to/luigi.md"

Kind = type[LocalTarget]
SITUATIONS: dict[str, Callable[[Kind], object]] = {}
#: The situations in which the two do not do the same, each with what its row in the guide begins with.
DIFFERENT = {
    "copy_keeps_the_time": "the time of a copy",
    "move_a_folder_onto_a_full_one": "`fs.copy`, `fs.move` of a folder",
    "copy_a_folder": "`fs.copy`, `fs.move` of a folder",
    "move_onto_a_dangling_link_that_must_not_exist": "`raise_if_exists`, and a dangling link is there",
    "remove_a_link_to_a_folder": "`remove` of a symbolic link to a folder",
    "mkdir_on_a_dangling_link": "`mkdir` where a dangling link is",
    "mkdir_here_without_parents": '`mkdir("x", parents=False)`',
    "write_over_0755": "the permissions of a target that is replaced",
    "write_over_0444": "the permissions of a target that is replaced",
    "write_relative_and_change_directory": "a relative path, and the directory is changed meanwhile",
    "temporary_path_relative_and_change_directory": "a relative path, and the directory is changed meanwhile",
    "write_to_a_slash": '`open("w")` of a path that ends with a slash',
    "temporary_path_of_what_is_removed_meanwhile": "`temporary_path()` on a target that exists",
    "write_over_a_fifo": "a FIFO, socket or device at the target",
    "close_after_an_exception": "`close()` or `finally: f.close()` after an exception",
}


def situation(function: Callable[[Kind], object]) -> Callable[[Kind], object]:
    SITUATIONS[function.__name__] = function
    return function


def write(path: str | bytes, text: str = "x", mode: int | None = None) -> None:
    with open(path, "w") as file:
        file.write(text)
    if mode is not None:
        os.chmod(path, mode)


def entries() -> list[str]:
    """All that is here, folders and links, too."""
    found = []
    for folder, folders, files in os.walk("."):
        for name in folders + files:
            path = os.path.join(folder, name)
            found.append(path + ("@" if os.path.islink(path) else ""))
    return sorted(found)


def mode_of(path: str) -> str:
    return oct(stat.S_IMODE(os.stat(path).st_mode))


def write_target(target: LocalTarget, text: str = "new") -> None:
    with target.open("w") as file:
        file.write(text)


# --- Copies.


@situation
def copy_keeps_the_mode(kind):
    write("s", mode=0o640)
    kind("s").copy("d")
    return mode_of("d")


@situation
def copy_keeps_the_time(kind):
    write("s")
    os.utime("s", (1, 1))
    kind("s").copy("d")
    return os.stat("d").st_mtime == 1


@situation
def copy_a_folder(kind):
    os.mkdir("s")
    write("s/f")
    kind("s").copy("d")
    return entries()


@situation
def copy_a_link(kind):
    write("s")
    os.symlink("s", "l")
    os.mkdir("sub")
    kind("l").copy("sub/d")
    return entries()


@situation
def copy_onto_a_link(kind):
    write("s", "new")
    write("real", "old")
    os.symlink("real", "d")
    kind("s").copy("d")
    return os.path.islink("d"), Path("real").read_text(), Path("d").read_text()


@situation
def copy_to_itself(kind):
    write("s")
    kind("s").copy("./s")


@situation
def copy_onto_its_own_hard_link(kind):
    write("s")
    os.link("s", "h")
    kind("s").copy("h")


@situation
def copy_to_a_folder_with_a_slash(kind):
    write("s")
    os.mkdir("d")
    kind("s").copy("d/")
    return entries()


@situation
def copy_to_a_folder(kind):
    write("s")
    os.mkdir("d")
    kind("s").copy("d")
    return entries()


@situation
def copy_several_to_a_new_folder(kind):
    for name in "abc":
        write(name, name)
        kind(name).copy("archive/2024/")
    return entries(), Path("archive/2024/b").read_text()


@situation
def copy_nothing_to_a_new_folder(kind):
    kind("nothing").copy("archive/")


@situation
def copy_what_exists(kind):
    write("s")
    write("d")
    kind("s").copy("d", raise_if_exists=True)


@situation
def copy_bytes(kind):
    write(b"a")
    kind.fs.copy(b"a", b"b")
    kind.fs.move(b"b", b"c")
    kind.fs.mkdir(b"d")
    kind.fs.remove(b"a")
    return entries(), sorted(kind.fs.listdir(b"."))


@situation
def copy_between_paths(kind):
    write("a")
    kind(Path("a")).copy(Path("n/b"))
    kind(Path("a")).move(Path("n/c"))
    kind.fs.remove(Path("n/b"))
    return entries()


# --- Moves.


@situation
def move_a_file_to_a_slash(kind):
    write("s")
    kind("s").move("new/")


@situation
def move_a_file_to_a_folder(kind):
    write("s")
    os.mkdir("d")
    kind("s").move("d")


@situation
def move_a_file_to_a_folder_with_a_slash(kind):
    write("s")
    os.mkdir("d")
    kind("s").move("d/")


@situation
def move_a_folder_with_slashes(kind):
    os.mkdir("s")
    write("s/f")
    kind("s/").move("new/d/")
    return entries()


@situation
def move_a_folder_onto_an_empty_one(kind):
    os.mkdir("s")
    write("s/f")
    os.mkdir("d")
    kind("s").move("d")
    return entries()


@situation
def move_a_folder_onto_a_full_one(kind):
    os.mkdir("s")
    os.mkdir("d")
    write("d/f")
    kind("s").move("d")
    return entries()


@situation
def move_onto_a_link(kind):
    write("s", "new")
    write("real", "old")
    os.symlink("real", "d")
    kind("s").move("d")
    return entries(), Path("d").read_text(), Path("real").read_text()


@situation
def move_a_link(kind):
    write("s")
    os.symlink("s", "l")
    kind("l").move("d")
    return entries()


@situation
def move_a_dangling_link(kind):
    os.symlink("nowhere", "l")
    kind("l").move("d")
    return entries()


@situation
def move_a_fifo(kind):
    os.mkfifo("s")
    kind("s").move("d")
    return stat.S_ISFIFO(os.stat("d").st_mode)


@situation
def move_to_itself(kind):
    write("s")
    kind("s").move("s")
    return entries()


@situation
def move_into_itself(kind):
    os.mkdir("s")
    kind("s").move("s/x")


@situation
def move_onto_a_dangling_link_that_must_not_exist(kind):
    write("s")
    os.symlink("nowhere", "d")
    kind("s").move("d", raise_if_exists=True)
    return entries()


@situation
def move_nothing(kind):
    kind("nothing").move("d")


@situation
def rename_what_exists(kind):
    write("a")
    write("b")
    kind.fs.rename_dont_move("a", "b")


@situation
def rename(kind):
    write("a")
    kind.fs.rename("a", "b")
    return entries()


# --- Removing, making and listing.


@situation
def remove_nothing(kind):
    kind("nothing").remove()


@situation
def remove_a_file_with_a_slash(kind):
    write("f")
    kind("f/").remove()


@situation
def remove_a_folder_with_a_slash(kind):
    os.mkdir("d")
    kind("d/").remove()
    return entries()


@situation
def remove_a_link_to_a_folder(kind):
    os.mkdir("d")
    os.symlink("d", "l")
    kind("l").remove()
    return entries()


@situation
def remove_a_link_to_a_folder_with_a_slash(kind):
    os.mkdir("d")
    os.symlink("d", "l")
    kind("l/").remove()


@situation
def remove_a_link_to_a_file(kind):
    write("f")
    os.symlink("f", "l")
    kind("l").remove()
    return entries()


@situation
def remove_a_folder_not_recursively(kind):
    os.mkdir("d")
    kind.fs.remove("d", recursive=False)


@situation
def mkdir_with_dots(kind):
    kind.fs.mkdir("a/b/../c")
    return entries()


@situation
def mkdir_nothing(kind):
    kind.fs.mkdir("")


@situation
def mkdir_below_a_file(kind):
    write("f")
    kind.fs.mkdir("f/x")


@situation
def mkdir_on_a_dangling_link(kind):
    os.symlink("nowhere", "l")
    kind.fs.mkdir("l")
    return entries()


@situation
def mkdir_here_without_parents(kind):
    kind.fs.mkdir("x", parents=False)
    return entries()


@situation
def mkdir_without_parents(kind):
    kind.fs.mkdir("a/x", parents=False)


@situation
def list_files(kind):
    write("a")
    os.mkdir("b")
    write("b/c")
    return sorted(kind.fs.listdir(".")), list(kind.fs.listdir("nowhere")), list(kind.fs.listdir("a"))


@situation
def list_users_own_dot_files(kind):
    os.mkdir(".atomik-notes")
    write(".atomik-notes/x")
    write(".atomik-config")
    write(".hidden")
    return sorted(kind.fs.listdir("."))


@situation
def exists(kind):
    write("f")
    os.mkdir("d")
    os.symlink("nowhere", "l")
    names = ["f", "f/", "d", "d/", "l", "nothing", "./f", "d/../f"]
    return [kind(name).exists() for name in names], [kind.fs.isdir(name) for name in names]


# --- Writing.


@situation
def write_over_0755(kind):
    write("f", "old", 0o755)
    write_target(kind("f"))
    return mode_of("f")


@situation
def write_over_0444(kind):
    write("f", "old", 0o444)
    write_target(kind("f"))
    return mode_of("f")


@situation
def write_new(kind):
    write_target(kind("f"))
    return mode_of("f")


@situation
def write_over_a_link(kind):
    write("real", "old")
    os.symlink("real", "f")
    write_target(kind("f"))
    return os.path.islink("f"), Path("real").read_text()


@situation
def write_over_a_hard_link(kind):
    write("f", "old")
    os.link("f", "other")
    write_target(kind("f"))
    return Path("f").read_text(), Path("other").read_text()


@situation
def write_over_a_folder(kind):
    os.mkdir("f")
    write_target(kind("f"))


@situation
def write_over_a_fifo(kind):
    os.mkfifo("f")
    write_target(kind("f"))
    return stat.S_ISREG(os.stat("f").st_mode)


@situation
def write_below_a_file(kind):
    write("p")
    write_target(kind("p/f"))


@situation
def write_to_a_slash(kind):
    write_target(kind("f/"))


@situation
def write_to_a_tilde(kind):
    write_target(kind("~/f"))
    return entries()


@situation
def write_to_a_name_that_is_no_text(kind):
    write_target(kind("caf\udce9"))
    return [os.fsencode(name) for name in entries()]


@situation
def write_by_two_spellings(kind):
    os.mkdir("d")
    write_target(kind("d/../f"), "first")
    write_target(kind("./f"), "second")
    return entries(), Path("f").read_text()


@situation
def write_through_a_linked_folder(kind):
    os.mkdir("d")
    os.symlink("d", "l")
    write_target(kind("l/f"))
    return entries()


@situation
def write_through_dots_behind_a_link(kind):
    os.makedirs("a/b")
    os.symlink("a/b", "l")
    write_target(kind("l/../f"))
    return entries()


@situation
def write_relative_and_change_directory(kind):
    file = kind("f").open("w")
    os.mkdir("other")
    os.chdir("other")
    file.close()


@situation
def write_in_another_mode(kind):
    kind("f").open("a")


@situation
def write_in_binary_modes(kind):
    for mode in ("wb", "wt"):
        kind("f").open(mode).close()
    return entries()


@situation
def close_twice(kind):
    file = kind("f", luigi.format.Nop).open("w")
    file.write(b"x")
    before = file.closed
    file.close()
    return before, file.closed, Path("f").read_text()


@situation
def write_after_close(kind):
    file = kind("f").open("w")
    file.close()
    file.write("x")


@situation
def close_after_an_exception(kind):
    file = kind("f").open("w")
    try:
        file.write("half")
        raise KeyError  # noqa: TRY301 - that is the situation
    except KeyError:
        file.close()
    return os.path.exists("f")


# --- Temporary paths.


@situation
def temporary_path_of_a_folder(kind):
    with kind("a/b/f").temporary_path() as path:
        os.makedirs(path)
        write(path + "/x")
    return entries()


@situation
def temporary_path_with_a_slash(kind):
    with kind("d/").temporary_path() as path:
        os.makedirs(path)
        assert path.endswith("/")
        write(path + "x")
    return entries()


@situation
def temporary_path_keeps_the_mode(kind):
    with kind("f").temporary_path() as path:
        write(path, mode=0o600)
    return mode_of("f")


@situation
def temporary_path_of_a_hard_link(kind):
    write("s")
    with kind("f").temporary_path() as path:
        os.link("s", path)
    return entries()


@situation
def temporary_path_where_nothing_is_made(kind):
    with kind("f").temporary_path():
        pass


@situation
def temporary_path_and_a_rival(kind):
    with kind("f").temporary_path() as path:
        write(path)
        write("f", "rival")


@situation
def temporary_path_of_what_exists(kind):
    write("f", "old")
    with kind("f").temporary_path() as path:
        write(path)


@situation
def temporary_path_of_what_is_removed_meanwhile(kind):
    write("f", "old")
    with kind("f").temporary_path() as path:
        write(path, "new")
        os.remove("f")
    return Path("f").read_text()


@situation
def temporary_path_relative_and_change_directory(kind):
    with kind("f").temporary_path() as path:
        write(path)
        os.mkdir("other")
        os.chdir("other")


# --- Other things that a target can.


@situation
def targets_are_objects(kind):
    return kind("f") == kind("f"), str(kind("f")), kind(Path("f")).path, kind("").path


@situation
def touch(kind):
    kind("f")._touchz()
    return entries()


@situation
def temporary_targets(kind):
    target = kind(is_tmp=True)
    write(target.path)
    path = target.path
    del target
    return os.path.exists(path), os.path.dirname(path) == tempfile.gettempdir(), os.path.basename(path)[:10]


@situation
def pickled(kind):
    return pickle.loads(pickle.dumps(kind("f", luigi.format.Nop))).path


@contextlib.contextmanager
def in_new_folder(folder: Path) -> Iterator[None]:
    folder.mkdir()
    with contextlib.chdir(folder):
        yield


def outcome(function: Callable[[Kind], object], kind: Kind) -> object:
    """What a function comes to: what it returns, or the error that it raises."""
    try:
        return function(kind)
    except Exception as error:
        return error


def is_the_same(plain: object, atomic: object) -> bool:
    """Say whether who expects the one gets along with the other: for errors, whether the same `except` catches both."""
    if isinstance(plain, Exception):
        return isinstance(atomic, type(plain))
    return plain == atomic


@pytest.mark.leaves_litter  # what users call nearly as Atomik would
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of LocalTarget's files
@pytest.mark.parametrize("name", SITUATIONS)
def test_it_does_what_a_local_target_does_or_the_guide_says_so(tmp_path, name):
    """Each situation has the same outcome with both, or its row in the guide's table of what changes."""
    results = {}
    for kind in (LocalTarget, AtomicLocalTarget):
        with in_new_folder(tmp_path / kind.__name__):
            results[kind] = outcome(SITUATIONS[name], kind)

    same = is_the_same(results[LocalTarget], results[AtomicLocalTarget])
    assert same == (name not in DIFFERENT), results
    assert same or f"| {DIFFERENT[name]} |" in GUIDE.read_text()
