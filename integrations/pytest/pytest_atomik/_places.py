"""Where a run's builds are, in each of its processes. It is imported by each run of xdist, used or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

#: In the cache directory, where builds are kept; in the run's base directory, where all else is.
_KEPT: Final = "atomik"
_RUN_DIRECTORY: Final = "atomic_tmp_factory"
#: In the run's directory: what its processes have noted. It is there if the fixture was used.
EVENTS: Final = "events"
#: What the controller of xdist gives its workers under this name.
_WORKERINPUT_KEY: Final = "atomic_tmp_factory"


class Places(NamedTuple):
    """Where a run's builds are.

    Attributes:
        run: the folder of this run.
        kept: the folder in which builds are kept between runs; None if there is none.
    """

    run: Path
    kept: Path | None


def kept_directory(config: pytest.Config) -> Path | None:
    """Return where builds are kept, whether it is there or not; None without pytest's cache."""
    try:
        setting = str(config.getini("cache_dir"))
    except ValueError:  # -p no:cacheprovider
        return None
    return config.rootpath / os.path.expandvars(os.path.expanduser(setting)) / _KEPT


def configure_worker(node: Any) -> Places | None:
    """Give a worker the controller's places; one on another machine has places of its own: None."""
    config: pytest.Config = node.config
    factory = getattr(config, "_tmp_path_factory", None)  # as xdist finds its workers' base directories
    if factory is None or not node.gateway.spec.popen:
        node.workerinput[_WORKERINPUT_KEY] = None
        return None
    places = _places_in(factory.getbasetemp(), config)
    node.workerinput[_WORKERINPUT_KEY] = [str(places.run), None if places.kept is None else str(places.kept)]
    return places


def places_here(request: pytest.FixtureRequest) -> Places:
    """Return the places of this process: the controller's, if that has given it some."""
    config = request.config
    given = getattr(config, "workerinput", {}).get(_WORKERINPUT_KEY)
    if given is not None:
        run, kept = given
        return Places(Path(run), None if kept is None else Path(kept))
    places = _places_in(request.getfixturevalue("tmp_path_factory").getbasetemp(), config)
    # On another machine no controller would ever remove anything.
    return places._replace(kept=None) if hasattr(config, "workerinput") else places


def _places_in(basetemp: Path, config: pytest.Config) -> Places:
    return Places(basetemp / _RUN_DIRECTORY, kept_directory(config))
