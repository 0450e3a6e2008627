"""`atomik run`: what a program makes is published when it has succeeded."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click

import atomik

from . import _child, _options
from ._operation import Failure, Operation, shown

_VARIABLE: Final = "ATOMIK_OUTPUT_"
_NOT_FOUND: Final = 127
_NOT_STARTED: Final = 126


@click.command(
    cls=Operation,
    short_help="What a program writes is published if it succeeds.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "-o",
    "--output",
    "outputs",
    metavar="OUT",
    multiple=True,
    required=True,
    type=click.Path(),
    help="A destination; may be given several times.",
)
@_options.overwrite()
@_options.sync()
@_options.parents()
@_options.permissions()
@_options.tmp_dir()
@_options.backup()
@click.argument("cmd", nargs=-1, required=True, metavar="[--] CMD [ARG]...", type=click.UNPROCESSED)
def run(outputs: tuple[str, ...], cmd: tuple[str, ...], sync: atomik.Sync | None, **options: Any) -> None:
    """Run CMD, which writes to staged paths; publish them together if it exits with 0.

    In the arguments of CMD, {} stands for the staged path of the only OUT; {1}, {2} and so on for those of several. In
    its environment ATOMIK_OUTPUT_1, ATOMIK_OUTPUT_2 and so on hold the same paths: a shell script uses them as
    "$ATOMIK_OUTPUT_1", safe from blanks. Nothing exists there yet; CMD makes a file or a folder of that name.

    The exit status is that of CMD, 128 + n if signal n ended it, 127 if it was not found. Signals are passed on to it.

    \b
    Examples:
      atomik run -o shop.sql -- pg_dump --file={} shop
      atomik run -o model.bin -o report/ -- ./train --model {1} --report {2}
      atomik run -o log.gz -- sh -c 'journalctl | gzip > "$ATOMIK_OUTPUT_1"'
    """  # noqa: D301 - \b is click's: do not rewrap
    if options["backup"] is not None and len(outputs) > 1:
        msg = "--backup keeps one version, and there are several outputs; run without it, or publish one folder"
        raise ValueError(msg)
    if len(outputs) > 1 and any("{}" in argument for argument in cmd[1:]):
        msg = f"{{}} could be any of {len(outputs)} outputs; say {{1}} to {{{len(outputs)}}}"
        raise ValueError(msg)
    with _staged(outputs, sync, options) as staged:
        status = _start(cmd, [os.path.abspath(path) for path in staged], outputs)
        if status != 0:
            how = f"was ended by {_signal(status)}" if _signal(status) else f"exited with {status}"
            raise _nothing(outputs, f"{cmd[0]} {how}", status)


@contextmanager
def _staged(outputs: Sequence[str], sync: atomik.Sync | None, options: dict[str, Any]) -> Iterator[list[Path]]:
    with ExitStack() as stack:
        if len(outputs) == 1:
            # By itself it needs less of the filesystem: what a group replaces, it must be able to exchange back.
            yield [stack.enter_context(atomik.path(outputs[0], sync=sync, **options))]
        else:
            group = stack.enter_context(atomik.group(sync=sync))
            yield [stack.enter_context(group.path(output, **options)) for output in outputs]


def _start(cmd: Sequence[str], staged: Sequence[str], outputs: Sequence[str]) -> int:
    numbered = {str(number): path for number, path in enumerate(staged, 1)}
    known = {**numbered, "": staged[0]}
    program, *arguments = cmd
    arguments = [re.sub(r"\{(\d*)\}", lambda found: known.get(found[1], found[0]), argument) for argument in arguments]
    # An outer `atomik run` has outputs of its own, which are not ours to write to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_VARIABLE)}
    environment.update((_VARIABLE + number, path) for number, path in numbered.items())
    try:
        return _child.run([program, *arguments], environment)
    except OSError as error:
        status = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED
        raise _nothing(outputs, f"{program} could not be started ({error.strerror})", status) from error


def _nothing(outputs: Sequence[str], reason: str, status: int) -> Failure:
    return Failure(f"{', '.join(map(shown, outputs))}: nothing was published, since {reason}", status)


def _signal(status: int) -> str | None:
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return None
