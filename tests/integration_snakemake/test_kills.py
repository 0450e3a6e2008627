"""Runs that are killed with -9 at random moments, and what is found afterwards, and meanwhile."""

from __future__ import annotations

import random
import subprocess
import time

import pytest

from integration_snakemake.whole import RULES, Reader, look
from integration_snakemake.workflows import Workflow
from support.watch import litter

pytestmark = [pytest.mark.system, pytest.mark.slow]

KILLS = 16
ROUNDS = 4


def run_and_kill(flow: Workflow, moment: float, *, group: bool) -> None:
    """Start a run, and kill it at this moment, alone or with all that it has started."""
    process = flow.start("--nolock")
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        flow.kill(process, group=group)


def test_sixteen_runs_killed_at_random_moments_leave_no_partial_output(workflow):
    """A reader never sees a part of an output, none is left by a kill, and every run after the kills completes.

    In the first of four rounds nothing is there before; in the others, an old version. What a killed Snakemake has started
    is killed with it, or goes on alone.
    """
    workflow.write(RULES)
    out = workflow / "out"
    versions = [f"v{number}" for number in range(ROUNDS)]
    longest = 4.0
    with Reader(out) as reader:
        for number, version in enumerate(versions):
            old = versions[number - 1] if number else "absent"
            workflow.write(version, "version")
            for kill in range(KILLS // ROUNDS):
                run_and_kill(workflow, random.uniform(0.5, longest), group=kill % 2 == 0)
                assert set(look(out).values()) <= {old, version}, (number, kill, look(out))
            start = time.monotonic()
            workflow.run("--nolock")
            longest = max(2.0, time.monotonic() - start)
            assert {version} == set(look(out).values())
            assert [] == litter(workflow.path)

    assert set(reader.seen) <= {"absent", *versions}, reader.seen
    assert "Nothing to be done" in workflow.run("--nolock").out
