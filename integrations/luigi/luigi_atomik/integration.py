"""What Atomik finds through the entry point: importing this module imports nothing of Luigi."""

import atomik


@atomik.hookimpl
def atomik_integration() -> atomik.Integration:
    """Describe this integration."""
    return atomik.Integration(
        name="luigi",
        summary="Luigi targets that are there whole or not at all: AtomicLocalTarget, AtomicOutputs.",
        requires="luigi>=3.5",
    )
