"""Where a test's directory is: its `tmp_path`, or a folder in each directory that the ini option `atomik_dirs` names."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import pytest

import atomik

#: Where another filesystem may be found; asked of, and written to only through `mkdtemp`.
_CANDIDATES: Final = ("/dev/shm", "/var/tmp", "~")  # noqa: S108


def chosen(lines: Iterable[str], root: Path) -> dict[str, Path]:
    """Read the lines of `atomik_dirs`, ``DIR`` or ``ID=DIR``; return the directories by what the tests' names show.

    Args:
        lines: of the option; empty ones are passed over. A directory may begin with ``~``.
        root: what a relative directory is relative to.

    Where no id is given, it is the kind of filesystem; where that is not enough, the directory as it was given.
    """
    named: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, lines)):
        name, equals, directory = line.partition("=")
        if not equals or "/" in name:
            name, directory = "", line
        named.append((name.strip(), directory.strip()))
    places = [root / Path(directory).expanduser() for _, directory in named]
    ids = [name or _filesystem(place) or directory for (name, directory), place in zip(named, places, strict=True)]
    often = Counter(ids)
    found = {}
    for (_, directory), place, name in zip(named, places, ids, strict=True):
        found[name if often[name] == 1 else f"{name}:{directory}"] = place
    return found


def temporary(request: pytest.FixtureRequest) -> tuple[Path, Callable[[], object]]:
    """Return the test's directory, and what is to be called when the test is over."""
    place: Path | None = getattr(request, "param", None)
    if place is None and (lines := request.config.getini("atomik_dirs")):
        # A test that pytest does not parametrize: of unittest's, or one that asks by getfixturevalue. It runs on the first.
        place = next(iter(chosen(lines, request.config.rootpath).values()), None)
    if place is None:
        return request.getfixturevalue("tmp_path"), lambda: None
    if not place.is_dir():
        msg = f"the ini option atomik_dirs names {place}, which is no directory; make it, or run with -o atomik_dirs="
        pytest.fail(msg, pytrace=False)
    return passing(place, request.node.name)


def passing(place: Path, name: str) -> tuple[Path, Callable[[], object]]:
    """Make a folder in `place` that is not retained; return it, and what removes it."""
    prefix = re.sub(r"\W", "_", name)[:30]
    path = Path(os.path.realpath(tempfile.mkdtemp(prefix=f"{prefix}-", dir=place)))
    # Not shutil's: that goes on into whatever a test has mounted in there.
    return path, partial(_remove, path)


def keep(request: pytest.FixtureRequest) -> None:
    """Let pytest keep the test's `tmp_path` where it keeps those of tests that failed: this one does at its end."""
    try:
        from _pytest.tmpdir import tmppath_result_key
    except ImportError:  # pytest before 7.3 keeps them all
        return
    request.node.stash.setdefault(tmppath_result_key, {})["call"] = False


def _remove(path: Path) -> None:
    """Remove a directory, unless the test has done so."""
    with contextlib.suppress(FileNotFoundError):
        atomik.remove(path, sync="off")


def elsewhere(path: Path) -> Path | None:
    """Return a directory to which one can write, on another device than `path`; None if there seems to be none."""
    candidates = [*_CANDIDATES, os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), os.getcwd()]
    device = path.stat().st_dev
    for candidate in map(os.path.expanduser, filter(None, candidates)):
        if os.path.isdir(candidate) and os.access(candidate, os.W_OK | os.X_OK) and os.stat(candidate).st_dev != device:
            return Path(candidate)
    return None


def _filesystem(place: Path) -> str:
    """Return what kind of filesystem `place` is on; nothing where that cannot be known."""
    real = os.path.realpath(place)
    kind, longest = "", 0
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, point, found, *_ = line.split()
                if len(point) >= longest and f"{real}/".startswith(f"{point.rstrip('/')}/"):
                    kind, longest = found, len(point)
    except OSError:
        pass  # not Linux
    return kind
