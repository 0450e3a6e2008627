"""What a plugin can implement, and the marker to say so with: ``@atomik.hookimpl``.

A plugin implements any of these hooks, each with those arguments that it needs, by their names. Wrappers are refused: no
plugin may change what another one says.
"""

from __future__ import annotations

from typing import Any, Final

import pluggy

from ._plugins.described import Integration
from ._publish.publication import Publication

PROJECT: Final = "atomik"

hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks a plugin's functions as implementations of the hooks below.
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def atomik_integration() -> Integration:
    """Describe the integration, for :func:`atomik.plugins`. Import nothing heavy, neither the host nor its libraries."""
    raise NotImplementedError  # pragma: no cover - a specification is never called


@hookspec
def atomik_before_publish(publication: Publication[Any]) -> None:
    """The content is complete, but neither synced nor visible yet.

    It can be read at ``publication.staged``; ``publication.kind`` says whether that is a file or a folder. A folder may
    be added to: what is added becomes visible and durable in the same instant as the rest. A file must not be written to.

    To veto, raise any exception: nothing is published, and the caller gets the exception unchanged. The plugins that would
    be called later are then not called.
    """


@hookspec
def atomik_after_publish(publication: Publication[Any]) -> None:
    """The content is visible at ``publication.destination``, and as durable as its ``sync`` says.

    Nothing can be undone from here: an exception is logged, and the other plugins are called all the same.
    """


@hookspec
def atomik_discarded(publication: Publication[Any], error: BaseException | None) -> None:
    """Nothing was published, and everything staged is gone.

    Args:
        publication: the one that has ended.
        error: the exception that ended it; None if `discard` was called, or nobody finished the publication.

    An exception is logged, and the other plugins are called all the same.
    """
