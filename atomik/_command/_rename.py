"""`atomik rename`: a new name, never over anything unasked."""

from __future__ import annotations

from typing import Any

import click

import atomik

from . import _options
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Rename a file or folder.")
@click.argument("src", type=click.Path())
@_options.destination()
@_options.overwrite()
@_options.sync()
def rename(src: str, dest: str, **options: Any) -> None:
    """Rename SRC to DEST in one instant; DEST, if it exists, is replaced only if that is asked for.

    DEST is the new name, not a folder to move into, and on the same filesystem. Of several that rename to one DEST at the
    same time exactly one succeeds, unlike with `mv -n`. A folder may replace one that is not empty. A symbolic link is
    renamed, and replaced, itself.

    \b
    Example:
      atomik rename queue/incoming/7.job queue/running/7.job
    """  # noqa: D301 - \b is click's: do not rewrap
    atomik.rename(src, dest, **options)
