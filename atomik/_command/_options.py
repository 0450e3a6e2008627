"""The options and arguments that several subcommands have, called what they are called in Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import click

#: What a decorator of click gives: it takes a function, or a command that is being put together.
Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

LEVELS: Final = ("full", "normal", "off")


def _mode(value: str) -> int:
    """Take a mode in octal, as chmod does."""
    if not re.fullmatch("[0-7]{1,4}", value):
        msg = f"{value!r} is no mode; give up to four octal digits, such as 644"
        raise click.BadParameter(msg)
    return int(value, 8)


def destination(name: str = "dest") -> Decorator:
    """Return the argument DEST."""
    return click.argument(name, type=click.Path())


def directory(default: str | None = None) -> Decorator:
    """Return the argument DIR, which may be left out if there is a default."""
    metavar = "DIR" if default is None else "[DIR]"
    return click.argument("directory", metavar=metavar, default=default, type=click.Path(exists=True, file_okay=False))


def overwrite() -> Decorator:
    """Return --overwrite."""
    return click.option(
        "--overwrite", is_flag=True, help="Replace what is there: a file by a file, a folder by a folder."
    )


def sync() -> Decorator:
    """Return --sync."""
    return click.option(
        "--sync",
        type=click.Choice(LEVELS),
        help="What a power cut may take: nothing (full, the default), the newest version (normal), anything (off).",
    )


def parents() -> Decorator:
    """Return --parents."""
    return click.option("--parents", is_flag=True, help="Make missing parent directories.")


def permissions() -> Decorator:
    """Return --permissions."""
    return click.option(
        "--permissions",
        metavar="MODE",
        type=_mode,
        help="The mode to publish with, such as 640. By default that of what is replaced, else what the umask leaves.",
    )


def tmp_dir() -> Decorator:
    """Return --tmp-dir."""
    return click.option(
        "--tmp-dir",
        metavar="DIR",
        type=click.Path(file_okay=False),
        help="Stage in DIR, on whatever filesystem; by default beside the destination.",
    )


def backup() -> Decorator:
    """Return --backup."""
    return click.option(
        "--backup",
        metavar="PATH",
        type=click.Path(),
        help="With --overwrite: keep the version that is replaced at PATH, in place of an older one there.",
    )


def quiet() -> Decorator:
    """Return --quiet."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")


def as_json() -> Decorator:
    """Return --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
