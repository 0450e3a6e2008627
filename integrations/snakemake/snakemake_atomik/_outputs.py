"""`outputs`: the same said explicitly, for code that runs in a rule."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from . import _settings
from ._stage import is_special, new_stage, shown, sweep

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
        OSError: what :meth:`atomik.Stage.open` and :meth:`atomik.Stage.publish` raise. What was made is kept then, and the
            error says where.

    An exception in the block discards all of them, and is raised unchanged. What is made beside them is published with them.
    """
    base = _settings.tmp_dir() or os.path.join(os.getcwd(), ".snakemake", "atomik")
    sweep(base)
    paths = [str(output)] if isinstance(output, str | os.PathLike) else [str(path) for path in output]
    staged = [path for path in dict.fromkeys(paths) if not is_special(path)]
    with new_stage(staged, base) as stage:
        names = {path: shown(stage, path) if path in staged else path for path in paths}
        yield _replaced(output, names)


def _replaced(output: T, shown: dict[str, str]) -> T:
    if isinstance(output, str | os.PathLike):
        staged = shown[str(output)]
        return cast("T", staged if isinstance(output, str) else Path(staged))
    if hasattr(output, "_names"):  # Snakemake's own list, which gives names to its items
        return cast("T", type(output)(toclone=output, custom_map=lambda path: shown[str(path)]))  # type: ignore[call-arg]
    return cast("T", type(output)(shown[str(path)] for path in output))  # type: ignore[call-arg]
