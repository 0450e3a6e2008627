"""Snakemake's own options mean what they mean without atomic(): nothing else in a workflow changes."""

from __future__ import annotations

import os

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

RULES = """
    from snakemake_atomik import atomic

    rule all:
        input: "out/b", "out/c"

    rule a:
        input: "in"
        output: atomic("out/a")
        group: "ab"
        shell: "echo {output} > {output}"

    rule b:
        input: "out/a"
        output: atomic("out/b"), atomic(directory("out/folder"))
        group: "ab"
        shell: "echo {output[0]} > {output[0]}; mkdir {output[1]}"

    rule c:
        output: atomic("out/c")
        shell: "echo {output} > {output}"
"""


def test_dry_runs_touching_and_switching_it_off(workflow):
    """--dry-run makes and sweeps nothing, --omit-flags atomik gives the rules their final paths, --touch only touches."""
    workflow.write(RULES)
    workflow.write("1", "in")

    workflow.run("--dry-run")
    assert not (workflow / "out").exists()
    assert not (workflow / ".snakemake/atomik").exists()

    workflow.run("--omit-flags", "atomik")
    assert ["out/a\n", "out/b\n", "out/c\n"] == [(workflow / f"out/{name}").read_text() for name in "abc"]

    os.utime(workflow / "in")
    workflow.run("--touch")
    assert "out/b\n" == (workflow / "out/b").read_text()
    assert "Nothing to be done" in workflow.run().out

    workflow.run("--forcerun", "a", "--until", "a")
    assert (workflow / "out/a").read_text().startswith(".snakemake/atomik/")
    assert "out/b\n" == (workflow / "out/b").read_text()


def test_a_killed_run_asks_for_nothing_be_it_the_first_or_not(workflow):
    """After a kill, without --rerun-incomplete, the next run makes what is missing or old; --rerun-incomplete does, too."""
    workflow.write(
        RULES.replace('"echo {output} > {output}"', '"echo {output} > {output}; [ ! -e kill ] || kill -9 $PPID"')
    )
    workflow.write("1", "in")
    kill = workflow.write("", "kill")

    for existing in (False, True):
        kill.touch()
        process = workflow.start("--nolock", "--forceall")
        process.communicate(timeout=240)
        assert -9 == process.returncode
        assert existing == (workflow / "out/c").exists()
        assert [] != workflow.staged()
        kill.unlink()
        if existing:
            assert "Old but whole" in workflow.run("--nolock", "--dry-run").out
            assert [] != workflow.staged()
        out = workflow.run("--nolock", *(["--rerun-incomplete"] if existing else [])).out
        assert "IncompleteFilesException" not in out
        assert [] == workflow.staged()
        assert "Nothing to be done" in workflow.run("--nolock").out


def test_plain_outputs_are_still_asked_about(workflow):
    """An incomplete output that is not atomic is Snakemake's to ask about; an atomic one beside it changes nothing there."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: "plain", "whole"

        rule plain:
            output: "plain"
            shell: "echo > {output}; sleep 1; kill -9 $PPID"

        rule whole:
            output: atomic("whole")
            shell: "echo > {output}"
    """)
    process = workflow.start("--nolock", "--jobs", "2")
    process.communicate(timeout=240)
    assert -9 == process.returncode

    out = workflow.run("--nolock", fails=True).out

    assert "IncompleteFilesException" in out
    assert "\nplain\n" in out
