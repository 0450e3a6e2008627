"""`atomic`: the flag, as a workflow uses it."""

from __future__ import annotations

from typing import Any

from snakemake.io import flag  # type: ignore[import-untyped]

from . import _hooks
from ._flag import FLAG


def atomic(value: Any) -> Any:
    """Flag one or more outputs: each is there, complete, when its job has succeeded, or not at all.

    Use it like Snakemake's own flags, around or inside them: ``atomic("a.bam")``, ``atomic(directory("parts"))``,
    ``temp(atomic("t"))``; or as ``outputflags: atomic`` for every output of a Snakefile (snakemake >= 9.1). The job makes
    each output at a staged path, which is what `{output}` names, and all of them are published when all have been made.
    What was there before stays until then, and stays if the job fails or is killed; only where it is not known that the job
    makes it elsewhere (a script's first run on old results), it is removed first, as without the flag. ``pipe()``,
    ``service()`` and outputs in remote storage are left alone.

    Args:
        value: a path, or what one of Snakemake's flags, ``expand`` or ``multiext`` returns.

    Returns:
        the same, flagged.

    Raises:
        WorkflowError: this version of Snakemake is not supported or not as expected, so nothing can be promised.
    """
    _hooks.install()
    return flag(value, FLAG)
