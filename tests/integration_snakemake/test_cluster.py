"""A cluster: each job is a Snakemake of its own, started by a submit script, on a directory that all share."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from pathlib import Path

import pytest

from integration_snakemake.whole import RULES, Reader, look
from integration_snakemake.workflows import Workflow, need_package
from support.needs import need_tool
from support.waiting import wait_until
from support.watch import litter

pytestmark = [pytest.mark.system, pytest.mark.slow]

SUBMIT = """\
    #!/bin/bash
    # Start a job script in a session of its own, and say under which number.
    setsid bash -c 'bash "$1"; echo $? > "jobs/$$.exit"' job "$1" > "jobs/$RANDOM.log" 2>&1 < /dev/null &
    echo $!
"""
STATUS = """\
    #!/bin/bash
    # Say how a job is: a killed one leaves no exit code.
    if [ -e "jobs/$1.exit" ]; then
        [ "$(cat "jobs/$1.exit")" = 0 ] && echo success || echo failed
    elif kill -0 "$1" 2> /dev/null; then
        echo running
    elif [ -e "jobs/$1.exit" ]; then
        echo running
    else
        echo failed
    fi
"""
PROFILE = (
    *(
        "--executor",
        "cluster-generic",
        "--jobs",
        "4",
        "--nolock",
        "--retries",
        "1",
        "--seconds-between-status-checks",
        "1",
    ),
    *("--cluster-generic-submit-cmd", "./submit", "--cluster-generic-status-cmd", "./status", "--latency-wait", "30"),
)


def running(flow: Workflow) -> list[int]:
    """The process groups of the jobs that are staging something now."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(flow.path):
                found.add(os.getpgid(int(entry.name)))
    return sorted(found - {process.pid for process in flow.running})


def wait_for_staging(flow: Workflow) -> None:
    """Wait until a job has staged something."""
    wait_until(flow.staged, "the staging of a job")


def test_jobs_and_the_main_process_are_killed_and_no_output_is_ever_partial(workflow):
    """A killed job is submitted again; after the main process was killed, its jobs end alone, and a new run completes."""
    need_tool("setsid")
    need_package("snakemake_executor_plugin_cluster_generic")
    workflow.write(RULES.replace("sleep 0.02", "sleep 0.1"))
    for name, text in (("submit", SUBMIT), ("status", STATUS)):
        workflow.write(text, name).chmod(0o755)
    (workflow / "jobs").mkdir()
    out = workflow / "out"

    try:
        with Reader(out) as reader:
            workflow.write("v0", "version")
            process = workflow.start(*PROFILE)
            wait_for_staging(workflow)
            victim = random.choice(running(workflow))
            os.killpg(victim, signal.SIGKILL)
            said, _ = process.communicate(timeout=240)
            assert 0 == process.returncode, said + logs(workflow)
            assert {"v0"} == set(look(out).values())

            workflow.write("v1", "version")
            process = workflow.start(*PROFILE)
            wait_for_staging(workflow)
            workflow.kill(process, group=False)
            workflow.run(*PROFILE)
            assert {"v1"} == set(look(out).values())
        assert set(reader.seen) <= {"absent", "v0", "v1"}, reader.seen

        # What the killed ones left staged goes when the next run starts, be there nothing to do.
        wait_for_jobs(workflow)
        assert "Nothing to be done" in workflow.run("--nolock").out
        assert [] == litter(workflow.path)
    finally:
        for group in running(workflow):
            os.killpg(group, signal.SIGKILL)


def logs(flow: Workflow) -> str:
    """What the jobs have said."""
    return "\n".join(path.read_text() for path in (flow / "jobs").glob("*.log"))


def wait_for_jobs(flow: Workflow) -> None:
    """Wait until no job runs any more, be it one that nobody waits for."""
    wait_until(lambda: not running(flow), "the end of all jobs")
