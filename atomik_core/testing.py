"""The seam through which each step of a publication can be watched, failed or died at.

For tests of code that publishes (pytest-atomik's `atomic_tmp` is built on it). It costs one comparison when unused.

A step is reached when what it names has been done. An error that a watcher raises there counts as the failure of what
comes next:

==========  =====================================================  ==========================================
step        what has happened                                      an OSError raised there is a failure of
==========  =====================================================  ==========================================
opened      staged; the block begins                               opening: the block does not begin
sealed      the block has ended, the content is complete           the sync of the content: discarded
synced      the content is durable (or need not be)                publishing itself: rename, link, exchange
published   the new version is visible                             the sync of the directory: NotDurableError
durable     the directory is synced, too (or need not be)          nothing: it is raised, all else is done
tidied      the old version and every staging name are gone        nothing: it is raised, all else is done
discarded   nothing was published, and nothing is left             nothing: it becomes a note of the error
==========  =====================================================  ==========================================

Writing is no step, since it happens any number of times; `before_writes` is told of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ._plugins import hooks
from ._publish.publication import Publication
from ._publish.step_types import Step, Watcher
from ._publish.steps import watchers

__all__ = ["Step", "Watcher", "before_writes", "plugins", "watchers", "watching"]


@contextlib.contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Call ``watcher(publication, step)`` at every step of every publication of this process, within the block.

    What it raises is raised at that point of the publication.
    """
    watchers.append(watcher)
    try:
        yield
    finally:
        watchers.remove(watcher)


@contextlib.contextmanager
def plugins(*given: object) -> Iterator[None]:
    """Let these, and none that is installed, be Atomik's plugins within the block: for a plugin's own tests.

    Args:
        given: modules or objects with functions or methods that are marked with :func:`atomik.hookimpl`; the later ones are
            called first, as with those that are installed. None at all: no plugin is called.

    What is installed is not imported. The block holds for the whole process, not only for its own thread;
    :func:`atomik.plugins` tells of these plugins, too.

    Raises:
        pluggy.PluginValidationError: one of them would never be called, or is not to be: a hook is unknown or unmarked, an
            argument wrong.
    """
    with hooks.replaced(given):
        yield


def before_writes(publication: Publication[Any], call: Callable[[], object]) -> bool:
    """Have ``call()`` called before each write to the file that `publication` has opened; what it raises fails the write.

    A write is what the file passes on to the kernel: usually several of the caller's, gathered in its buffer, the last of
    them when the publication is sealed. What another process, or :func:`os.write`, writes is not seen.

    Args:
        publication: one that is open, such as a watcher gets with "opened".
        call: the only one: it takes the place of the one before. It must not refer to `publication`, which could
            otherwise not be collected.

    Returns:
        False if it has no file that is written through it: a folder, or a path.
    """
    return publication._call_before_writes(call)
