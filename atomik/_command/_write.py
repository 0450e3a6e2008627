"""`atomik write`: standard input becomes a file."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

import atomik

from . import _options
from ._errors import Failure
from ._format import printable
from ._streams import copy_stream
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Standard input becomes a file.")
@_options.destination()
@_options.overwrite()
@_options.sync()
@_options.parents()
@_options.permissions()
@_options.tmp_dir()
@_options.backup()
@click.option("--not-empty", is_flag=True, help="Fail if there is no input, and leave DEST as it is.")
def write(dest: str, *, not_empty: bool, **options: Any) -> None:
    """Write standard input to DEST: it is there at the end of input, all at once.

    However much it is, memory stays constant. DEST may be read by the program that writes: `sort DEST | atomik write
    --overwrite DEST`.

    The end of input is all that is seen of a program before it in a pipe, whether it succeeded or was killed. Where that
    matters, let `atomik run --stdout` start it; --not-empty catches the program that failed before it wrote anything.

    \b
    Example:
      atomik write --overwrite /etc/motd < motd.new
    """  # noqa: D301 - \b is click's: do not rewrap
    if sys.stdin is None:
        msg = f"{printable(dest)}: standard input is closed; nothing was written"
        raise Failure(msg)
    with atomik.file(dest, "wb", **options) as file:
        copy_stream(0, file.fileno())
        if not_empty and os.fstat(file.fileno()).st_size == 0:
            msg = f"{printable(dest)}: standard input was empty; nothing was written"
            raise Failure(msg)
