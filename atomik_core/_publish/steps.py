"""The steps of a publication, and who watches them; :mod:`atomik_core.testing` is the way in for users."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .step_types import Step, Watcher

#: Who is told of each step, in the order in which they came.
watchers: Final[list[Watcher]] = []

#: Whether a watcher is being called: what it renames or removes itself is no step of what it watches.
is_watching: Final[ContextVar[bool]] = ContextVar("atomik_is_watching", default=False)


def notify(publication: object, step: Step) -> None:
    """Tell every watcher that `publication` has reached `step`."""
    token = is_watching.set(True)
    try:
        for watcher in tuple(watchers):
            watcher(publication, step)
    finally:
        is_watching.reset(token)
