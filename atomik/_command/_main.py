"""The command as a whole: its subcommands, how it ends, and with which exit status."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Final

import click

import atomik

from . import _log, _output, _signals
from ._errors import Failure
from ._format import printable

_SUBCOMMANDS: Final = ("clean", "copy", "exchange", "link", "plugins", "probe", "remove", "rename", "run", "write")

_EPILOG = """
Exit status: 0 if it is done; 1 if it failed, for the reason on standard error; 2 if the arguments make no sense; 130
after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 141 if nobody reads the output: what was staged is then discarded.
That of `atomik run` is the program's own.

Environment: ATOMIK_SYNC is the default of --sync; ATOMIK_DISABLE_PLUGINS and ATOMIK_STRICT_PLUGINS govern plugins.
"""


class _Subcommands(click.Group):
    """Each is a module of its own, imported when it is used: a script may start this a thousand times."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature of click
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in _SUBCOMMANDS:
            return None
        subcommand: click.Command = getattr(import_module(f"._{cmd_name}", __package__), cmd_name)
        return subcommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; suggest one for a name that is mistyped."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            # click suggests one itself only since 8.4, and only of those that it holds: here, none.
            from difflib import get_close_matches

            alike = [repr(name) for name in get_close_matches(args[0], _SUBCOMMANDS)]
            if not alike or args[0].startswith("-"):
                raise
            msg = f"No such command {args[0]!r}. Did you mean {' or '.join(alike)}?"
            raise click.UsageError(msg, ctx) from error


@click.group(
    "atomik",
    cls=_Subcommands,
    epilog=_EPILOG,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(atomik.__version__, message="%(prog)s %(version)s")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Publish files and folders atomically: the whole result appears in one instant, or nothing does.

    Nothing half-written is ever seen at a destination, nothing is overwritten unasked, and what was reported as done is
    there after a power cut.
    """
    if ctx.invoked_subcommand is None:
        with suppress(OSError):
            click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def run() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    _log.print_in_one_line()
    sys.stdout = _output.checked(sys.stdout)
    try:
        with _signals.raise_on_signals():
            return command.main(standalone_mode=False) or 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else command.name
        message = error.format_message().rstrip(".")
        _print_error(f"{message}{' See' if message.endswith(('?', '?)')) else '; see'} {path} --help")
        return error.exit_code
    except Failure as failure:
        _print_error(failure.message)
        return failure.status
    except _signals.EndedBySignal as end:
        if end.number != signal.SIGPIPE:
            _print_error(str(end))
        return end.status
    finally:
        _drop_unheard()


def _print_error(line: str) -> None:
    with suppress(OSError):  # standard error is closed or full, too
        click.echo(f"atomik: {printable(' '.join(line.split()))}", err=True)


def _drop_unheard() -> None:
    """Drop what standard error has not taken: the interpreter would fail to write it at exit, with a status of its own (120)."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)
