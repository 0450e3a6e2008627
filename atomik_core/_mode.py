"""`atomik.Mode`: the modes that most files are written in."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """The two modes that most files are written in; write every other mode of :func:`open` as a string.

    ``Mode("TEXT")`` and ``Mode("BYTES")``, with the values of atomik 0.0.x, are accepted, too.
    """

    TEXT = "w"
    BYTES = "wb"

    @classmethod
    def _missing_(cls, value: object) -> Mode | None:
        return cls.__members__.get(value) if isinstance(value, str) else None
