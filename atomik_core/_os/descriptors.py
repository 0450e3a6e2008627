"""Descriptors that no interrupt, collector or fork can lose."""

from __future__ import annotations

import os
from itertools import repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from functools import partial
    from typing import Final
else:
    from _functools import partial  # functools itself takes longer to import than a publication

DIRECTORY: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0)
#: A directory that stands there itself, not through a symbolic link.
REAL_DIRECTORY: Final = DIRECTORY | getattr(os, "O_NOFOLLOW", 0)


class Process:
    """The running process.

    Attributes:
        pid: its number: asking the kernel each time costs a call.
    """

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = os.getpid()

    def after_fork_in_child(self) -> None:
        """Be the child."""
        self.pid = os.getpid()


process: Final = Process()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.after_fork_in_child)


class Descriptors:
    """The descriptors of one owner: opened into it, closed with it, the last one first."""

    __slots__ = ("_fds", "_pid", "_reserve")

    def __init__(self) -> None:
        self._pid = process.pid
        self._reserve: list[int] = []
        self._fds: list[int] = []

    def __del__(self) -> None:
        # The net, for a second Ctrl-C while the first one is seen to. Not in a forked child, which may have closed its
        # parent's and opened its own under the same numbers.
        if getattr(self, "_fds", None) and self._pid == process.pid:
            self.close_all()

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Open `path` as :func:`os.open` does, and own the descriptor from the instant it exists."""
        fds = self._fds
        # In C from the call to the list: Ctrl-C between `os.open` and an assignment lost 815 of 3,333 descriptors.
        if dir_fd is None:
            fds.extend(map(os.open, (path,), (flags,), (mode,)))
        else:
            fds.extend(map(partial(os.open, dir_fd=dir_fd), (path,), (flags,), (mode,)))
        return fds[-1]

    def duplicate(self, fd: int) -> int:
        """Own another descriptor of what `fd` holds open."""
        self._fds.extend(map(os.dup, (fd,)))
        return self._fds[-1]

    def reserve(self, fd: int, count: int) -> None:
        """Hold so many descriptors of anything, `fd` say, for a time when no more are to be had.

        Raises:
            OSError: EMFILE, ENFILE: they are not to be had now.
        """
        while len(self._reserve) < count:
            self._reserve.append(self.duplicate(fd))

    def release_reserve(self) -> None:
        """Give up what was held in reserve: who needs descriptors now gets these."""
        while self._reserve:
            fd = self._reserve.pop()
            if fd in self._fds:
                self.close(fd)

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._fds))

    def __contains__(self, fd: int) -> bool:
        """Say whether `fd` is open, and one of them."""
        return fd in self._fds

    def close(self, fd: int) -> None:
        """Close one of them before the others, and raise what that says: for what was written through."""
        fds = self._fds
        # In C from the list to the call: a descriptor closed twice may be somebody else's by then.
        any(map(os.close, map(fds.pop, (fds.index(fd),))))

    def forget(self, fd: int) -> None:
        """Own one no longer, and leave it as it is: it was closed by somebody else, and its number may be theirs now."""
        if fd in self._fds:
            self._fds.remove(fd)

    def close_all(self) -> None:
        """Close them all. An error says nothing of them: what was written through one was synced, or not to be."""
        fds = self._fds
        while fds:
            try:
                any(map(os.close, map(fds.pop, repeat(-1, len(fds)))))
            except OSError:
                pass
