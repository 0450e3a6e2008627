"""From one descriptor into another to the end, in constant memory: in the kernel where it can, else in chunks."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Final

#: Small enough that a signal is seen to at once, large enough that calls cost nothing.
_AT_ONCE: Final = 8 << 20
_BUFFER: Final = 1 << 20


def copy_stream(source: int, target: int) -> None:
    """Copy all that can be read from `source` to `target`, each from where it stands.

    Both offsets agree after every call, so the next rung can go on wherever one fails; the error of the last is raised.

    Raises:
        OSError: reading or writing failed.
    """
    for rung in (_by_range, _by_splice):
        _repeat(rung, source, target)
    _by_bytes(source, target)


def _repeat(rung: Callable[[int, int], int], source: int, target: int) -> None:
    try:
        while rung(source, target):
            pass
    except (OSError, AttributeError):
        pass  # not for these two, or not on this system


def _by_range(source: int, target: int) -> int:
    """copy_file_range(2), which shares blocks where the filesystem can: a regular file as standard input; else EINVAL."""
    return os.copy_file_range(source, target, _AT_ONCE)


def _by_splice(source: int, target: int) -> int:
    """splice(2): a pipe as standard input; else EINVAL, also for a target that does not take it (some FUSE, 9p)."""
    return os.splice(source, target, _AT_ONCE)


def _by_bytes(source: int, target: int) -> None:
    buffer = memoryview(bytearray(_BUFFER))
    while count := _read(source, buffer):
        data = buffer[:count]
        while data:
            data = data[os.write(target, data) :]


def _read(source: int, buffer: memoryview) -> int:
    while True:
        try:
            return os.readv(source, [buffer])
        except BlockingIOError:
            # A process that shares it has made it non-blocking (Node, ssh); it is not at its end.
            select.select([source], [], [])
        except OSError as error:
            msg = f"Standard input cannot be read: {error.strerror}"
            raise OSError(error.errno, msg) from error
