"""`atomik probe`: what a filesystem can do, and what that means."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Final

import click

import atomik

from . import _format, _options, _promises
from ._format import printable
from ._measurements import measure
from ._subcommand import Subcommand

_COLOURS: Final = {"kept": "green", "refused": "yellow", "unknown": "yellow", "broken": "red"}


@click.command(cls=Subcommand, short_help="Say what a filesystem can do.")
@_options.directory(default=".")
@click.option(
    "--prove",
    is_flag=True,
    help="Try to break each promise in DIR, for about a minute, by several processes; exit with 1 if one breaks.",
)
@click.option(
    "--peer",
    is_flag=True,
    help="With --prove: between two hosts that share DIR. Run the same command on both.",
)
@_options.as_json()
def probe(directory: str, *, prove: bool, peer: bool, as_json: bool) -> None:
    """Say what the filesystem of DIR can do, and what that means for each of Atomik's promises.

    DIR is the working directory by default.

    Every answer is found by trial; what is made for that is removed.

    \b
    Examples:
      atomik probe /srv/data
      atomik probe --prove /srv/data
    """  # noqa: D301 - \b is click's: do not rewrap
    if peer and not prove:
        msg = "--peer makes sense only with --prove"
        raise click.UsageError(msg)
    if prove:
        _prove(directory, peer=peer, as_json=as_json)
        return
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


def _prove(directory: str, *, peer: bool, as_json: bool) -> None:
    from ._prove import prove

    live = sys.stderr.isatty()
    report = prove(
        directory, peer=peer, say=lambda line: click.echo(f"  {printable(line)}", err=True) if live else None
    )
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        between = f", between two hosts: this one and {printable(report['peer'])}" if report["peer"] else ""
        where = f"{printable(directory)} is on {click.style(report['filesystem'], bold=True)}"
        click.echo(f"{where} (Linux {report['kernel']}){between}. Tried there\n")
        rows = [
            (each["proof"], click.style(each["verdict"], fg=_COLOURS[each["verdict"]]), printable(each["detail"]))
            for each in report["proofs"]
        ]
        click.echo(_format.table(rows, indent=2))
        click.echo("\nevery promise was kept" if report["kept"] else "\na promise was broken: do not rely on it here")
    if not report["kept"]:
        click.get_current_context().exit(1)


def _coloured(word: str, good: bool) -> str:
    return click.style(word, fg="green" if good else "yellow")
