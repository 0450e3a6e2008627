"""SIGTERM is what a worker's timeout sends, and it unwinds nothing: what is staged by name is discarded here, then.

After that the process dies of SIGTERM as it would have, so that neither Luigi nor anybody else sees a difference. Luigi
sends it again and again until the process is dead, so nothing here may be interrupted by the next one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final, TypeAlias

import atomik

_Discardable: TypeAlias = "atomik.Publication[Any] | atomik.Stage"

#: What to discard before dying, and the process that it belongs to.
_open: Final[list[tuple[int, _Discardable]]] = []


@contextlib.contextmanager
def discarded_on_sigterm(publication: _Discardable) -> Iterator[None]:
    """Discard `publication`, which is open, if the block raises, or if SIGTERM comes and nobody else handles it.

    Only the main thread can handle it; elsewhere what is left is found by the next run. To be left before anything is
    published: that is never interrupted.
    """
    _open.append(entry := (os.getpid(), publication))
    try:
        if _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _die)
        yield
    except BaseException as error:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            publication.__exit__(type(error), error, None)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    finally:
        _open.remove(entry)
        if not _open and _in_main_thread() and signal.getsignal(signal.SIGTERM) is _die:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _die(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    for process, publication in reversed(_open):
        if process == os.getpid():  # in a forked child all of it is the parent's
            with contextlib.suppress(Exception):
                publication.discard()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
