"""What a test is told of a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

#: How the crashes of a function are found.
Engine: TypeAlias = Literal["auto", "syscalls", "publications"]


class Crash(NamedTuple):
    """A crash: the directory is now as the crash would have left it.

    Attributes:
        step: what the function was about to do, in a line: ``rename settings.json.tmp -> settings.json``. Names are relative
            to the directory. After its last step it is ``the end``.
        kind: ``"kill"`` (of the process) or ``"power cut"``.
        path: what the step is about; at the end, what the last one was about.
        line: the line of code that was about to do it, with its file; empty where that is not known, as in another program.
        traceback: the lines that led there, as Python prints them, the most recent last.
        lost: what a power cut has taken away: ``"contents"`` that were not synced, or ``"names and contents"``; empty
            for a kill.
    """

    step: str
    kind: Literal["kill", "power cut"]
    path: Path
    line: str = ""
    traceback: str = ""
    lost: str = ""
