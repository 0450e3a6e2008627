"""How a plugin is described: by itself, and by what has become of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Status: TypeAlias = Literal["active", "disabled", "broken", "shadowed"]


@dataclass(frozen=True, slots=True)
class Integration:
    """What an integration says of itself.

    Attributes:
        name: what it is called, such as ``"luigi"``.
        summary: one sentence: what it does.
        requires: the host that it works with, as a requirement, such as ``"luigi>=3.5"``; empty if there is none.
    """

    name: str
    summary: str
    requires: str = ""


class Plugin(NamedTuple):
    """What is known of an installed plugin.

    Attributes:
        name: the name of its entry point.
        status: ``"active"``; ``"disabled"`` by ATOMIK_DISABLE_PLUGINS; ``"broken"``: it cannot be loaded, and is not
            used; ``"shadowed"``: another distribution, earlier on `sys.path`, has a plugin of this name, which is used.
        distribution: the distribution that it is in.
        version: the version of that distribution.
        hooks: the hooks that it implements, sorted; empty if it was not loaded.
        error: what is wrong with it, or why it is not used; None if it is active.
        integration: its description of itself; None if it has none.
    """

    name: str
    status: Status
    distribution: str
    version: str
    hooks: tuple[str, ...]
    error: str | None
    integration: Integration | None
