"""Which versions of Snakemake are supported: stated once, in pyproject.toml, and read from what is installed."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "snakemake-atomik"


def requirement() -> str:
    """Return what is required of Snakemake, such as ``snakemake>=8.20,<10``."""
    for required in metadata.requires(DISTRIBUTION) or ():
        if re.match(r"snakemake\b(?!-)", required):
            return required
    msg = f"{DISTRIBUTION} is installed without its requirements: install it again with pip"
    raise RuntimeError(msg)


def supports(version: str) -> bool:
    """Say whether this version of Snakemake is supported."""
    from packaging.requirements import Requirement

    return Requirement(requirement()).specifier.contains(version, prereleases=True)
