"""The flag of an output that is published, and how such outputs are told."""

from __future__ import annotations

import os
from typing import Any, Final

from snakemake.io import is_flagged  # type: ignore[import-untyped]

#: What the flag is called, for ``--omit-flags``, too.
FLAG: Final = "atomik"

#: Outputs with these flags are no data that somebody reads later: a FIFO, a socket.
_NO_DATA: Final = ("pipe", "service")


def is_atomic(output: Any) -> bool:
    """Say whether an output (or its pattern in a rule) is flagged and can be published."""
    return (
        is_flagged(output, FLAG)
        and not any(is_flagged(output, name) for name in _NO_DATA)
        and not output.is_storage
        and str(output) != os.devnull
    )
