"""`atomik probe --prove`: where the proofs are made, with whom, and that nothing of them is left."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import atomik

from . import _proofs
from ._partners import Fork, Partner, Remote, follow

#: Where two hosts meet. Not a random name: neither could tell the other.
_MEETING: Final = "atomik-prove-peer"

#: How long the first host waits for the second, in seconds.
_PATIENCE: Final = 300.0

_PROCESSES: Final = 3


def prove(directory: str, *, peer: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the proofs in `directory`; return the report, as JSON has it. Nothing is left there, whatever happens.

    Args:
        directory: where; this process has to be allowed to make a folder in it.
        peer: make them between this host and another one on which the same is called. Both get the same report.
        say: is called with a line to show while it lasts.

    Raises:
        OSError: nothing can be made there; or no other host has come, or it has gone.
    """
    if not peer:
        scratch = Path(directory, f"atomik-prove-{os.urandom(8).hex()}")
        with _made(scratch), ExitStack() as stack:
            forks: list[Partner] = [
                _closed(stack, Fork(f"process {number + 1}", scratch)) for number in range(_PROCESSES)
            ]
            return _report(directory, scratch, forks, None, say)
    meeting = Path(directory, _MEETING)
    scratch = meeting / "scratch"
    with ExitStack() as stack:
        try:
            stack.enter_context(_made(meeting))
        except FileExistsError:
            say("joining the host that came first")
            received: dict[str, Any] = follow(meeting, scratch)
            return received
        scratch.mkdir(0o700)
        here = _closed(stack, Fork(platform.node() or "this host", scratch))  # before there is a thread
        remote = Remote(meeting)
        say(f"waiting for another host: run the same command there within {_PATIENCE:.0f} s")
        remote.meet(_PATIENCE)
        stack.callback(remote.close)
        if here.name == remote.name:
            here.name, remote.name = f"{here.name} (first)", f"{here.name} (second)"
        report: dict[str, Any] | None = None
        try:
            report = _report(directory, scratch, [here, remote], remote.name, say)
        finally:
            remote.dismiss(report)
        return report


def _report(
    directory: str, scratch: Path, partners: list[Partner], peer: str | None, say: Callable[[str], None]
) -> dict[str, Any]:
    able = atomik.probe(scratch)
    proofs = []
    for proof in _proofs.prove(scratch, partners, able):
        say(f"{proof.proof}: {proof.verdict}")
        proofs.append(proof._asdict())
    return {
        "directory": directory,
        "filesystem": able.filesystem,
        "kernel": platform.release(),
        "peer": peer,
        "date": time.strftime("%Y-%m-%d"),
        "version": atomik.__version__,
        "proofs": proofs,
        "kept": not any(proof["verdict"] == "broken" for proof in proofs),
    }


def _closed(stack: ExitStack, partner: Fork) -> Fork:
    stack.callback(partner.close)
    return partner


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make `folder`; remove it after the block. What another host or NFS still holds open takes a moment to go.

    Raises:
        FileExistsError: somebody else has made it.
    """
    made: list[None] = []
    try:
        made.extend(map(os.mkdir, (folder,), (0o700,)))  # in C: no signal falls between the making and the note of it
        yield
    finally:
        for _ in range(20 if made else 0):
            with suppress(OSError):
                shutil.rmtree(folder)
            if not folder.exists():
                break
            time.sleep(0.1)
