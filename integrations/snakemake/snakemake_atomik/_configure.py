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
    """Set how outputs are published, for all of them, from now on. Call it in the Snakefile, which cluster jobs read, too.

    An argument that is None leaves the choice to the profile (``logger: atomik`` and its options), then to the environment.

    Args:
        sync: what a power cut may take: ``"full"``: nothing; ``"normal"``: the newest version; ``"off"``: anything. In the
            environment ATOMIK_SYNC; ``"full"`` if nothing says otherwise.
        tmp_dir: a directory to stage in, such as a node's own fast disk; made if it is missing. If it is on another
            filesystem, each finished output is copied beside its destination before it is published. In the environment
            ATOMIK_SNAKEMAKE_TMP_DIR; ``.snakemake/atomik`` in the working directory if nothing says otherwise.
        all_outputs: every output of every rule from here on is atomic, flagged or not, in modules, too. In the environment
            ATOMIK_SNAKEMAKE_ALL_OUTPUTS=1.
        strict: it is an error, not a warning, if a flagged output cannot be staged or was written to directly. In the
            environment ATOMIK_SNAKEMAKE_STRICT=1.

    Raises:
        ValueError: `sync` is none of these words.
        WorkflowError: `all_outputs` is True, and this version of Snakemake is not supported or not as expected.
    """
    _settings.apply_configured(
        _settings.Settings(sync, None if tmp_dir is None else os.fspath(tmp_dir), all_outputs, strict)
    )
    if all_outputs:
        # Here, and not when the module is imported: it needs no Snakemake before.
        from . import _hooks

        _hooks.install()
