"""Rules that write to the final paths of their outputs: seen from their code, and remembered from their last run.

A shell command or a ``run:`` block that never asks for its outputs cannot make them at staged paths, nor can a command that
has the final path in its text. Such outputs are not staged. They are Snakemake's, as without Atomik, and that is said.
"""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from types import CodeType
from typing import Any, Final

from snakemake.io import is_flagged  # type: ignore[import-untyped]

from ._notes import Notes
from ._stage import lies_in

#: A command that asks for its outputs: ``{output}``, ``{output[0]}``, ``{output.bam}``.
_ASKS: Final = re.compile(r"(?<!\{)(?:\{\{)*\{\s*output\b")
#: The shadow directories in which there are no links to the outputs, through which they could be written to.
_HIDING: Final = ("minimal", "copy-minimal")
#: Each place at which a command names outputs: all of them, or one by its name or number.
_NAMED: Final = re.compile(r"(?<!\{)(?:\{\{)*\{\s*output\s*(?:\.\s*(\w+)|\[\s*(\w+)\s*\])?\s*[}:!]")
#: A wildcard in the pattern of an output, with its constraint, in which braces may stand.
_WILDCARD: Final = re.compile(r"\{\s*(\w+)\s*(?:,(?:[^{}]|\{\d+(?:,\d*)?\})*)?\}")
#: What may not stand before and after a path in a command, if it is to be that path.
_BEFORE, _AFTER = r"(?<![\w./-])(?:\./)?", r"(?![\w-]|\.\w)"


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
        is_flagged(other, "directory") and lies_in(str(pattern), str(other)) and _is_named(str(other), text)
        for other in rule.output
    ):
        return "its code has the final path in its text; write {output} there"
    if is_flagged(pattern, "directory"):
        for other in rule.output:
            if lies_in(str(other), str(pattern)) and reason(rule, other):
                return "an output in it is not staged"
    return None


def spares(rule: Any, pattern: Any, history: History, output: str) -> bool:
    """Say whether a job leaves the old version of an output alone while it makes the new one.

    So it does if it is told of another path, and goes there: as its code tells, or as the rule's jobs did before. Else the old
    version has to go first, as without us: the job may append to it, or fail since it is there.

    Args:
        rule: its rule.
        pattern: the output, as the rule has it.
        history: where jobs made their outputs.
        output: the output of this job.
    """
    if reason(rule, pattern) or history.is_direct(rule, output):
        return False
    if names_all(rule) or rule.shadow_depth in _HIDING:
        return True
    return not rule.shadow_depth and history.is_staged(rule)


def names_all(rule: Any) -> bool:
    """Say whether a rule's code tells that its outputs are made where it is told: a shell command that names each of them."""
    if rule.shellcmd is None:
        return False
    named = {name or number for name, number in _NAMED.findall(rule.shellcmd)}
    if "" in named:
        return True
    names = {str(number): {str(number)} for number in range(len(rule.output))}
    for name, (begin, end) in rule.output._get_names():
        for number in range(begin, begin + 1 if end is None else end):
            names[str(number)].add(name)
    return all(each & named for each in names.values())


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


class History:
    """Where jobs made their outputs the last time, though nothing in their code told it."""

    def __init__(self, persistence: Any) -> None:
        self._direct = Notes(persistence, "atomik-direct")
        self._staged = Notes(persistence, "atomik-staged")

    def is_direct(self, rule: Any, output: str) -> bool:
        """Say whether this output was written to directly."""
        return self._direct.read(f"{rule.name}\0{output}") is not None

    def is_staged(self, rule: Any) -> bool:
        """Say whether a job of this rule has made outputs where it was told."""
        return self._staged.read(_known_as(rule)) is not None

    def add(self, rule: Any, outcomes: Mapping[Any, str]) -> None:
        """Note where a job has made its outputs, in the words of :class:`atomik.StageReport`."""
        for output, outcome in outcomes.items():
            key = f"{rule.name}\0{output}"
            if outcome == "direct":
                self._direct.write(key, "")
            else:
                self._direct.remove(key)
        found = set(outcomes.values())
        if "direct" in found:
            self._staged.remove(_known_as(rule))
        elif found == {"published"} and not names_all(rule) and not self.is_staged(rule):
            self._staged.write(_known_as(rule), "")


def _known_as(rule: Any) -> str:
    """Return a name for a rule that no other has: one without a name has a number for it, which another may have in the next run."""
    return "\0".join([rule.name, *map(str, rule.output)])
