"""`atomik copy`: a file or a tree, published at once."""

from __future__ import annotations

import os
import stat
from typing import Any

import click

import atomik

from . import _options
from ._progress import Progress
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Copy a file or folder.")
@click.argument("src", type=click.Path())
@_options.destination()
@_options.overwrite()
@_options.sync()
@_options.parents()
@_options.backup()
@_options.quiet()
def copy(src: str, dest: str, *, quiet: bool, **options: Any) -> None:
    """Copy the file or folder SRC to DEST, also from another filesystem: it is there all at once.

    DEST is the name of the copy, not a folder to copy into. Modes, times, owners, ACLs, extended attributes, holes and
    hard links come with it, as by `cp -a`.

    \b
    Examples:
      atomik copy --parents /mnt/usb/photos backups/photos
      atomik copy --overwrite --backup backups/photos.old /mnt/usb/photos backups/photos
    """  # noqa: D301 - \b is click's: do not rewrap
    with Progress(quiet=quiet, total=_size_of_file(src)) as progress:
        atomik.copy(src, dest, progress=progress if progress.wanted else None, **options)


def _size_of_file(path: str) -> int | None:
    """Return how many bytes a file has; None for a folder, and for what cannot be copied anyway."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
