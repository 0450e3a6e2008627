"""`outputs`: the same said explicitly, for code that runs in a rule."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import atomik

from . import _links, _settings
from ._publish import publish
from ._staging import Staging, is_special
from ._sweep import sweep

T = TypeVar("T", bound="str | os.PathLike[str] | Sequence[str]")


@contextmanager
def outputs(output: T) -> Iterator[T]:
    """Make outputs at staged paths, and publish all of them at the end of the block, or none.

    For ``run:`` (``with outputs(output) as out:``) and a Python ``script:`` (``outputs(snakemake.output)``); the Python that
    runs it must have Atomik. It works by itself: outputs that are flagged ``atomic()`` are staged already and do not need it.

    Args:
        output: one path, several, or Snakemake's `output` with its names.

    Yields:
        the same structure with the staged paths. Nothing exists at them yet, but their directories do.

    Raises:
        NothingStagedError: one of them was not made; none is published then.
        OSError: what :func:`atomik.path` raises. What was made is kept then, and a note of the error says where.

    An exception in the block discards all of them, and is raised unchanged.
    """
    chosen = _settings.tmp_dir()
    base = chosen or os.path.join(os.getcwd(), ".snakemake", "atomik")
    sweep(base)
    paths = [str(output)] if isinstance(output, str | os.PathLike) else [str(path) for path in output]
    with Staging(base, chosen=chosen is not None) as staging:
        shown = {
            path: path if is_special(path) else staging.add(path, folder=None, absolute=False).shown
            for path in sorted(paths)  # a directory comes before what lies in it
        }
        yield _replaced(output, shown)
        made = list(staging.outputs.values())
        missing = [staged for staged in made if not os.path.lexists(staged.path)]
        if missing:
            listed = ", ".join(f"{staged.output!r} (at {staged.shown!r})" for staged in missing)
            msg = f"Nothing is published, since not every output was made at its staged path; missing: {listed}"
            raise atomik.NothingStagedError(errno.ENOENT, msg, missing[0].output)
        _links.repair(made)
        try:
            publish(made, timestamps=False)
        except Exception as error:
            if kept := staging.keep():
                error.add_note(f"What was made is kept in {', '.join(kept)}.")
            raise


def _replaced(output: T, shown: dict[str, str]) -> T:
    if isinstance(output, str | os.PathLike):
        staged = shown[str(output)]
        return cast("T", staged if isinstance(output, str) else Path(staged))
    if hasattr(output, "_names"):  # Snakemake's own list, which gives names to its items
        return cast("T", type(output)(toclone=output, custom_map=lambda path: shown[str(path)]))  # type: ignore[call-arg]
    return cast("T", type(output)(shown[str(path)] for path in output))  # type: ignore[call-arg]
