"""`atomik remove`: a file or a tree, gone in one instant."""

from __future__ import annotations

import click

import atomik

from . import _options
from ._errors import Failure, failure
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Remove a file or folder in one instant.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
@_options.sync()
def remove(paths: tuple[str, ...], sync: atomik.Sync | None) -> None:
    """Remove each PATH in one instant: nobody ever sees a folder that is half removed.

    A folder is renamed away first, then removed with everything in it, without a question. A symbolic link is removed
    itself. What is mounted inside a folder is left alone. One PATH that cannot be removed does not keep the others.

    \b
    Example:
      atomik remove releases/2023-*
    """  # noqa: D301 - \b is click's: do not rewrap
    for path in paths:
        if path.rstrip("/").rpartition("/")[2] in {"", ".", ".."}:
            msg = f"{path!r} does not name a file or folder; give a name, not '.', '..' or '/'"
            raise ValueError(msg)
    failures: list[Failure] = []
    for path in paths:
        try:
            atomik.remove(path, sync=sync)
        except OSError as error:
            failures.append(failure(error, [path]))
    if failures:
        raise Failure("; ".join(each.message for each in failures))
