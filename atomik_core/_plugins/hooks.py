"""The hooks of the installed plugins, called at three points of each publication.

Where no plugin wants to be called, each of these is one comparison. To know that takes, once in a process, a look at
the installed distributions; neither pluggy nor importlib.metadata is imported for it, nor a plugin that only describes
itself.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Final, Literal

    import pluggy

    from .described import Plugin
    from .registry import Entry, Registry

_in_hook: Final[ContextVar[bool]] = ContextVar("atomik_in_hook", default=False)

#: What is installed; None until somebody asks.
_registry: Registry | None = None
#: What to call: None until the first publication, False if there is nobody to call.
_hooks: pluggy.HookRelay | Literal[False] | None = None


def plugins() -> list[Plugin]:
    """Return every plugin that an installed distribution declares (entry-point group ``atomik``), and its state.

    All are imported for this, except what is disabled or shadowed. A broken one raises nothing here: it says what is
    wrong in its `error`.

    The environment variable ATOMIK_DISABLE_PLUGINS, names of plugins or distributions with commas between them or
    ``*``, is read before anything is imported, once in a process.
    """
    return [entry.described() for entry in _installed().entries]


def load() -> None:
    """Load the plugins, unless that was done before: for a publication to call before anything is staged.

    Raises:
        ImportError: a plugin is broken, or another one takes its name, and ATOMIK_STRICT_PLUGINS is set; where it is not,
            that is logged, once.
    """
    global _hooks  # noqa: PLW0603 - a process has its plugins once
    # A plugin that publishes while it is imported is not to be waited for.
    if _hooks is None and not _in_hook.get():
        registry = _installed()
        for entry in registry.entries:
            if entry.status in {"broken", "shadowed"}:
                _report(entry)
        _hooks = registry.hooks or False


def are_called() -> bool:
    """Say whether any plugin wants to be called, as far as is known without asking."""
    return _hooks is not False


def before_publish(publication: object) -> None:
    """Ask the plugins about a publication whose content is complete; what one of them raises is a veto."""
    if hooks := _active_hooks():
        with hooks_suppressed():
            hooks.atomik_before_publish(publication=publication)


def after_publish(publication: object) -> None:
    """Tell the plugins of a publication that is visible, and durable if that was asked for.

    Raises:
        Exception: what a plugin raised, if ATOMIK_STRICT_PLUGINS is set; where it is not, that is logged.
    """
    if hooks := _active_hooks():
        trouble = _call_observers(hooks.atomik_after_publish, {"publication": publication})
        if trouble is not None:
            raise trouble


def discarded(publication: object, error: BaseException | None) -> None:
    """Tell the plugins of a publication that came to nothing, because of `error` or by the caller's wish.

    Raises:
        Exception: what a plugin raised, if ATOMIK_STRICT_PLUGINS is set, and there is no `error` to be told instead, of
            which it then becomes a note; where it is not set, that is logged.
    """
    if hooks := _active_hooks():
        trouble = _call_observers(hooks.atomik_discarded, {"publication": publication, "error": error})
        if trouble is not None and error is not None:
            error.add_note(f"atomik: a plugin's atomik_discarded raised {trouble!r}")
        elif trouble is not None:
            raise trouble


class replaced:  # noqa: N801 - used like a function, as hooks_suppressed is
    """Let these, and none that is installed, be the plugins within the block (see `testing.plugins`)."""

    __slots__ = ("_before", "_given")

    def __init__(self, given: Sequence[object]) -> None:
        self._given = given

    def __enter__(self) -> None:
        global _registry, _hooks
        from .registry import Registry

        self._before = _registry, _hooks
        registry = Registry.of(self._given)
        _registry, _hooks = registry, registry.hooks or False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        global _registry, _hooks
        _registry, _hooks = self._before


def _active_hooks() -> pluggy.HookRelay | Literal[False] | None:
    """Return what to call; nothing for a publication that is made inside a hook."""
    if _in_hook.get():
        return None
    load()
    return _hooks


def _installed() -> Registry:
    global _registry  # noqa: PLW0603 - a process has its plugins once
    if _registry is None:
        from .registry import Registry

        # No lock: a thread that waits here could hold the import lock that the plugin's own import needs. Two threads
        # that come at once load the same modules, and the last one's registry is the one that both go by.
        with hooks_suppressed():
            _registry = Registry()
    return _registry


class hooks_suppressed:  # noqa: N801 - used like a function; contextlib costs more than a publication to import
    """Call no hooks for what is published within the block: a hook that publishes would never end."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _in_hook.set(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        _in_hook.reset(self._token)


def _call_observers(hook: pluggy.HookCaller, arguments: dict[str, object]) -> Exception | None:
    """Call every implementation, whatever those before it raised; each error is logged.

    Returns:
        the first error instead, if ATOMIK_STRICT_PLUGINS is set.
    """
    first: Exception | None = None
    for implementation in reversed(hook.get_hookimpls()):
        try:
            with hooks_suppressed():
                implementation.function(*(arguments[name] for name in implementation.argnames))
        except Exception as error:  # noqa: BLE001 - no plugin fails what is published or discarded already
            first = first or error
            if not is_strict():
                _log(f"the plugin {implementation.plugin_name!r} raised in {hook.name}, which changes nothing", error)
    return first if is_strict() else None


def _report(entry: Entry) -> None:
    msg = f"{entry} is {entry.status} and not used: {entry.reason}"
    if is_strict():
        remedy = "repair it, remove it, or disable it"
        if entry.status == "shadowed":
            remedy = "disable one of the two distributions"
        msg += f"; ATOMIK_STRICT_PLUGINS forbids to go on without it: {remedy}"
        raise ImportError(msg) from (entry.trouble if isinstance(entry.trouble, BaseException) else None)
    _log(msg, entry.trouble)


def is_strict() -> bool:
    """Say whether a plugin's trouble is raised instead of logged."""
    return os.environ.get("ATOMIK_STRICT_PLUGINS", "") not in {"", "0"}


def _log(message: str, error: object) -> None:
    # Never a warning: under -W error that would be an exception.
    import logging

    logging.getLogger("atomik").error(message, exc_info=error if isinstance(error, BaseException) else None)
