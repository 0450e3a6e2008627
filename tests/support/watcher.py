"""A reader in a process of its own that never stops looking at one path, and tells every state that it saw."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from support.processes import Program


class Watcher:
    """Looks at PATH in a tight loop while the block runs; afterwards says what it saw there.

    To be compared with `support.state.state(path)`, taken when it is known what is there. USER is as for `Program`.
    """

    def __init__(self, path: Path, *, user: int | None = None) -> None:
        self._path = path
        self._user = user
        #: The states seen, each time that it changed; and how often the watcher looked.
        self.history: list[str] = []
        self.looks = 0

    @property
    def states(self) -> set[str]:
        """The different states that were seen."""
        return set(self.history)

    def __enter__(self) -> Self:
        """Start looking: the first look has been taken when the block begins."""
        source = "from support.state import watch; watch()"
        with ExitStack() as stack:
            program = Program(source, os.path.abspath(self._path), user=self._user)
            self._program = stack.enter_context(program)
            self._program.line()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking, and learn what was seen."""
        with self._stack:
            finished = self._program.finish()
        assert finished.code == 0, finished
        self.looks, self.history = json.loads(finished.out)
