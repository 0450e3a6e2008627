"""What one process of a proof does when it is asked to: publish, be killed, read, clean, lock.

Every task takes and gives what JSON can say, since the process may be on another host.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import atomik

#: What is published: how, and how a version says who made it.
SHAPES: Final = ("file", "folder", "path", "group")

#: So many lines, each of them the version, are one version: more than one write, and more than one page.
_LINES: Final = 600


class Worker:
    """A process of a proof, with what it holds between two tasks; DIRECTORY is the scratch directory as it sees it."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._open: list[tuple[atomik.Publication[Any], str]] = []
        self._locks: list[int] = []

    def do(self, task: str, arguments: dict[str, Any]) -> Any:
        """Carry out the task of this name; what it raises is given as ``{"error": ...}``."""
        tasks: dict[str, Callable[..., Any]] = {
            "clean": self._clean,
            "clean_for": self._clean_for,
            "clock": time.monotonic,
            "die": self._die,
            "finish": self._finish,
            "lock": self._lock,
            "open": self._begin,
            "publish_for": self._publish_for,
            "read_for": self._read_for,
            "rivals": self._rivals,
            "try_lock": self._try_lock,
            "unlock": self._unlock,
        }
        try:
            return tasks[task](**arguments)
        except Exception as error:  # noqa: BLE001 - it is the other process that has to know
            return {"error": in_short(error)}

    def close(self) -> None:
        """Discard what is open, and give up the locks."""
        self._unlock()
        for publication, _ in self._open:
            publication.discard()
        self._open.clear()

    def _rivals(self, shape: str, starts: list[float], who: str) -> list[str]:
        """Publish one name after the other, each at its moment; say of each how that went."""
        said = []
        for number, start in enumerate(starts):
            time.sleep(max(0.0, start - time.monotonic()))
            try:
                publish(shape, self._directory / f"{shape}-{number}", who)
            except atomik.FileAlreadyExistsError:
                said.append("refused")
            except Exception as error:  # noqa: BLE001 - it is one more answer
                said.append(in_short(error))
            else:
                said.append("won")
        return said

    def _begin(self, names: list[str]) -> None:
        """Open a publication for each name, and fill it; it stays so until `finish`."""
        for name in names:
            shape = name.partition("-")[0]
            publication: atomik.Publication[Any] = getattr(atomik, shape)(self._directory / name, sync="off")
            self._open.append((publication, shape))
            fill(shape, publication.open(), name)

    def _finish(self) -> None:
        """Publish what was opened."""
        with ExitStack() as stack:
            stack.callback(self.close)
            while self._open:
                publication, _ = self._open[0]
                publication.publish()
                self._open.pop(0)

    def _die(self, name: str, overwrite: bool) -> None:
        """Have a process killed that publishes."""
        shape = name.partition("-")[0]
        ready, at_work = os.pipe()
        child = os.fork()
        if not child:
            with suppress(BaseException):
                publication: atomik.Publication[Any] = getattr(atomik, shape)(
                    self._directory / name, overwrite=overwrite, sync="off"
                )
                fill(shape, publication.open(), "killed")
                os.write(at_work, b"!")
                time.sleep(60)
            os._exit(1)
        os.close(at_work)
        try:
            os.read(ready, 1)
        finally:
            os.close(ready)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _publish_for(self, shape: str, seconds: float, overwrite: bool, name: str) -> int:
        """Publish again and again: one name, or one after the other; give the number of versions."""
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            path = self._directory / (name if overwrite else f"{name}-{number}")
            publish(shape, path, str(number), overwrite=overwrite)
            if not overwrite and read(path) != str(number):
                return -1
            number += 1
        return number

    def _read_for(self, name: str, seconds: float) -> dict[str, int]:
        """Read again and again; count whole versions, torn ones, and how often there was none."""
        seen = {"whole": 0, "torn": 0, "absent": 0}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with atomik.snapshot(self._directory / name) as held:
                    version = read(held)
            except FileNotFoundError:
                seen["absent"] += 1
            else:
                seen["torn" if version is None else "whole"] += 1
        return seen

    def _clean(self, force: bool) -> dict[str, Any]:
        """Clean once; give what was removed, what is left, and which of that is said to be alive."""
        removed = atomik.clean(self._directory, force=force)
        left = atomik.leftovers(self._directory)
        return {"removed": len(removed), "left": len(left), "live": [each.live for each in left]}

    def _clean_for(self, seconds: float) -> dict[str, int]:
        """Clean and list again and again."""
        end, calls, removed = time.monotonic() + seconds, 0, 0
        while time.monotonic() < end:
            atomik.leftovers(self._directory)
            removed += len(atomik.clean(self._directory))
            calls += 1
        return {"calls": calls, "removed": removed}

    def _lock(self, name: str) -> None:
        fd = self._opened(name)
        self._locks.append(fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _try_lock(self, name: str) -> bool:
        """Say whether the lock could be had."""
        fd = self._opened(name)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    def _unlock(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def _opened(self, name: str) -> int:
        path = self._directory / name
        return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)


def publish(shape: str, path: Path, text: str, *, overwrite: bool = False) -> None:
    """Publish a version that says TEXT, without a sync: what is proved here is no power cut."""
    if shape == "group":
        with atomik.group(sync="off") as group:
            fill("file", group.file(path, overwrite=overwrite).open(), text)
        return
    with getattr(atomik, shape)(path, overwrite=overwrite, sync="off") as handle:
        fill(shape, handle, text)


def fill(shape: str, handle: Any, text: str) -> None:
    """Make a version that says TEXT, with what the block was given."""
    content = f"{text}\n" * _LINES
    if shape == "file":
        half = len(content) // 2
        handle.write(content[:half])
        handle.flush()
        handle.write(content[half:])
    elif shape == "folder":
        for number in range(3):
            (handle / str(number)).write_text(content)
    else:
        handle.write_text(content)


def read(path: Path) -> str | None:
    """Return what the version at PATH says; None if it is not whole, or made of two."""
    files = [path / str(number) for number in range(3)] if path.is_dir() else [path]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return lines[0] if len(lines) == _LINES * len(files) and len(set(lines)) == 1 else None


def in_short(error: BaseException) -> str:
    """Say in one line what was raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())
