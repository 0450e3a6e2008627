"""What Atomik finds through the entry point: importing this module imports nothing of pytest."""

import atomik


@atomik.hookimpl
def atomik_integration() -> atomik.Integration:
    """Describe this integration."""
    return atomik.Integration(
        name="pytest",
        summary="The fixture atomic_tmp, with which tests prove that code is crash-safe.",
        requires="pytest>=7",
    )
