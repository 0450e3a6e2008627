"""How a subcommand fails: one line that names the destination and the remedy, and an exit status."""

from __future__ import annotations

import errno
import os
import re
import signal
from typing import Any, Final

import click

from ._signals import Ended

#: The parameters that name what an operation is about; each has one of them.
_SUBJECTS: Final = ("dest", "outputs", "directory", "a")

#: What the errors of Python's interface call things, and what they are called here.
_TRANSLATIONS: Final = (
    (r", or use atomik\.folder$", ""),
    (r", or call discard\(\) in the block", ""),
    (r"pass (\w+=)", r"use \1"),
    (r"\b(\w+)=True\b", r"--\1"),
    (r'\bsync="(\w+)"', r"--sync=\1"),
    (r"\batomik\.(\w+)", r"`atomik \1`"),
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


class Operation(click.Command):
    """A subcommand whose errors become :class:`Failure`; arguments that make no sense, :class:`click.UsageError`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it.

        Raises:
            Failure: it failed.
            click.UsageError: its arguments make no sense.
            Ended: nobody reads its output any more.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError as error:
            # As the signal that Python ignores; click would make it exit status 1.
            raise Ended(signal.SIGPIPE) from error
        except ValueError as error:
            raise click.UsageError(in_words(error), ctx) from error
        except Exception as error:
            msg = f"{subject(ctx)}: {in_words(error, subject(ctx))}"
            raise Failure(msg) from error


def subject(ctx: click.Context) -> str:
    """Return what the operation is about: its destination or directory; nothing for one that has none."""
    for name in _SUBJECTS:
        found = ctx.params.get(name)
        if found is not None:
            return ", ".join(map(shown, [found] if isinstance(found, str) else found))
    return str(ctx.info_name)


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed on one line, whatever bytes are in it."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)[1:-1]


def in_words(error: BaseException, named: str = "") -> str:
    """Say in one line, in the command's terms, what went wrong; `named` is what the line names already."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is not None and text.startswith(os.strerror(error.errno or 0)):
            text = f"{text}; {remedy}"
        if isinstance(error.filename, str) and shown(error.filename) not in named.split(", "):
            text = f"{shown(error.filename)}: {text}"
    elif isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("atomik"):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    for pattern, words in _TRANSLATIONS:
        text = re.sub(pattern, words, text)
    notes = (note.removeprefix("atomik: ") for note in getattr(error, "__notes__", ()))
    return shown("; ".join(" ".join(part.split()) for part in (text, *notes)))
