"""How a builder is called, and what it must have left or returned."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def make_folder(build: Callable[[Path], object], path: Path) -> None:
    """Let `build` fill a new folder at `path`."""
    path.mkdir()
    _refuse_unfinished(build(path))
    if not path.is_dir() or path.is_symlink():
        msg = f"the builder has removed the folder that it was given, or put something else in its place: {path.name}"
        raise NotADirectoryError(msg)


def make_file(build: Callable[[IO[Any]], object], mode: str, path: Path) -> None:
    """Let `build` write a new file at `path`."""
    with path.open(mode, encoding="utf-8" if mode == "w" else None) as file:
        _refuse_unfinished(build(file))
    if not path.is_file() or path.is_symlink():
        msg = f"the builder has removed the file that it was given, or put something else in its place: {path.name}"
        raise FileNotFoundError(msg)


def make_value(build: Callable[[], object], path: Path) -> None:
    """Write what `build` returns to a new file at `path`."""
    value = build()
    try:
        text = json.dumps(value, allow_nan=False)
        returned = json.loads(text)
    except (TypeError, ValueError) as error:
        msg = f"a value has to be JSON (dicts with str as keys, lists, str, numbers, bool, None): {error}"
        raise TypeError(msg) from error
    if returned != value:
        msg = f"a value has to be what JSON gives back, and {value!r} comes back as {returned!r}; use lists, and str as keys"
        raise TypeError(msg)
    path.write_text(text, encoding="utf-8")


def _refuse_unfinished(returned: object) -> None:
    if inspect.iscoroutine(returned) or inspect.isgenerator(returned):
        returned.close()
        msg = "the builder returned something that has still to be run, so nothing was built; run it in the builder"
        raise TypeError(msg)
