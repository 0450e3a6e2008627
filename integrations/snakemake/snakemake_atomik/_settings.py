"""`configure`: how durable, and where things are staged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from atomik import Sync

#: The environment variable that names a directory to stage in; `sync` has the core's own, ATOMIK_SYNC.
TMP_DIR: Final = "ATOMIK_SNAKEMAKE_TMP_DIR"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `configure` was told.

    Attributes:
        sync: as for :func:`atomik.file`; None: what ATOMIK_SYNC says, else ``"full"``.
        chosen_tmp_dir: the directory to stage in; None: what ATOMIK_SNAKEMAKE_TMP_DIR says, else the workflow's own.
    """

    sync: Sync | None = None
    chosen_tmp_dir: str | None = None

    @property
    def tmp_dir(self) -> str | None:
        """The directory that the user wants things staged in, absolute; None for ``.snakemake/atomik``."""
        chosen = self.chosen_tmp_dir or os.environ.get(TMP_DIR)
        return os.path.abspath(chosen) if chosen else None


_current = Settings()


def current() -> Settings:
    """Return the settings as they are now."""
    return _current


def configure(*, sync: Sync | None = None, tmp_dir: str | Path | None = None) -> None:
    """Set how outputs are published, for all of them, from now on; in the Snakefile, so that cluster jobs know it, too.

    Args:
        sync: what a power cut may take: ``"full"`` nothing, ``"normal"`` the newest version, ``"off"`` anything. None: what
            the environment variable ATOMIK_SYNC says, else ``"full"``.
        tmp_dir: a directory to stage in, such as a node's own fast disk; made if it is missing. From another filesystem
            the finished output is copied beside its destination before it is published. None: what the environment
            variable ATOMIK_SNAKEMAKE_TMP_DIR says, else ``.snakemake/atomik`` in the working directory.

    Raises:
        ValueError: `sync` is none of these words.
    """
    if sync not in {None, "full", "normal", "off"}:
        msg = f"sync is {sync!r}; it takes 'full', 'normal' and 'off'"
        raise ValueError(msg)
    global _current  # noqa: PLW0603 - the settings of the process are one value, replaced as a whole
    _current = Settings(sync, None if tmp_dir is None else os.fspath(tmp_dir))
