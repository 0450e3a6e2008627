"""`atomic`: the flag of an output that is published, and how such outputs are told."""

from __future__ import annotations

import os
from typing import Any, Final

from snakemake.io import flag, is_flagged  # type: ignore[import-untyped]

#: What the flag is called, for ``--omit-flags``, too.
FLAG: Final = "atomik"

#: Outputs with these flags are no data that somebody reads later: a FIFO, a socket.
_NO_DATA: Final = ("pipe", "service")


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
    # Here, and not when the module is imported: who only looks for the name patches nothing.
    from . import _hooks

    _hooks.install()
    return flag(value, FLAG)


def is_atomic(output: Any) -> bool:
    """Say whether an output (or its pattern in a rule) is flagged and can be published."""
    return (
        is_flagged(output, FLAG)
        and not any(is_flagged(output, name) for name in _NO_DATA)
        and not output.is_storage
        and str(output) != os.devnull
    )
