"""Jobs that fail: nothing of theirs is published, what was there stays, and Snakemake runs them again."""

from __future__ import annotations

import os
import re
import signal

import pytest

from integration_snakemake.workflows import NEWEST, OLDEST
from support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_a_job_that_fails_or_makes_too_little_publishes_nothing(workflow):
    """One missing, wrong or failed output, and no other output of its job is there; Snakemake says which it was."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: "missing/1", "failed/1", "folder/1", "file/1", "empty/1", "sum/1", "plain/1", "dangling/1", "python/1"

        rule missing:
            output: atomic("missing/1"), atomic("missing/2")
            shell: "echo 1 > {output[0]}"

        rule failed:
            output: atomic("failed/1"), atomic(directory("failed/2"))
            shell: "echo 1 > {output[0]}; mkdir {output[1]}; touch {output[1]}/half; exit 3"

        rule folder:
            output: atomic("folder/1"), atomic("folder/2")
            shell: "echo 1 > {output[0]}; mkdir {output[1]}"

        rule file:
            output: atomic("file/1"), atomic(directory("file/2"))
            shell: "echo 1 > {output[0]}; touch {output[1]}"

        rule empty:
            output: atomic("empty/1"), atomic(ensure("empty/2", non_empty=True))
            shell: "echo 1 > {output[0]}; touch {output[1]}"

        rule sum:
            output: atomic("sum/1"), atomic(ensure("sum/2", sha256="0" * 64))
            shell: "echo 1 > {output[0]}; echo 2 > {output[1]}"

        rule plain:
            output: atomic("plain/1"), "plain/2"
            shell: "echo 1 > {output[0]}"

        rule dangling:
            output: atomic("dangling/1"), atomic("dangling/2")
            shell: "echo 1 > {output[0]}; ln -s nowhere {output[1]}"

        rule python:
            output: atomic("python/1")
            run:
                with open(output[0], "w") as file:
                    file.write("half")
                raise RuntimeError("in the middle")
    """)

    out = workflow.run("--keep-going", "--latency-wait", "1", fails=True).out

    found = [path for path in workflow.path.glob("*/[12]") if path.parent.name != "cache"]
    assert [] == found
    assert [] == workflow.staged()
    assert "missing/2 (nothing was made at .snakemake/atomik/" in out
    assert 3 == out.count("MissingOutputException in rule")
    assert "plain/2 (missing locally)" in out
    assert "dangling/2 (a link to nowhere, where nothing is)" in out
    improper = re.findall(r"Outputs of incorrect type .*?affected files:\n +(\S+)", out, re.DOTALL)
    assert ["file/2", "folder/2"] == sorted(improper)
    assert "Detected unexpected empty output files, which are not published" in out
    assert "empty/2" in out
    assert "checksums that differ" in out
    assert "in the middle" in out


@pytest.mark.parametrize("any_workflow", [NEWEST, OLDEST], indirect=True)
def test_after_a_failure_the_old_version_is_there_and_its_job_is_run_again(any_workflow):
    """A changed rule that fails leaves all old outputs, updated ones too; the next run makes the new ones."""
    flow = any_workflow
    update = "update" if flow.version == NEWEST else ""  # before, it is no flag of outputs that Snakemake keeps
    text = f"""
        from snakemake_atomik import atomic

        rule all:
            input: "out/1", "out/run"

        rule shell:
            output: atomic("out/1"), atomic(directory("out/2")), atomic({update}("out/db"))
            shell: "echo VERSION > {{output[0]}}; mkdir {{output[1]}}; echo VERSION > {{output[1]}}/inner; "
                   "echo VERSION >> {{output[2]}}; END"

        rule run:
            output: atomic("out/run")
            run:
                with open(output[0], "w") as file:
                    file.write("VERSION")
                assert "END" == "true"
    """
    old, new = text.replace("VERSION", "old"), text.replace("VERSION", "new")
    outputs = ("out/1", "out/2/inner", "out/db", "out/run")

    def versions() -> list[str]:
        return [" ".join((flow / name).read_text().split()) for name in outputs]

    flow.write(old.replace("END", "true"))
    flow.run()
    assert ["old"] * 4 == versions()

    flow.write(new.replace("END", "exit 1"))
    out = flow.run("--keep-going", fails=True).out
    assert ["old"] * 4 == versions()
    assert "Removing output files" not in out
    assert "Cannot restore" not in out
    assert [] == flow.staged()

    # The failed job is all that Snakemake remembers of this rule: without a mark it would take the old for the new.
    out = flow.run("--keep-going", fails=True).out
    assert "Old but whole, so that their jobs run again" in out
    assert ["old"] * 4 == versions()

    flow.write(new.replace("END", "true"))
    flow.run()
    assert ["new", "new", "old new" if update else "new", "new"] == versions()
    assert "Nothing to be done" in flow.run().out


