"""A program that is run to its end; the signals that this process gets meanwhile are forwarded to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_FORWARDED: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
)


def run(arguments: list[str], environment: Mapping[str, str], stdout: int | None = None) -> int:
    """Run a program, found on PATH; return its exit status, 128 + n if signal n has ended it.

    It has this process's descriptors, working directory and signal mask. While it runs no signal raises anything here: the
    program decides what becomes of it.

    Args:
        arguments: the program and its arguments.
        environment: its environment.
        stdout: the descriptor that is to be its standard output; by default it has this process's.

    Raises:
        OSError: it could not be started.
    """
    forwarded = {number for number in _FORWARDED if signal.getsignal(number) is not signal.SIG_IGN}
    # If it was inherited as ignored, the kernel would discard the exit status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, forwarded | {signal.SIGCHLD})
    try:
        # Not subprocess, which cannot give it the mask from before, and would close a jobserver's descriptors.
        child = os.posix_spawnp(
            arguments[0],
            arguments,
            environment,
            file_actions=[] if stdout is None else [(os.POSIX_SPAWN_DUP2, stdout, 1)],
            setsigmask=before,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # ignored by Python
        )
        return _wait(child, forwarded)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(child: int, forwarded: AbstractSet[signal.Signals]) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        received = signal.sigwaitinfo(forwarded | {signal.SIGCHLD})
        # What the terminal sends (SI_KERNEL, which is positive), such as Ctrl-C, has reached the child, too.
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            os.kill(child, received.si_signo)
