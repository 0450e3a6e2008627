"""A group that is killed, interrupted or failed at each of its system calls."""

from __future__ import annotations

import errno
import signal

import pytest

import atomik
from support.watch import litter
from together.faults import Run, changes
from together.outputs import NAMES

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]

RUNS = [Run(overwrite=False), Run(overwrite=True), Run(overwrite=True, backup=True)]


@pytest.fixture
def laid(fresh):
    """A maker of fresh folders that are laid out for a run."""

    def make(run: Run):
        folder = fresh()
        run.lay(folder)
        return folder

    return make


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_killed_at_each_call(traced, laid, run):
    """Killed with -9 at whatever call, each member is old or new, those made first are new first; and a cleaner tidies."""
    seen = set()
    calls = traced.calls(run.source, laid(run))
    for call in [*filter(changes, calls), calls[-1]]:
        folder = laid(run)
        outcome = traced.killed_at(call, run.source, folder)
        versions = run.read(folder)
        assert versions == sorted(versions, key=lambda version: version != "new"), outcome.trace
        assert versions == ["new"] * 4 or not outcome.said, outcome.trace
        seen.add(versions.count("new"))

        atomik.clean(folder)

        left = run.others(folder)
        assert run.read(folder) == versions, outcome.trace
        assert all(name.startswith("atomik-kept-") for name in left), outcome.trace
        if run.backup:
            for name, found in run.olds(folder).items():
                assert "old" in found, f"the old version of {name} is nowhere\n{outcome.trace}"
        else:
            assert left == [], outcome.trace
        run.publish_again(folder)
    assert seen == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_interrupted_at_each_call(traced, laid, run):
    """Ctrl-C at whatever call: all or none is published, no descriptor is lost, and what is left a cleaner removes."""
    seen = {run.before} if run.backup else set()
    calls = traced.calls(run.source, laid(run))
    # Up to there a backup changes nothing.
    begin = next(place for place, call in enumerate(calls) if call.name == "syncfs") if run.backup else 0
    for call in calls[begin:]:
        folder = laid(run)
        outcome = traced.signalled_at(call, signal.SIGINT, run.source, folder)
        versions = run.read(folder)
        assert versions in ([run.before] * 4, ["new"] * 4), outcome.trace
        assert outcome.raised is None or outcome.raised.types[0] == "KeyboardInterrupt", outcome.raised
        assert outcome.leaked == (), outcome.trace
        seen.add(versions[0])
        atomik.clean(folder)
        assert run.read(folder) == versions, outcome.trace
        for name, found in run.olds(folder).items() if run.backup else ():
            assert "old" in found, f"the old version of {name} is nowhere\n{outcome.trace}"
        left = run.others(folder)
        assert left == [] or (run.backup and versions[0] == "new"), f"{left}\n{outcome.trace}"
    assert seen == {run.before, "new"}


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_failed_at_each_call(traced, laid, run):
    """Whatever call fails: all or none is published, which of both the error says, and nothing is lost."""
    seen = set()
    for call in filter(changes, traced.calls(run.source, laid(run))):
        folder = laid(run)
        outcome = traced.failing_at(call, errno.EIO, run.source, folder)
        versions = run.read(folder)
        assert versions in ([run.before] * 4, ["new"] * 4), outcome.trace
        assert (outcome.raised is None) == bool(outcome.said), outcome.raised
        if versions[0] != "new":
            assert outcome.raised is not None
            assert "OSError" in outcome.raised.types, outcome.raised
        elif outcome.raised is not None:
            assert "NotDurableError" in outcome.raised.types or "Published" in outcome.raised.text, outcome.raised
        assert outcome.leaked == (), outcome.trace
        seen.add(versions[0])
        atomik.clean(folder)
        assert run.read(folder) == versions, outcome.trace
        left = [path for path in litter(folder) if path.parent == folder]
        assert all(path.name in str(outcome.raised) for path in left), f"{left}\n{outcome.raised}"
        for name, found in run.olds(folder).items() if run.backup else ():
            assert "old" in found, f"the old version of {name} is nowhere\n{outcome.trace}"
        run.publish_again(folder)
    assert seen == {run.before, "new"}


@pytest.mark.parametrize("number", range(4), ids=NAMES)
def test_rollback_that_fails(traced, laid, number):
    """If taking back fails, too, the error has a note that names the member; the rest is taken back, nothing is torn."""
    run = Run(overwrite=True)
    calls = [call for call in traced.calls(run.source, laid(run)) if call.name == "renameat2"]
    exchange = [call for call in calls if "RENAME_EXCHANGE" in call.arguments and call.result == "0"][number]
    folder = laid(run)

    outcome = traced.failing_at(exchange, errno.EIO, run.source, folder, onwards=True)

    assert outcome.raised is not None
    versions = run.read(folder)
    assert versions == ["new"] * number + ["old"] * (4 - number), outcome.trace
    notes = "\n".join(outcome.raised.notes)
    assert [name for name in NAMES if f"'{name}' could not be undone" in notes] == sorted(
        NAMES[:number], key=NAMES.index
    )
    assert outcome.leaked == ()
    atomik.clean(folder)
    assert run.read(folder) == versions
