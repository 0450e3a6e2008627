"""Rival processes that try the same thing in the same instant, round after round."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from support.processes import Program

_ROUNDS = """
import json as _json, sys as _sys, time as _time
for _line in _sys.stdin:
    _number, _start = _json.loads(_line)
    _time.sleep(max(0.0, _start - _time.monotonic()))
    try:
        _answer = attempt(_number)
    except Exception as _error:
        _answer = type(_error).__name__
    print(_json.dumps(_answer), flush=True)
"""

_HEAD_START = 0.001


def rivals(
    count: int,
    source: str,
    *arguments: str | Path,
    rounds: int,
    user: int | None = None,
    cwd: Path | None = None,
) -> Iterator[list[object]]:
    """Let COUNT processes call `attempt(round)` at once, ROUNDS times, and give each round's answers before the next.

    SOURCE is a Python program that defines `attempt`. An answer is what it returned, as JSON has it, or the name of the
    exception that it raised. The processes stay the same from round to round and sleep until one common moment.
    """
    with ExitStack() as stack:
        programs = [
            stack.enter_context(Program(source + _ROUNDS, *arguments, user=user, cwd=cwd)) for _ in range(count)
        ]
        for number in range(rounds):
            start = time.monotonic() + _HEAD_START
            for program in programs:
                program.say(json.dumps([number, start]))
            yield [json.loads(program.line()) for program in programs]
