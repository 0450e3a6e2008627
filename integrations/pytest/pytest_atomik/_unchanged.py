"""A block that must leave a directory as it was."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pytest

from . import _tree


class Unchanged:
    """Compares, in a ``with``, what is in `path` afterwards with what was in it before; the test fails if that differs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: What it is asked for by, for the message if nobody enters it.
        self.call = "atomic_tmp.unchanged()"
        self.was_used = False

    def __enter__(self) -> None:
        self.was_used = True
        self._before = _tree.contents(self._path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        __tracebackhide__ = True
        if error is not None and not isinstance(error, Exception):
            return  # a test that is skipped or has failed, a run that is ended
        # Looked at after an error, too: it is expected in the with statement around this one.
        found = _tree.differences(self._before, _tree.contents(self._path))
        if found:
            msg = "\n  ".join(["atomic_tmp.unchanged(): it has changed:", *found])
            raise pytest.fail.Exception(msg) from error
