"""The seam at which a test can watch each step of a publication, make it fail, or kill the process.

It is for tests of code that publishes (pytest-atomik's `atomic_tmp` is built on it), and costs one comparison when unused.

A step is reached when what it names has been done. An error that a watcher raises there counts as a failure of what
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

Writing is not a step, since it happens any number of times; use `before_writes` to watch it.
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
    """Within the block, call ``watcher(publication, step)`` at every step of every publication of this process.

    If the watcher raises an exception, that is raised at that point of the publication.
    """
    watchers.append(watcher)
    try:
        yield
    finally:
        watchers.remove(watcher)


@contextlib.contextmanager
def plugins(*given: object) -> Iterator[None]:
    """Within the block, use these plugins and none of the installed ones: for a plugin's own tests.

    Args:
        given: modules or objects with functions or methods that are marked with :func:`atomik.hookimpl`; the later ones are
            called first, as with installed plugins. If none is given, no plugin is called.

    Installed plugins are not imported. The block affects the whole process, not only its own thread, and
    :func:`atomik.plugins` lists these plugins, too.

    Raises:
        pluggy.PluginValidationError: one of them would never be called, or must not be: a hook is unknown or unmarked, or an
            argument is wrong.
    """
    with hooks.replaced(given):
        yield


def before_writes(publication: Publication[Any], call: Callable[[], object]) -> bool:
    """Call ``call()`` before each write to the file that `publication` has opened; what it raises makes the write fail.

    A write is what the file passes on to the kernel: usually several of the caller's writes, gathered in its buffer. The last
    one comes when the publication is sealed. What another process, or :func:`os.write`, writes is not seen.

    Args:
        publication: one that is open, such as a watcher gets with "opened".
        call: the function; a publication has only one, and it takes the place of an earlier one. It must not refer to
            `publication`, which otherwise could not be garbage-collected.

    Returns:
        False if the publication has no file to write to: it is a folder, or a path.
    """
    return publication._call_before_writes(call)
