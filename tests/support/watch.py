"""Eyes for tests: what a piece of code left open or lying around, and what a tree holds."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple


class Entry(NamedTuple):
    """One entry of a tree: its kind, its permissions, and the bytes of a file or the target of a link."""

    kind: str
    mode: int
    content: bytes | str | None


@contextmanager
def no_leaks() -> Iterator[None]:
    """Assert that the block leaves no descriptor of this process open and no thread running that it started."""
    before, threads = descriptors(), set(threading.enumerate())
    yield
    left = dict(sorted(descriptors().items() - before.items()))
    assert not left, f"descriptors left open: {left}"
    running = set(threading.enumerate()) - threads
    assert not running, f"threads left running: {running}"


def descriptors(process: int | Literal["self"] = "self") -> dict[int, str]:
    """Find the open descriptors of a process, and what the kernel says is behind each."""
    found: dict[int, str] = {}
    for name in os.listdir(f"/proc/{process}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{process}/fd/{name}")
        except FileNotFoundError:
            continue  # the descriptor with which the listing was read
    return found


def children() -> set[int]:
    """Find the child processes of this process, also those that have ended and nobody has waited for."""
    threads = Path("/proc/self/task").iterdir()
    return {int(child) for thread in threads for child in (thread / "children").read_text().split()}


def litter(directory: Path) -> list[Path]:
    """Whatever in DIRECTORY, at any depth, bears a name that only a leftover or kept work of Atomik has."""
    return sorted(
        Path(folder, name)
        for folder, folders, files in os.walk(directory)
        for name in (*folders, *files)
        if name.startswith((".atomik-", "atomik-kept-"))
    )


def tree(path: Path) -> dict[str, Entry]:
    """All that is at PATH, by relative name ("." is PATH itself), to compare one moment with another."""
    found = {".": _entry(path)}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            entry = Path(folder, name)
            found[str(entry.relative_to(path))] = _entry(entry)
    return found


def _entry(path: Path) -> Entry:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode):
        return Entry("file", mode, path.read_bytes())
    if stat.S_ISDIR(status.st_mode):
        return Entry("folder", mode, None)
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", mode, os.readlink(path))
    return Entry("other", mode, None)
