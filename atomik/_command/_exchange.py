"""`atomik exchange`: two names swapped in one instant."""

from __future__ import annotations

import click

import atomik

from . import _options
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Swap two names in one instant.")
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@_options.sync()
def exchange(a: str, b: str, sync: atomik.Sync | None) -> None:
    """Exchange A and B in one instant: there is no moment at which one of them is missing.

    They are files, folders or symbolic links, not necessarily of the same kind, on one filesystem. The same again is the
    way back.

    \b
    Example:
      atomik exchange site site.next
    """  # noqa: D301 - \b is click's: do not rewrap
    atomik.exchange(a, b, sync=sync)
