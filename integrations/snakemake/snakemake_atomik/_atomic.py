"""`atomic`: the flag, as a workflow uses it."""

from __future__ import annotations

from typing import Any

from snakemake.io import flag  # type: ignore[import-untyped]

from . import _hooks
from ._flag import FLAG


def atomic(value: Any) -> Any:
    """Flag an output, or several: there whole when its job has succeeded, or not at all.

    To be used as Snakemake's own flags are, around or inside of them: ``atomic("a.bam")``, ``atomic(directory("parts"))``,
    ``temp(atomic("t"))``; or as ``outputflags: atomic`` for every output of a Snakefile (snakemake >= 9.1). The job makes
    each output at a staged path, which `{output}` names; all of them are published when the job has made all of them. What
    was there before stays until then, and stays if the job fails or is killed. ``pipe()``, ``service()`` and outputs in a
    remote storage are left alone.

    Args:
        value: a path, or what a flag of Snakemake, ``expand`` or ``multiext`` gives.

    Returns:
        the same, flagged.

    Raises:
        WorkflowError: this Snakemake is not as it is known here, so that nothing can be promised.
    """
    _hooks.install()
    return flag(value, FLAG)
