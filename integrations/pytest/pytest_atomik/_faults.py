"""What a test makes happen to a publication: an error at some point of it, or a rival that is faster."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

import pytest

import atomik
from atomik_core.testing import Step

At: TypeAlias = Literal["open", "write", "sync", "publish", "durable"]

#: What is done, to the destination, of the publication if it is known.
Action: TypeAlias = "Callable[[Path, atomik.Publication[Any] | None], object]"

#: The step at which an error counts as the failure of what is asked for (see `atomik_core.testing`).
STEPS: Final[dict[At, Step | None]] = {
    "open": "opened",
    "write": None,
    "sync": "sealed",
    "publish": "synced",
    "durable": "published",
}


class Fault:
    """Waits, in a ``with``, for the first matching publication to come to a point, and does something there.

    The test fails if none comes.
    """

    def __init__(self, waiting: list[Fault], call: str, at: At, pattern: str, action: Action) -> None:
        if at not in STEPS:
            msg = f"at is {at!r}; it takes {', '.join(map(repr, STEPS))}"
            raise ValueError(msg)
        self._waiting = waiting
        self._at = at
        self._pattern = pattern
        self._action = action
        self._hit: object = None
        #: What it is asked for by, for the message if nobody enters it.
        self.call = call
        self.was_used = False
        #: Whether some publication has come to the point, here or in a forked child.
        self.was_reached = False

    def reached(self, step: Step, name: str, destination: Path, publication: atomik.Publication[Any]) -> None:
        """Act, if this is the first publication that has come to the point."""
        if self._hit is None and step == STEPS[self._at] and fnmatchcase(name, self._pattern):
            self._hit = destination
            self.was_reached = True
            self._action(destination, publication)

    def writing(self, handle: object, name: str, destination: Path) -> None:
        """Act on a write, if that is the point; the first file that is written to has all its writes fail."""
        if self._at == "write" and self._hit in (None, handle) and fnmatchcase(name, self._pattern):
            self._hit = handle
            self.was_reached = True
            self._action(destination, None)

    def __enter__(self) -> Self:
        self.was_used = True
        self._waiting.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        __tracebackhide__ = True
        self._waiting.remove(self)
        # An error of another origin must not pass for ours; what ends the test or the run anyhow is let go.
        if not self.was_reached and (error is None or isinstance(error, Exception)):
            msg = f"{self.call} was never reached: no publication that matches {self._pattern!r} came to that point"
            if self._at == "write":
                msg += "; only atomik.file has a handle that is written through"
            raise pytest.fail.Exception(msg) from error


def publish_rival(
    destination: Path, publication: atomik.Publication[Any] | None, content: str | bytes | EllipsisType | None
) -> None:
    """Put a file with `content`, or an empty folder, at `destination`, as somebody else would who knows nothing of us."""
    if content is ...:
        content = None if _is_folder(publication) else ""
    if os.path.lexists(destination):
        atomik.remove(destination, sync="off")
    if content is None:
        destination.mkdir()
        return
    with os.fdopen(os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _is_folder(publication: atomik.Publication[Any] | None) -> bool:
    """Return whether a folder is about to be published."""
    if publication is None:
        return False
    return publication.kind == "folder" or (publication.kind is None and publication.staged.is_dir())


def fault_error(error: BaseException | type[BaseException] | None) -> BaseException | type[BaseException]:
    """Return what to raise: the error of a full disk for None, and for a class of `OSError` one that has its errno."""
    if error is None or error is OSError:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if isinstance(error, type) and issubclass(error, OSError):
        for code in errno.errorcode:
            made = OSError(code, os.strerror(code))
            if type(made) is error:
                return made
    return error
