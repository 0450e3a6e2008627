"""Outputs of Snakemake on :func:`atomik.stage`: where they are staged, what their paths are called, what killed jobs left."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection

import atomik

from . import _settings

#: Where this process has cleaned already.
_swept: set[str] = set()


def new_stage(outputs: Collection[str], base: str) -> atomik.Stage:
    """Return a stage for outputs, which are its keys, too.

    Each has the same place in it as in the working directory, or, if all lie elsewhere, in the directory around them. So what a
    rule derives from the path of an output (the directory, a prefix, a neighbour) is as it would be there. What lies on another
    mount is so staged in the topmost directory of that mount, and what lies elsewhere than the others beside its destination.

    Args:
        outputs: their paths.
        base: the directory to stage in; made if it is missing.
    """
    os.makedirs(base, exist_ok=True)
    chosen = _settings.tmp_dir()
    return atomik.stage(
        {output: output.rstrip("/") for output in outputs},
        sync=_settings.sync(),
        tmp_dir=chosen,
        root=_root(outputs),
        root_tmp_dir=None if chosen else base,
        # As Snakemake, which removes what is there before the job.
        inherit=False,
        follow_symlinks=False,
        allow_gap=True,
    )


def _root(outputs: Collection[str]) -> str:
    """Return the directory whose place the staging folder takes: the working directory, if an output lies in it."""
    here = os.getcwd()
    paths = [os.path.abspath(output) for output in outputs]
    if not paths or any(path.startswith(f"{here}/") for path in paths):
        return here
    around = os.path.commonpath([os.path.dirname(path) for path in paths])
    return here if around == "/" else around


def shown(stage: atomik.Stage, output: str) -> str:
    """Return what a staged output is called: relative to the working directory, if the output is.

    Args:
        stage: the stage, which is open.
        output: the output.
    """
    path, here = os.fspath(stage[output]), os.getcwd()
    if os.path.isabs(output) or not path.startswith(f"{here}/"):
        return path
    return os.path.relpath(path, here)


def sweep(base: str) -> None:
    """Remove what killed jobs left in `base`, and beside their destinations; once in each process.

    Trouble is no reason not to run: what cannot be removed stays, and does no harm.
    """
    if base not in _swept:
        _swept.add(base)
        with contextlib.suppress(OSError):
            atomik.clean(base)


def lies_in(path: str, folder: str) -> bool:
    """Say whether a path of the workflow is below another one, as both are written there."""
    return path.startswith(f"{folder.rstrip('/')}/")


def is_special(path: str) -> bool:
    """Say whether a device, FIFO or socket is at `path`, which is written to, never replaced."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
