"""`atomik.Mode`: the modes that most files are written in."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """The two modes that most files are written in; every other mode of :func:`open` that writes is a string."""

    TEXT = "w"
    BYTES = "wb"
