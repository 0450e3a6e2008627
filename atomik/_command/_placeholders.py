"""The arguments of a program, with placeholders for the paths of its outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

DEFAULT: Final = "{}"


class Template:
    """Arguments in which ``{}`` stands for the only output, and ``{1}``, ``{2}`` and so on for each of several.

    ``{{}}`` and ``{{1}}`` are a literal ``{}`` and ``{1}``. ``${1}`` is a shell's, and all other braces are the program's.
    """

    def __init__(self, arguments: Sequence[str], outputs: int, name: str = DEFAULT) -> None:
        """Check the placeholders.

        Args:
            arguments: the arguments, with placeholders.
            outputs: how many outputs there are.
            name: what stands for the only output; if it is not ``{}``, that is the program's, too.

        Raises:
            ValueError: a placeholder stands for no output, or could stand for several; `name` is empty.
        """
        if not name:
            msg = "-I needs a text that is to stand for the output, such as @"
            raise ValueError(msg)
        self._arguments = arguments
        digits = r"\d*" if name == DEFAULT else r"\d+"
        self._pattern = re.compile(
            rf"\{{\{{(?P<literal>{digits})\}}\}}|(?P<only>{re.escape(name)})|(?<!\$)\{{(?P<number>\d+)\}}"
        )
        for argument in arguments:
            for found in self._pattern.finditer(argument):
                self._check(found, outputs)

    def _check(self, found: re.Match[str], outputs: int) -> None:
        text = found[0]
        if found["only"] is not None and outputs > 1:
            problem = f"{text} could be any of {outputs} outputs"
        elif (found["only"] is not None and outputs == 0) or (
            found["number"] is not None and not 1 <= int(found["number"]) <= outputs
        ):
            problem = f"{text} is no output"
        else:
            return
        known = (
            ["no -o names one", "say {1}", "say {1} or {2}"][outputs] if outputs < 3 else f"say {{1}} to {{{outputs}}}"
        )
        literal = f"write {{{text}}} for a literal {text}" if text[0] == "{" else "choose another text for -I"
        msg = f"{problem}; {known}, or {literal}"
        raise ValueError(msg)

    def fill(self, paths: Sequence[str]) -> list[str]:
        """Return the arguments with the paths in them, given in the order of the outputs."""

        def replacement(found: re.Match[str]) -> str:
            if found["literal"] is not None:
                return f"{{{found['literal']}}}"
            return paths[0] if found["only"] is not None else paths[int(found["number"]) - 1]

        return [self._pattern.sub(replacement, argument) for argument in self._arguments]
