"""Rules that write to the final paths of their outputs: seen from their code, and remembered from their last run.

A shell command or a ``run:`` block that never asks for its outputs cannot make them at staged paths, nor can a command that
has the final path in its text. Such outputs are not staged. They are Snakemake's, as without Atomik, and that is said.
"""

from __future__ import annotations

import contextlib
import dis
import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from types import CodeType
from typing import Any, Final

from snakemake.io import is_flagged  # type: ignore[import-untyped]

#: A command that asks for its outputs: ``{output}``, ``{output[0]}``, ``{output.bam}``.
_ASKS: Final = re.compile(r"\{\s*output\b")
#: A wildcard in the pattern of an output, with its constraint, in which braces may stand.
_WILDCARD: Final = re.compile(r"\{\s*(\w+)\s*(?:,(?:[^{}]|\{\d+(?:,\d*)?\})*)?\}")
#: What may not stand before and after a path in a command, if it is to be that path.
_BEFORE, _AFTER = r"(?<![\w./-])(?:\./)?", r"(?![\w-]|\.\w)"

#: Where it is noted which outputs their jobs have written to directly, beside Snakemake's own notes.
_NOTES: Final = "atomik-direct"


def reason(rule: Any, pattern: Any) -> str | None:
    """Say why an output cannot be staged, as far as the rule's code tells; None if it can.

    Args:
        rule: the rule; in a shadow directory the final path is as hidden as a staged one.
        pattern: the output, as the rule has it.
    """
    if rule.shadow_depth or is_flagged(pattern, "touch"):
        return None
    asks, text = _code(rule)
    if not asks:
        return "its code names no {output}, and so writes to the final path"
    if _is_named(str(pattern), text) or any(
        is_flagged(other, "directory")
        and str(pattern).startswith(f"{str(other).rstrip('/')}/")
        and _is_named(str(other), text)
        for other in rule.output
    ):
        return "its code has the final path in its text; write {output} there"
    return None


def _code(rule: Any) -> tuple[bool, str]:
    """Return whether a rule asks for its outputs, as far as can be seen, and the text in which paths may stand."""
    if rule.shellcmd is not None:
        return bool(_ASKS.search(rule.shellcmd)), rule.shellcmd
    if rule.is_run and not rule.is_template_engine:
        return _code_of_run(rule.run_func.__code__)
    return True, ""


@cache
def _code_of_run(code: CodeType) -> tuple[bool, str]:
    names, constants = False, []
    for inner in _codes(code):
        texts = [constant for constant in inner.co_consts if isinstance(constant, str)]
        names = (
            names
            or any(map(_ASKS.search, texts))
            or any("output" in _arguments(each) for each in dis.get_instructions(inner))
        )
        constants += texts
    return names, "\n".join(constants)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _arguments(instruction: dis.Instruction) -> tuple[Any, ...]:
    """Return what an instruction works on; some newer ones work on two variables at once."""
    value = instruction.argval
    return value if isinstance(value, tuple) else (value,)


def _is_named(pattern: str, text: str) -> bool:
    """Say whether the path of an output stands in this text. A bare word may be anything, and does not count."""
    if "/" not in pattern and "." not in pattern:
        return False
    return _searched(pattern).search(text) is not None


@lru_cache(maxsize=4096)
def _searched(pattern: str) -> re.Pattern[str]:
    literal, position = [], 0
    for wildcard in _WILDCARD.finditer(pattern):
        literal += [re.escape(pattern[position : wildcard.start()]), rf"\{{\s*wildcards\.{wildcard[1]}\s*\}}"]
        position = wildcard.end()
    return re.compile(_BEFORE + "".join(literal) + re.escape(pattern[position:].rstrip("/")) + _AFTER)


class Notes:
    """Which outputs their jobs wrote to directly the last time, though nothing in their code told so: in files."""

    def __init__(self, persistence: Any) -> None:
        self._folder = os.path.join(os.fspath(persistence.path), _NOTES)

    def has(self, rule: Any, output: str) -> bool:
        """Say whether there is a note."""
        return os.path.exists(self._path(rule, output))

    def add(self, rule: Any, output: str) -> None:
        """Make a note; a workflow that cannot be written to does without."""
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, exist_ok=True)
            with open(self._path(rule, output), "a", encoding="ascii"):
                pass

    def remove(self, rule: Any, output: str) -> None:
        """Take a note back."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(rule, output))

    def _path(self, rule: Any, output: str) -> str:
        name = hashlib.sha256(f"{rule.name}\0{output}".encode()).hexdigest()[:32]
        return os.path.join(self._folder, name)
