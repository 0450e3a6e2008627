"""Which plugins there are, and what has become of each: disabled, shadowed, broken or active."""

from __future__ import annotations

import os

from .discovery import declared, normalized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, Self

    import pluggy

    from .described import Integration, Plugin, Status
    from .discovery import Declaration

#: Imported by their names: they speak of publications, which this knows nothing of.
_SPECIFICATIONS: Final = "atomik_core.hookspecs"

#: An entry point of this attribute only describes: it is imported for `plugins`, never for a publication.
_DESCRIPTION: Final = "atomik_integration"

#: What importing a plugin may raise without ending the process that publishes.
_TROUBLE: Final = (Exception, SystemExit)


class Entry:
    """A declared plugin, and what has become of it in this process."""

    __slots__ = ("distribution", "hooks", "name", "plugin", "status", "trouble", "value", "version")

    def __init__(self, declaration: Declaration) -> None:
        self.name, self.value, self.distribution, self.version = declaration
        self.status: Status = "active"
        self.plugin: object = None
        self.hooks: dict[str, Any] = {}
        self.trouble: BaseException | str | None = None

    def __str__(self) -> str:
        return f"the plugin {self.name!r} of {self.distribution} {self.version}"

    @property
    def only_describes(self) -> bool:
        """Whether its entry point says that there is nothing in it for a publication to call."""
        return self.value.endswith(f":{_DESCRIPTION}")

    @property
    def reason(self) -> str | None:
        """What is wrong with it, or why it is not used, in one line."""
        if isinstance(self.trouble, BaseException):
            return " ".join(f"{type(self.trouble).__name__}: {self.trouble}".split())
        return self.trouble

    def load(self, manager: pluggy.PluginManager) -> None:
        """Import it and register its hooks."""
        try:
            self.plugin = _resolve(self.value)
            self.hooks = _hooks_of(self.plugin, manager)
            manager.register(self.plugin, self.name)
        except _TROUBLE as error:
            self.status, self.trouble, self.hooks = "broken", error, {}
            if manager.has_plugin(self.name):
                # pluggy has added the hooks that came before the wrong one.
                manager.unregister(name=self.name)

    def described(self) -> Plugin:
        """Return what is known of it, with what it says of itself."""
        from .described import Plugin

        status, reason, integration = self.status, self.reason, None
        hooks = dict(self.hooks)
        try:
            if status == "active" and self.only_describes:
                hooks[_DESCRIPTION] = _resolve(self.value)
            if _DESCRIPTION in hooks:
                integration = _integration(hooks[_DESCRIPTION]())
        except _TROUBLE as error:
            status, reason = "broken", f"{type(error).__name__}: {error}"
        return Plugin(self.name, status, self.distribution, self.version, tuple(sorted(hooks)), reason, integration)


class Registry:
    """Every declared plugin, those with hooks loaded.

    Attributes:
        entries: in the order of sys.path.
        hooks: what to call; None if nobody is to be called. pluggy is imported only if somebody might.
    """

    __slots__ = ("entries", "hooks")

    def __init__(self) -> None:
        self.entries = [Entry(declaration) for declaration in declared()]
        self.hooks: pluggy.HookRelay | None = None
        self._set_aside()
        loadable = [entry for entry in self.entries if entry.status == "active" and not entry.only_describes]
        if loadable:
            manager = _manager()
            for entry in loadable:
                entry.load(manager)
            self._use(manager)

    @classmethod
    def of(cls, plugins: Iterable[object]) -> Self:
        """Return a registry of plugins that are not installed.

        Raises:
            pluggy.PluginValidationError: one of them would never be called, or is not to be.
        """
        registry = cls.__new__(cls)
        registry.entries, registry.hooks = [], None
        manager = _manager()
        for number, plugin in enumerate(plugins, 1):
            name = getattr(plugin, "__name__", None) or f"{type(plugin).__name__} {number}"
            entry = Entry((name, "", "(not installed)", ""))
            entry.plugin, entry.hooks = plugin, _hooks_of(plugin, manager)
            manager.register(plugin, f"{name} {number}")
            registry.entries.append(entry)
        registry._use(manager)
        return registry

    def _use(self, manager: pluggy.PluginManager) -> None:
        """Call the hooks, if anybody wants to be called."""
        if any(set(entry.hooks) - {_DESCRIPTION} for entry in self.entries):
            self.hooks = manager.hook

    def _set_aside(self) -> None:
        """Mark what is not to be imported: what the environment disables, and whose name is taken."""
        names = (name.strip() for name in os.environ.get("ATOMIK_DISABLE_PLUGINS", "").split(","))
        unwanted = {normalized(name) for name in names if name}
        first: dict[str, Entry] = {}
        for entry in self.entries:
            name, distribution = entry.name, entry.distribution
            if unwanted & {normalized(name), normalized(distribution), "*"}:
                entry.status, entry.trouble = "disabled", "ATOMIK_DISABLE_PLUGINS names it"
            elif first.setdefault(name, entry) is not entry:
                entry.status, entry.trouble = "shadowed", f"{first[name]} comes earlier on sys.path, and is used"


def _manager() -> pluggy.PluginManager:
    """Return what knows Atomik's hooks, and as yet no plugin."""
    from importlib import import_module

    import pluggy

    specifications = import_module(_SPECIFICATIONS)
    manager = pluggy.PluginManager(specifications.PROJECT)
    manager.add_hookspecs(specifications)
    return manager


def _resolve(value: str) -> Any:
    """Import what an entry point's value names, ``module`` or ``module:attribute``."""
    from functools import reduce
    from importlib import import_module

    module, _, attributes = value.partition(":")
    return reduce(getattr, filter(None, attributes.strip().split(".")), import_module(module.strip()))


def _hooks_of(plugin: object, manager: pluggy.PluginManager) -> dict[str, Any]:
    """Return the implementations of a plugin by their hooks; pluggy itself checks their arguments, and nothing else.

    Raises:
        pluggy.PluginValidationError: it would never be called, or is not to be.
    """
    import pluggy

    known = [name for name in vars(manager.hook) if name.startswith("atomik_")]
    found: dict[str, Any] = {}
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is None:
            if name in known:
                msg = f"{name} is not marked with @atomik.hookimpl"
                raise pluggy.PluginValidationError(plugin, msg)
            continue
        hook = options["specname"] or name
        if hook not in known:
            if options["optionalhook"]:
                continue
            msg = f"there is no hook {hook!r}; there are {', '.join(known)} (@atomik.hookimpl(optionalhook=True) is let pass)"
            raise pluggy.PluginValidationError(plugin, msg)
        if options["wrapper"] or options["hookwrapper"]:
            msg = f"{name} is a wrapper, and Atomik's hooks take none: no plugin changes what another one says"
            raise pluggy.PluginValidationError(plugin, msg)
        found[hook] = getattr(plugin, name)
    if not found:
        msg = f"it implements no hook; there are {', '.join(known)}, to be marked with @atomik.hookimpl"
        raise pluggy.PluginValidationError(plugin, msg)
    return found


def _integration(answer: object) -> Integration:
    from .described import Integration

    if not isinstance(answer, Integration):
        msg = f"atomik_integration returned {answer!r}, which is no atomik.Integration"
        raise TypeError(msg)
    return answer
