"""`atomik run`: what a program makes is published when it has succeeded."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final

import click

import atomik

from . import _child, _options, _placeholders
from ._errors import Failure
from ._format import printable
from ._subcommand import Subcommand

_VARIABLE: Final = "ATOMIK_OUTPUT_"
_NOT_FOUND: Final = 127
_NOT_STARTED: Final = 126


@click.command(
    cls=Subcommand,
    short_help="What a program writes is published if it succeeds.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "-o",
    "--output",
    "outputs",
    metavar="OUT",
    multiple=True,
    type=click.Path(),
    help="A destination that CMD writes to by its path; may be given several times. One that ends with a slash is a folder.",
)
@click.option(
    "--stdout",
    metavar="DEST",
    type=click.Path(),
    help="The file that the standard output of CMD becomes.",
)
@click.option(
    "-I",
    "placeholder",
    metavar="NAME",
    default=_placeholders.DEFAULT,
    help="What stands for the path of the only OUT in the arguments of CMD, instead of {}.",
)
@click.option(
    "--extras",
    type=click.Choice(("publish", "refuse", "discard")),
    default="publish",
    help="What CMD makes beside an OUT is published, too, beside the destination (publish, the default); makes it fail, and "
    "everything is kept (refuse); is dropped (discard).",
)
@click.option("--strict", is_flag=True, help="Fail if CMD writes to a destination itself; otherwise that is reported.")
@_options.overwrite()
@_options.sync()
@_options.parents()
@_options.permissions()
@_options.tmp_dir()
@_options.backup()
@_options.quiet()
@click.argument("cmd", nargs=-1, required=True, metavar="[--] CMD [ARG]...", type=click.UNPROCESSED)
def run(
    outputs: tuple[str, ...], stdout: str | None, placeholder: str, cmd: tuple[str, ...], *, quiet: bool, **options: Any
) -> None:
    """Run CMD, which writes to staged paths or to its standard output; publish all of it together if it exits with 0.

    In the arguments of CMD, {} stands for the staged path of the only OUT; {1}, {2} and so on for those of several. In
    its environment ATOMIK_OUTPUT_1, ATOMIK_OUTPUT_2 and so on hold the same paths: a shell script uses them as
    "$ATOMIK_OUTPUT_1", safe from blanks. Nothing exists there yet; CMD makes a file, folder or symbolic link of that name. {{}} is a
    literal {}; where find or xargs would replace {}, say {1} or choose another text by -I.

    What CMD makes beside its outputs (an index, a log) is published with them; what it writes to a destination itself stays
    as it is. Both are reported on standard error.

    The exit status is that of CMD, 128 + n if signal n ended it, 127 if it was not found. Signals are passed on to it.

    \b
    Examples:
      atomik run --stdout shop.sql -- pg_dump shop
      atomik run -o model.bin -o report/ -- ./train --model {1} --report {2}
      atomik run -o log.gz -- sh -c 'journalctl | gzip > "$ATOMIK_OUTPUT_1"'
      find . -name '*.csv' -exec atomik run -o {}.gz --stdout {}.log -- pack {1} {} ';'
    """  # noqa: D301 - \b is click's: do not rewrap
    destinations = outputs if stdout is None else (*outputs, stdout)
    if not destinations:
        msg = "no output is named; give -o (--output) OUT, --stdout DEST, or both"
        raise ValueError(msg)
    program, *arguments = cmd
    template = _placeholders.Template(arguments, len(outputs), placeholder)
    if stdout is not None:
        _require_file(stdout)
    with atomik.stage(destinations, **options) as stage:
        # As text: pathlib takes long to import.
        paths = [os.path.abspath(stage._staged_path(number)) for number in range(len(destinations))]
        with ExitStack() as opened:
            descriptor = None if stdout is None else opened.enter_context(open(paths.pop(), "wb")).fileno()
            status = _start([program, *template.fill(paths)], paths, descriptor, destinations)
        if status != 0:
            how = f"was ended by {_signal(status)}" if _signal(status) else f"exited with {status}"
            raise _not_published(destinations, f"{program} {how}", status)
    if stage.report.extras and not quiet:
        extras = ", ".join(map(printable, stage.report.extras))
        with suppress(OSError):  # it is done, whether anybody reads that or not
            click.echo(f"atomik: {extras}: published, too, since {program} made it beside its output", err=True)


def _require_file(stdout: str) -> None:
    """Refuse what a file cannot become.

    Raises:
        ValueError: its name is that of a folder.
        IsADirectoryError: a folder stands there.
    """
    if stdout.endswith("/"):
        msg = f"--stdout {stdout!r} ends with a slash, as a folder does, and standard output becomes a file"
        raise ValueError(msg)
    if os.path.isdir(stdout):
        msg = "A folder stands at the destination, and standard output becomes a file; remove it first"
        raise IsADirectoryError(errno.EISDIR, msg, stdout)


def _start(cmd: list[str], paths: Sequence[str], stdout: int | None, destinations: Sequence[str]) -> int:
    # An outer `atomik run` has outputs of its own, which are not ours to write to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_VARIABLE)}
    environment.update((f"{_VARIABLE}{number}", path) for number, path in enumerate(paths, 1))
    try:
        return _child.run(cmd, environment, stdout)
    except OSError as error:
        status = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED
        raise _not_published(destinations, f"{cmd[0]} could not be started ({error.strerror})", status) from error


def _not_published(destinations: Sequence[str], reason: str, status: int) -> Failure:
    return Failure(f"{', '.join(map(printable, destinations))}: nothing was published, since {reason}", status)


def _signal(status: int) -> str | None:
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return None
