"""What Atomik finds through the entry point: importing this module imports nothing of Snakemake."""

import atomik

from . import _supported


@atomik.hookimpl
def atomik_integration() -> atomik.Integration:
    """Describe this integration."""
    return atomik.Integration(
        name="snakemake",
        summary="Outputs of Snakemake jobs that are there whole or not at all: atomic().",
        requires=_supported.requirement(),
    )
