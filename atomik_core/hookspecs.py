"""What a plugin can implement, and the marker to say so with: ``@atomik.hookimpl``.

A plugin implements any of these, each with the arguments that it wants, by their names. It takes no wrappers: what one
plugin says is not for another to change.
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
    """Describe the integration, for :func:`atomik.plugins`. Import nothing heavy: not the host, not its libraries."""
    raise NotImplementedError  # pragma: no cover - a specification is never called


@hookspec
def atomik_before_publish(publication: Publication[Any]) -> None:
    """The content is complete, and neither synced nor visible yet.

    It can be read at ``publication.staged``; ``publication.kind`` says whether that is a file or a folder. A folder may
    be added to: what is added becomes visible and durable in the same instant as the rest. A file is not to be written.

    Raise anything to veto: nothing is published, and the caller gets the exception unchanged. Plugins that would come
    later are not asked any more.
    """


@hookspec
def atomik_after_publish(publication: Publication[Any]) -> None:
    """The content is visible at ``publication.destination``, and durable as far as its ``sync`` asked for it.

    Nothing can be undone from here: an exception is logged, and the other plugins are told all the same.
    """


@hookspec
def atomik_discarded(publication: Publication[Any], error: BaseException | None) -> None:
    """Nothing was published, and everything staged is gone.

    Args:
        publication: the one that has ended.
        error: the exception that ended it; None if `discard` was called, or nobody finished the publication.

    An exception is logged, and the other plugins are told all the same.
    """
