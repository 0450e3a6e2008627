"""The names of the steps of a publication; apart, since who publishes does not import typing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

#: The steps, in their order; `discarded` takes the place of those from `published` on.
Step: TypeAlias = Literal["opened", "sealed", "synced", "published", "durable", "tidied", "discarded"]
#: Called with a publication and the step that it has reached.
Watcher: TypeAlias = Callable[[Any, Step], object]
