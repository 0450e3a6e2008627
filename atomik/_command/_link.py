"""`atomik link`: a symbolic link that appears, or is replaced, in one instant."""

from __future__ import annotations

from typing import Any

import click

import atomik

from . import _options
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Make or replace a symbolic link.")
@click.argument("target", type=click.Path())
@_options.destination()
@click.option(
    "--overwrite", is_flag=True, help="Replace a link or a file at DEST; the link itself, not what it points to."
)
@_options.sync()
@_options.parents()
def link(target: str, dest: str, **options: Any) -> None:
    """Make DEST a symbolic link to TARGET; at every moment there is the old link or the new one.

    `ln -sfn` removes the old link first, and who looks in between finds none. TARGET is what the link says: a relative one
    is seen from the directory of DEST. It need not exist.

    \b
    Example:
      atomik link --overwrite releases/7 current
    """  # noqa: D301 - \b is click's: do not rewrap
    atomik.symlink(target, dest, **options)
