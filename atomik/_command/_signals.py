"""Signals that would end this process raise an exception instead, so that what is staged is discarded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndedBySignal(BaseException):
    """A signal was received. Not an Exception: only the outermost caller may handle it.

    Attributes:
        number: the signal.
        status: the exit status by which a shell knows it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number
        self.status = 128 + number


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise :class:`EndedBySignal` within the block, in the main thread.

    One that is ignored stays so: that is what nohup is for, and how a shell keeps Ctrl-C from its background jobs.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    handled = [number for number in _ENDING if before[number] is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, _end)
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of a handler
    # Programs repeat these (timeout, a shell whose terminal is closed), and must not interrupt the discarding. A person
    # who presses Ctrl-C again may.
    for repeated in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(repeated, signal.SIG_IGN)
    raise EndedBySignal(number)
