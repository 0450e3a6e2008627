"""`atomik.Sync`: the words for how much a power cut may take."""

from __future__ import annotations

from typing import Literal, TypeAlias

#: SQLite's words: nothing, the newest version, anything.
Sync: TypeAlias = Literal["full", "normal", "off"]
