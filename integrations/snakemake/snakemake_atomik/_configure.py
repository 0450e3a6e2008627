"""`configure`: the settings, as a workflow says them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _settings

if TYPE_CHECKING:
    from pathlib import Path

    from atomik import Sync


def configure(
    *,
    sync: Sync | None = None,
    tmp_dir: str | Path | None = None,
    all_outputs: bool | None = None,
    strict: bool | None = None,
) -> None:
    """Set how outputs are published, for all of them, from now on; in the Snakefile, so that cluster jobs know it, too.

    What is None is what the profile says (``logger: atomik`` and its options), else the environment.

    Args:
        sync: what a power cut may take: ``"full"`` nothing, ``"normal"`` the newest version, ``"off"`` anything. In the
            environment ATOMIK_SYNC; ``"full"`` if nobody says.
        tmp_dir: a directory to stage in, such as a node's own fast disk; made if it is missing. From another filesystem
            the finished output is copied beside its destination before it is published. In the environment
            ATOMIK_SNAKEMAKE_TMP_DIR; ``.snakemake/atomik`` in the working directory if nobody says.
        all_outputs: every output of every rule from here on is atomic, flagged or not, in modules, too. In the environment
            ATOMIK_SNAKEMAKE_ALL_OUTPUTS=1.
        strict: an output that is flagged and yet cannot be staged, or was written to directly, is an error, not a warning.
            In the environment ATOMIK_SNAKEMAKE_STRICT=1.

    Raises:
        ValueError: `sync` is none of these words.
        WorkflowError: `all_outputs` is True, and this Snakemake is not as it is known here.
    """
    _settings.apply_configured(
        _settings.Settings(sync, None if tmp_dir is None else os.fspath(tmp_dir), all_outputs, strict)
    )
    if all_outputs:
        # Here, and not when the module is imported: it needs no Snakemake before.
        from . import _hooks

        _hooks.install()
