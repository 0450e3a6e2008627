"""What a user is told of an error: one line, in the command's terms, with the remedy."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from typing import Final

import click

from ._format import printable

#: What the errors of Python's interface call things, and what they are called here; the first to match a place counts.
_TRANSLATIONS: Final = (
    (r", or use atomik\.folder\b", ""),
    (r", or call discard\(\) in the block", ""),
    (r"\bpass (?=\w+=)", "use "),
    (r"""\b([a-z_]+)=(?:True|["'](\w+)["'])""", lambda found: _option(found[1], found[2])),
    (r"^(backup|permissions|extras)\b|\btmp_dir\b", lambda found: _option(found[0])),
    (r"\batomik\.(\w+)", r"`atomik \1`"),
    (r"another member of this group", "another output"),
)

#: What to do about an error of which the kernel only says what it is.
_REMEDIES: Final = {
    errno.ENOENT: "check the spelling",
    errno.EACCES: "check the permissions, or choose another directory",
    errno.EPERM: "it takes its owner or root; or choose another directory",
    errno.EROFS: "choose a directory that is not mounted read-only",
    errno.ENOSPC: "make room, or choose another filesystem",
    errno.EDQUOT: "make room, or choose another filesystem",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class Failure(click.ClickException):
    """What a subcommand could not do, in one line.

    Attributes:
        status: the exit status.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def failure(error: Exception, subjects: Sequence[str]) -> Failure:
    """Return the failure that `error` is, said of what it is about.

    Args:
        error: what was raised.
        subjects: the paths that the subcommand was to work on; if the error names one of them, it is about that one.
    """
    culprit = getattr(error, "filename", None)
    unique = list(dict.fromkeys(subjects))
    named = [path for path in unique if path == culprit] or unique
    return Failure(f"{', '.join(map(printable, named))}: {describe(error, named)}")


def describe(error: BaseException, named: Sequence[str] = ()) -> str:
    """Say in one line, in the command's terms, what went wrong.

    Args:
        error: what was raised.
        named: paths that the line has named already.
    """
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is not None and text.startswith(os.strerror(error.errno or 0)):
            text = f"{text}; {remedy}"
        if isinstance(error.filename, str) and error.filename not in named:
            text = f"{printable(error.filename)}: {text}"
    elif isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("atomik"):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    notes = (note.removeprefix("atomik: ") for note in getattr(error, "__notes__", ()))
    return printable("; ".join(" ".join(_translated(part).split()) for part in (text, *notes)))


def _translated(text: str) -> str:
    for pattern, words in _TRANSLATIONS:
        text = re.sub(pattern, words, text)
    return text


def _option(argument: str, value: str | None = None) -> str:
    """Return the option that is called what an argument of Python's interface is."""
    option = f"--{argument.replace('_', '-')}"
    return option if value is None else f"{option}={value}"
