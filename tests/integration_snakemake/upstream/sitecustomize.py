"""Imported by every Python of a test of Snakemake's that runs atomically: notes that a job's outputs are being staged."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType


class Finder(importlib.abc.MetaPathFinder):
    """Finds snakemake_atomik._job, once, and has its staging noted."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as Python does."""
        if name != "snakemake_atomik._job":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            choose = module._choose

            def noted(*args: object) -> object:
                chosen, unstaged = choose(*args)
                test = os.environ.get("PYTEST_CURRENT_TEST", "?").split("::")[-1].split(" (")[0]
                with open(os.environ["ATOMIK_TEST_NOTES"], "a") as notes:
                    notes.write(f"{'staged' if chosen else 'unstaged'} {test}\n")
                return chosen, unstaged

            module._choose = noted

        spec.loader.exec_module = exec_module
        return spec


if "ATOMIK_TEST_NOTES" in os.environ:
    sys.meta_path.insert(0, Finder())
