"""What a traced run of a workload tells: its system calls, what ended it, what it left open."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field

from support.zygote import BEGIN, END, Described, Report

_LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*?)(?:\) += (?P<result>.*)| <unfinished \.\.\.>)")


@dataclass(frozen=True)
class Call:
    """One system call of a workload: the ORDINAL-th with this NAME since it began, by the thread that made it."""

    name: str
    ordinal: int
    arguments: str = field(compare=False)
    result: str = field(compare=False)

    def __str__(self) -> str:
        """Say it as strace does, with its ordinal: `fsync#2(5</tmp/x>) = 0`."""
        return f"{self.name}#{self.ordinal}({self.arguments}) = {self.result}"


@dataclass(frozen=True)
class Raised:
    """An exception that ended a workload: the names of its TYPES, its own first, and what it says."""

    types: tuple[str, ...]
    errno: int | None
    text: str
    notes: tuple[str, ...]
    cause: Raised | None


@dataclass(frozen=True)
class Outcome:
    """How a run of a workload went."""

    #: The signal that killed it, or None.
    killed: int | None
    #: The exception that it ended with, or None.
    raised: Raised | None
    #: What it said with `say(word)`; said before a kill, it counts.
    said: tuple[str, ...]
    #: The descriptors that it left open, other than one whose close was made to fail.
    leaked: tuple[str, ...]
    #: The calls that it made, and all that strace wrote.
    calls: tuple[Call, ...]
    trace: str


def outcome_of(report: Report, trace: str) -> Outcome:
    """Put together what the workload's own process told and what strace wrote of it."""
    code = os.waitstatus_to_exitcode(report["status"])
    return Outcome(
        killed=-code if code < 0 else None,
        raised=_raised(report["raised"]),
        said=tuple(report["said"]),
        leaked=tuple(
            f"{number} {target}"
            for number, target in report["left"]
            if not re.search(rf"\bclose\({number}\b.*\(INJECTED\)", trace)
        ),
        calls=_calls(trace),
        trace=trace,
    )


def _calls(trace: str) -> tuple[Call, ...]:
    """Read what strace wrote: the calls between the two marks, each with its ordinal since strace was attached."""
    counts: Counter[tuple[str, str]] = Counter()
    calls: list[Call] = []
    within = False
    for line in trace.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, name, arguments = found["thread"], found["name"], found["arguments"]
        counts[thread, name] += 1
        if f'"{BEGIN}"' in arguments:
            within = True
        elif f'"{END}"' in arguments:
            break
        elif within and name != "mmap":  # mostly memory, whenever the interpreter wants more of it
            calls.append(Call(name, counts[thread, name], arguments, found["result"] or "?"))
    return tuple(calls)


def _raised(described: Described | None) -> Raised | None:
    if described is None:
        return None
    return Raised(
        types=tuple(described["types"]),
        errno=described["errno"],
        text=described["text"],
        notes=tuple(described["notes"]),
        cause=_raised(described["cause"]),
    )
