"""`atomik copy`: a file or a tree, published at once."""

from __future__ import annotations

from typing import Any

import click

import atomik

from . import _options
from ._operation import Operation
from ._progress import Progress


@click.command(cls=Operation, short_help="Copy a file or folder.")
@click.argument("src", type=click.Path())
@_options.destination()
@_options.overwrite()
@_options.sync()
@_options.parents()
@_options.quiet()
def copy(src: str, dest: str, *, quiet: bool, **options: Any) -> None:
    """Copy the file or folder SRC to DEST, also from another filesystem: it is there all at once.

    DEST is the name of the copy, not a folder to copy into. Modes, times, owners, ACLs, extended attributes, holes and
    hard links come with it, as by `cp -a`.

    \b
    Example:
      atomik copy --overwrite /mnt/usb/photos photos
    """  # noqa: D301 - \b is click's: do not rewrap
    with Progress(quiet=quiet) as progress:
        atomik.copy(src, dest, progress=progress if progress.wanted else None, **options)