def test_an_old_directory_stays_as_it_was_though_the_new_one_has_a_log(workflow):
    """A failed job's log that lies in its directory goes with that, and is not put into the old version, which is whole."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "in"
            output: atomic(directory("d"))
            log: "d/log"
            shell: "grep new {input} > {log} || true; cp {input} {output}/a; grep -q good {input}"
    """)
    workflow.write("good old", "in")
    workflow.run()
    workflow.write("new", "in")
    for _ in range(2):
        out = workflow.run(fails=True).out
        assert {"a", "log"} == set(os.listdir(workflow / "d")) - {".snakemake_timestamp"}, out
        assert ["good old", ""] == [(workflow / "d" / name).read_text() for name in ("a", "log")]


@pytest.mark.leaves_litter
def test_what_a_job_made_is_kept_if_that_is_asked_for(workflow):
    """With --keep-incomplete the partial outputs of a failed job are kept aside, and the message says where."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("out/part"), atomic(directory("out/parts"))
            shell: "echo half > {output[0]}; exit 1"
    """)

    out = workflow.run("--keep-incomplete", fails=True).out

    assert not (workflow / "out/part").exists()
    kept = re.search(r"is kept in (\S+) \(--keep-incomplete\)", out)
    assert kept is not None, out
    assert "half\n" == (workflow / kept[1] / "out/part").read_text()
    workflow.run("--keep-incomplete", fails=True)
    assert (workflow / kept[1] / "out/part").exists()


def test_a_rule_that_writes_behind_our_back_is_told_of(workflow):
    """A destination that changed by itself gives a warning with the remedy; a failure there leaves it to Snakemake."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: "direct/a.1", "half/b", "half/c"

        rule direct:
            output: atomic("direct/a.1"), atomic("direct/a.2")
            params: prefix=lambda wildcards, output: output[0].removesuffix(".1")
            shell: "echo 1 > {params.prefix}.1; echo 2 > {output[1]}"

        rule half:
            output: atomic("half/b")
            params: final=lambda wildcards, output: output[0]
            shell: "echo half > {params.final}; exit 1"

        rule half_though_it_asks_for_its_output:
            output: atomic("half/c")
            params: final=lambda wildcards, output: output[0]
            shell: "echo half > {params.final}; cp nothing {output}"
    """)

    out = workflow.run("--keep-going", fails=True).out

    warning = re.search(r"Rule direct wrote directly to outputs that are flagged atomic\(\).*", out)
    assert warning is not None, out
    assert ": direct/a.1. A final path was probably taken from params" in warning[0]
    assert "direct/a.2" not in warning[0]
    assert "1\n" == (workflow / "direct/a.1").read_text()
    assert "2\n" == (workflow / "direct/a.2").read_text()
    assert not (workflow / "half/b").exists()
    assert not (workflow / "half/c").exists()


def test_a_job_that_ends_after_an_interrupt_is_complete(workflow):
    """What a job has published while Snakemake waited for its end is neither asked about nor made again."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: "shell", "run"

        rule shell:
            output: atomic("shell")
            shell: "echo x > shell.started; sleep 2; echo x > {output}"

        rule run:
            output: atomic("run")
            run:
                import time
                open("run.started", "w").close()
                time.sleep(2)
                open(output[0], "w").close()
    """)
    process = workflow.start()
    started = [workflow / "shell.started", workflow / "run.started"]
    wait_until(lambda: all(path.exists() for path in started), "the start of both jobs")
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=240)
    assert 1 == process.returncode, out
    assert (workflow / "shell").exists()
    assert (workflow / "run").exists()

    out = workflow.run().out

    assert "Old but whole" not in out
    assert "Nothing to be done" in out


@pytest.mark.leaves_litter
def test_the_file_that_is_locked_on_a_network_is_no_work_of_the_jobs(workflow):
    """Where staging folders hold a file to lock (NFS), it is not kept for a result, and an output may bear any name."""
    workflow.write("""
        from atomik_core._os.filesystems import Filesystem
        from snakemake_atomik import atomic

        Filesystem.lock_scope = property(lambda self: "files")

        rule nothing:
            output: atomic("nothing")
            shell: "echo {output} > log; exit 1"

        rule names:
            output: atomic("lock"), atomic("inner/.atomik-lock")
            shell: "echo 1 > {output[0]}; echo 2 > {output[1]}"
    """)
    out = workflow.run("--keep-incomplete", "nothing", fails=True).out
    assert "is kept in" not in out
    assert [] == workflow.staged()
    workflow.run("lock")
    assert ["1\n", "2\n"] == [(workflow / name).read_text() for name in ("lock", "inner/.atomik-lock")]
