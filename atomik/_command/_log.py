"""What the library logs, such as a broken plugin, as lines of the command: without a traceback."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from ._format import printable


def print_in_one_line() -> None:
    """Print what is logged on standard error; `logging` is imported only by the first who needs it, mostly nobody."""
    if "logging" in sys.modules:
        _configure(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds `logging`, so that it is configured as soon as it is imported."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_configure(module: ModuleType) -> None:
                execute(module)
                _configure(module)

            spec.loader.exec_module = execute_and_configure  # type: ignore[method-assign]
        return spec


def _configure(logging: Any) -> None:
    class OneLine(logging.Formatter):  # type: ignore[misc]
        def format(self, record: Any) -> str:
            return f"atomik: {printable(' '.join(record.getMessage().split()))}"

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logger = logging.getLogger("atomik")
    logger.addHandler(handler)
    logger.propagate = False
