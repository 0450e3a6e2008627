"""`atomik plugins`: what is installed, what it does, and whether it works."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

import atomik

from . import _format, _options
from ._subcommand import Subcommand


@click.command(cls=Subcommand, short_help="List plugins and integrations.")
@_options.as_json()
@click.pass_context
def plugins(ctx: click.Context, *, as_json: bool) -> None:
    """List the installed plugins and integrations; exit with 1 if one is broken.

    ATOMIK_DISABLE_PLUGINS, names with commas between them or *, switches plugins off before they are imported. With
    ATOMIK_STRICT_PLUGINS=1 a broken one is an error wherever something is published.
    """
    found = atomik.plugins()
    if as_json:
        click.echo(json.dumps([_described(plugin) for plugin in found], indent=2))
    elif found:
        heading = ("NAME", "STATE", "DISTRIBUTION", "WHAT IT DOES")
        click.echo(_format.table([heading, *map(_row, found)]))
    else:
        click.echo("No plugins are installed.")
    if any(plugin.status == "broken" for plugin in found):
        ctx.exit(1)


def _row(plugin: Any) -> tuple[str, ...]:
    what = plugin.integration.summary if plugin.integration is not None else ", ".join(plugin.hooks)
    state = click.style(plugin.status, fg="red", bold=True) if plugin.status == "broken" else plugin.status
    return plugin.name, state, f"{plugin.distribution} {plugin.version}", " ".join((plugin.error or what).split())


def _described(plugin: Any) -> dict[str, Any]:
    described: dict[str, Any] = plugin._asdict()
    if plugin.integration is not None:
        described["integration"] = asdict(plugin.integration)
    return described
