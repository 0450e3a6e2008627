"""What must hold after a Ctrl-C at each system call of a publication."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from faults.conftest import Fresh
from faults.kills import check_recovery
from faults.scenarios import Scenario
from support.outcome import Outcome
from support.traced import Traced


def check_interrupts(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Interrupt the workload right after each of its calls in turn, and assert all that is promised then."""
    wrong = []
    for call in traced.calls(scenario.source, fresh(scenario)):
        folder = fresh(scenario)
        outcome = traced.signalled_at(call, signal.SIGINT, scenario.source, folder)
        wrong += [f"{call}: {each}" for each in _wrong(scenario, outcome, folder)]
        check_recovery(scenario, folder, call)
    assert not wrong, "\n".join(wrong)


def _wrong(scenario: Scenario, outcome: Outcome, folder: Path) -> Iterator[str]:
    version, raised = scenario.read(folder / "target"), outcome.raised
    if raised is None or raised.types[0] != "KeyboardInterrupt":
        yield f"the interrupt was lost: {raised}"
    elif raised.notes:
        yield f"notes: {raised.notes}"
    if outcome.leaked:
        yield f"left open: {outcome.leaked}"
    if version not in {scenario.before, "new"} or (outcome.said and version != "new"):
        yield f"the destination says {version!r}"
    left = scenario.staged(folder)
    if left and version != "new":
        yield f"left behind, though nothing was published: {left}"
