"""What Atomik finds through the entry point: importing this module imports nothing of pytest."""

import atomik


@atomik.hookimpl
def atomik_integration() -> atomik.Integration:
    """Describe this integration."""
    return atomik.Integration(
        name="pytest",
        summary="The fixtures atomic_tmp, to prove that code is crash-safe, and atomic_tmp_factory, to build test data once.",
        requires="pytest>=7",
    )
