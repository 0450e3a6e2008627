"""A program that is run to its end, with the signals that this process gets on the way passed on to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_PASSED_ON: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
)


def run(arguments: list[str], environment: Mapping[str, str], stdout: int | None = None) -> int:
    """Run a program, found on PATH; return its exit status, 128 + n if signal n has ended it.

    It has this process's descriptors, working directory and signals. Nothing is raised while it runs: whatever signal
    comes is its to answer.

    Args:
        arguments: the program and its arguments.
        environment: its environment.
        stdout: the descriptor that is to be its standard output; by default it has this process's.

    Raises:
        OSError: it could not be started.
    """
    awaited = {number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN}
    # Inherited as ignored, it would have the kernel throw the exit status away.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited | {signal.SIGCHLD})
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
        return _wait(child, awaited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(child: int, awaited: AbstractSet[signal.Signals]) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        came = signal.sigwaitinfo(awaited | {signal.SIGCHLD})
        # What the terminal sends (SI_KERNEL, which is positive), such as Ctrl-C, the child has got itself.
        if came.si_signo != signal.SIGCHLD and came.si_code <= 0:
            os.kill(child, came.si_signo)
