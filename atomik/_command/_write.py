"""`atomik write`: standard input becomes a file."""

from __future__ import annotations

import sys
from typing import Any

import click

import atomik

from . import _options
from ._operation import Failure, Operation, shown
from ._pour import pour


@click.command(cls=Operation, short_help="Standard input becomes a file.")
@_options.destination()
@_options.overwrite()
@_options.sync()
@_options.parents()
@_options.permissions()
@_options.tmp_dir()
@_options.backup()
def write(dest: str, **options: Any) -> None:
    """Write standard input to DEST: it is there at the end of input, all at once.

    However much it is, memory stays constant. DEST may be read by the program that writes: `sort DEST | atomik write
    --overwrite DEST`.

    The end of input is all that is seen of a program before it in a pipe, whether it succeeded or was killed. Where that
    matters, let `atomik run` start it.

    \b
    Example:
      mysqldump shop | gzip | atomik write shop.sql.gz
    """  # noqa: D301 - \b is click's: do not rewrap
    if sys.stdin is None:
        msg = f"{shown(dest)}: standard input is closed; nothing was written"
        raise Failure(msg)
    with atomik.file(dest, "wb", **options) as file:
        pour(0, file.fileno())
