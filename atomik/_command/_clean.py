"""`atomik clean`: what killed processes left is listed and removed."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from typing import Final

import click

import atomik

from . import _format, _options
from ._errors import Failure
from ._format import printable
from ._subcommand import Subcommand

_KEPT: Final = re.compile(r"atomik-kept-[0-9a-f]+")


@click.command(cls=Subcommand, short_help="Remove what killed processes have left.")
@_options.directory()
@click.option("-n", "--dry-run", is_flag=True, help="Only list.")
@click.option("-r", "--recursive", is_flag=True, help="Look in the folders below DIR, too, but not across mounts.")
@click.option(
    "--force",
    is_flag=True,
    help="Remove also where nobody can know whether another host is publishing (FUSE, CIFS, 9p). Be sure that none is.",
)
@_options.quiet()
def clean(directory: str, *, dry_run: bool, recursive: bool, force: bool, quiet: bool) -> None:
    """Remove from DIR what killed processes have left there, and list it: destination, age, size.

    Only what carries Atomik's own name, belongs to the user (root: to anyone) and is held by nobody is removed: a
    publication or a reader that is alive keeps it. Finished work that could not be published (atomik-kept-...) is listed
    and never removed.

    \b
    Example:
      atomik clean --recursive /srv/data
    """  # noqa: D301 - \b is click's: do not rewrap
    found = atomik.leftovers(directory, recursive=recursive)
    removed = [] if dry_run else atomik.clean(directory, recursive=recursive, force=force)
    # Compared with what was there before, so that what dies meanwhile is not taken for what cannot be removed.
    left = [leftover for leftover in found if os.path.lexists(leftover.path)]
    rows = [_row("removed", leftover) for leftover in removed]
    rows += [_row(_state(leftover, force=force, dry_run=dry_run), leftover) for leftover in left]
    rows += [
        ("kept work", "?", *_age_and_size(path), printable(path)) for path in _kept(directory, recursive=recursive)
    ]
    if quiet:
        pass
    elif rows:
        click.echo(_format.table([("", "DESTINATION", "AGE", "SIZE", "PATH"), *rows]))
    else:
        click.echo(f"{printable(directory)}: nothing was left behind")
    stuck = [leftover for leftover in left if not leftover.live]
    if stuck and not dry_run:
        raise _stuck(directory, stuck, force=force)


def _stuck(directory: str, stuck: list[atomik.Leftover], *, force: bool) -> Failure:
    if any(leftover.live is None for leftover in stuck) and not force:
        remedy = "nobody can tell here whether another host is publishing; if none is, use --force"
    else:
        remedy = "something is mounted inside, or it may not be removed; look there"
    paths = ", ".join(printable(leftover.path) for leftover in stuck)
    return Failure(f"{printable(directory)}: not removed: {paths}; {remedy}")


def _age_and_size(path: str) -> tuple[str, str]:
    status = os.lstat(path)
    size = "" if stat.S_ISDIR(status.st_mode) else _format.size(status.st_size)
    return _format.age(time.time() - status.st_mtime), size


def _row(state: str, leftover: atomik.Leftover) -> tuple[str, ...]:
    return (
        state,
        printable(leftover.destination or "?"),
        _format.age(time.time() - leftover.changed),
        _format.size(leftover.size),
        printable(leftover.path),
    )


def _state(leftover: atomik.Leftover, *, force: bool, dry_run: bool) -> str:
    if leftover.live:
        return "in use"
    if leftover.live is None and not force:
        return "perhaps in use"
    return "would be removed" if dry_run else "not removed"


def _kept(directory: str, *, recursive: bool) -> Iterator[str]:
    device = os.stat(directory).st_dev
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            if _KEPT.fullmatch(name):
                yield os.path.join(folder, name)
        folders[:] = [name for name in folders if recursive and _is_on(device, os.path.join(folder, name))]


def _is_on(device: int, folder: str) -> bool:
    try:
        return os.lstat(folder).st_dev == device
    except OSError:
        return False
