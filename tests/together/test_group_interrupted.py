"""Ctrl-C at every line of Python at the end of a group, also where no system call is near."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager

import pytest

import atomik
from support.watch import no_leaks
from together.faults import Run
from together.outputs import OUTPUTS, add

#: The modules that the end of a group goes through.
MODULES = (
    "_publish/transaction.py",
    "_publish/entry.py",
    "_publish/content.py",
    "_publish/staging.py",
    "_publish/placing.py",
    "_publish/destination.py",
    "_publish/backup.py",
)


class Interrupter:
    """Raises KeyboardInterrupt as the line is entered that is the NUMBER-th of those modules, in the block."""

    def __init__(self, number: int) -> None:
        self.left = number

    @contextmanager
    def at_work(self):
        """Count lines, and raise when it is time."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame, event, _):
        return self._line if frame.f_code.co_filename.endswith(MODULES) else None

    def _line(self, frame, event, _):
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self._line


@pytest.mark.slow
@pytest.mark.leaves_litter
@pytest.mark.parametrize("run", [Run(overwrite=False), Run(overwrite=True), Run(overwrite=True, backup=True)], ids=str)
def test_interrupted_at_each_line(tmp_path, request, run):
    """All or none is published, the group says which, nothing is lost, and a cleaner removes what is left."""
    outcomes = []
    request.addfinalizer(gc.unfreeze)
    gc.freeze()  # so that collecting is quick
    while True:
        here = tmp_path / str(len(outcomes))
        here.mkdir()
        run.lay(here)
        interrupter = Interrupter(len(outcomes) + 1)
        group = atomik.group(sync="off")
        with no_leaks():
            for name, shape in OUTPUTS.items():
                options = {"backup": here / f"{name}.before"} if run.backup else {}
                add(group, shape, here / name, overwrite=run.overwrite, **options)
            try:
                with interrupter.at_work():
                    group.publish()
            except KeyboardInterrupt:
                pass
            state = group.state
            group.discard()  # as its block would, if it was not at its end
            group = None
            gc.collect()

        versions = run.read(here)
        assert versions == (["new"] if state == "published" else [run.before]) * 4, interrupter.left
        atomik.clean(here)
        assert run.read(here) == versions
        for name, found in run.olds(here).items() if run.backup else ():
            assert "old" in found, f"the old version of {name} is nowhere"
        outcomes.append(state)
        if interrupter.left > 0:
            break
    assert outcomes[0] == "new"  # at the first line nothing has begun
    assert {"discarded", "published"} <= set(outcomes)
