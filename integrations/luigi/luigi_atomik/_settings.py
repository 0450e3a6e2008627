"""The section ``[atomik]`` of luigi.cfg: what holds for all targets that do not say otherwise.

[atomik]
install = true       # every luigi.LocalTarget is atomic, as after luigi_atomik.install()
sync = normal        # full, normal or off
overwrite = false    # true or false
"""

from __future__ import annotations

import os
from typing import Any, Final

from luigi.configuration import get_config

from atomik import Sync

from ._parents import LEVELS, level_of

_SECTION: Final = "atomik"


def settings(overwrite: bool | None, sync: Sync | None) -> tuple[bool | None, Sync | None]:
    """Return what a target is to have that is given these.

    Raises:
        ValueError: `sync` is no level, or the section says something that cannot be understood.
    """
    level_of(sync)
    config = get_config()
    if sync is None and not os.environ.get("ATOMIK_SYNC") and config.has_option(_SECTION, "sync"):
        sync = config.get(_SECTION, "sync")
        if sync not in LEVELS:
            msg = f"sync = {sync} in the section [atomik] of Luigi's configuration: it takes {', '.join(LEVELS)}"
            raise ValueError(msg)
    if overwrite is None and config.has_option(_SECTION, "overwrite"):
        overwrite = _boolean(config, "overwrite")
    return overwrite, sync


def wants_install() -> bool:
    """Say whether the section asks for every luigi.LocalTarget to be atomic.

    Raises:
        ValueError: it says something that cannot be understood.
    """
    config = get_config()
    return config.has_option(_SECTION, "install") and _boolean(config, "install")


def _boolean(config: Any, option: str) -> bool:
    try:
        return bool(config.getboolean(_SECTION, option))
    except ValueError:
        msg = f"{option} = {config.get(_SECTION, option)} in the section [atomik] of Luigi's configuration: it takes true or false"
        raise ValueError(msg) from None
