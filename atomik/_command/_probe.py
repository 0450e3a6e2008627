"""`atomik probe`: what a filesystem can do, and what that means."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

import atomik

from . import _format, _options, _promises
from ._format import printable
from ._measurements import measure
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="Say what a filesystem can do.")
@_options.directory(default=".")
@_options.as_json()
def probe(directory: str, *, as_json: bool) -> None:
    """Say what the filesystem of DIR can do, and what that means for each of Atomik's promises.

    DIR is the working directory by default.

    Every answer is found by trial; what is made for that is removed.

    \b
    Example:
      atomik probe /srv/data
    """  # noqa: D301 - \b is click's: do not rewrap
    able, measured = atomik.probe(directory), measure(directory)
    promises = list(_promises.promises(able, measured))
    if as_json:
        answers = {**asdict(able), **asdict(measured), "directory": directory}
        answers["promises"] = [promise._asdict() for promise in promises]
        click.echo(json.dumps(answers, indent=2))
        return
    click.echo(f"{printable(directory)} is on {click.style(able.filesystem, bold=True)}. It has\n")
    rows = [
        (each.name, _coloured(each.answer, each.good), each.meaning) for each in _promises.abilities(able, measured)
    ]
    click.echo(_format.table(rows, indent=2))
    click.echo("\nso Atomik's promises are\n")
    rows = [(each.promise, _coloured("kept" if each.kept else "in part", each.kept), each.meaning) for each in promises]
    click.echo(_format.table(rows, indent=2))


def _coloured(word: str, good: bool) -> str:
    return click.style(word, fg="green" if good else "yellow")
