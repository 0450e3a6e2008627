"""Descriptors that no interrupt, collector or fork can lose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Final

#: Every descriptor that a publication of this process holds; what a forked child must not touch.
_held: Final[set[int]] = set()

DIRECTORY: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0)
#: A directory that stands there itself, not through a symbolic link.
REAL_DIRECTORY: Final = DIRECTORY | getattr(os, "O_NOFOLLOW", 0)


class Descriptors:
    """The descriptors of one publication: opened into it, closed with it, the last one first."""

    __slots__ = ("_fds", "_pid")

    def __init__(self) -> None:
        self._fds: list[int] = []
        self._pid = os.getpid()

    def __del__(self) -> None:
        # The net, for a second Ctrl-C while the first one is seen to: it may have come between `_held` and the call. Not in
        # a forked child, which may have closed its parent's and opened its own under the same numbers.
        if self._fds and self._pid == os.getpid():
            self.close()

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Open `path` as :func:`os.open` does, and own the descriptor from the instant it exists."""
        fds = self._fds
        # In C from the call to the list: Ctrl-C between `os.open` and an assignment lost 815 of 3,333 descriptors.
        call = os.open if dir_fd is None else partial(os.open, dir_fd=dir_fd)
        fds.extend(map(call, (path,), (flags,), (mode,)))
        fd = fds[-1]
        _held.add(fd)
        return fd

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._fds))

    def __contains__(self, fd: int) -> bool:
        """Say whether `fd` is open, and one of them."""
        return fd in self._fds

    def close_one(self, fd: int) -> None:
        """Close one of them before the others, and raise what that says: for what was written through."""
        fds = self._fds
        _held.discard(fd)
        # In C from the list to the call: a descriptor closed twice may be somebody else's by then.
        any(map(os.close, map(fds.pop, (fds.index(fd),))))

    def close(self) -> None:
        """Close them all. An error says nothing of them: what was written through one was synced, or not to be."""
        fds = self._fds
        _held.difference_update(fds)
        while fds:
            try:
                any(map(os.close, map(fds.pop, repeat(-1, len(fds)))))
            except OSError:
                pass


def _disown() -> None:
    """In a forked child: put /dev/null over every descriptor of the parent's publications.

    The child's buffers, its exit and its collector then write nowhere. Unlocking instead would free the parent's lock,
    which belongs to the open file description that both share (flock(2)).
    """
    if _held:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for fd in _held:
            os.dup2(null, fd, inheritable=False)
        os.close(null)
        _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)
