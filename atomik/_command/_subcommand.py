"""A subcommand whose errors are one line and an exit status."""

from __future__ import annotations

from typing import Any, Final

import click

from ._errors import describe, failure

#: The parameters that name what a subcommand works on.
_SUBJECTS: Final = ("dest", "outputs", "stdout", "directory", "a")


class Subcommand(click.Command):
    """A subcommand whose errors become :class:`Failure`; arguments that make no sense, :class:`click.UsageError`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it.

        Raises:
            Failure: it failed.
            click.UsageError: its arguments make no sense.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ValueError as error:
            raise click.UsageError(describe(error), ctx) from error
        except Exception as error:
            raise failure(error, _subjects(ctx)) from error


def _subjects(ctx: click.Context) -> list[str]:
    """Return what it works on: its destinations or its directory; its own name if it has none."""
    subjects: list[str] = []
    for name in _SUBJECTS:
        found = ctx.params.get(name)
        if found is not None:
            subjects += [found] if isinstance(found, str) else found
    return subjects or [str(ctx.info_name)]
