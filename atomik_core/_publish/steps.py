"""The steps of a publication, and who watches them; :mod:`atomik_core.testing` is the way in for users."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .step_types import Step, Watcher

#: Who is told of each step, in the order in which they came.
watchers: Final[list[Watcher]] = []


def notify(publication: object, step: Step) -> None:
    """Tell every watcher that `publication` has reached `step`."""
    for watcher in tuple(watchers):
        watcher(publication, step)
