"""The old version of an output stays, or goes, as what is noted of it says: after failures of every kind, and what comes between."""

from __future__ import annotations

import os

import pytest

from integration_snakemake.workflows import NEWEST, OLDEST, Workflow, need_package
from support.needs import need_root

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: What fails where the file `fail` is; before that it has made half of its output.
ONE = """
    from snakemake_atomik import atomic

    rule a:
        output: atomic("results/a")
        shell: "echo run >> runs; echo half > {output}; [ ! -e fail ]; cat version > {output}"
"""


def old(workflow: Workflow) -> str | None:
    """What stands at the output."""
    path = workflow / "results/a"
    return path.read_text() if path.exists() else None


def test_a_job_that_failed_on_a_cluster_is_submitted_again(workflow):
    """That its old version stays does not make Snakemake wait for the dead job, in the next attempt or the next run."""
    need_package("snakemake_executor_plugin_cluster_generic")
    workflow.write(ONE)
    workflow.write(
        """\
        #!/bin/bash
        mkdir -p jobs; id=job$(ls jobs | wc -l)
        if bash "$1" > log 2>&1; then echo success > jobs/$id; else echo failed > jobs/$id; fi
        echo $id
        """,
        "submit",
    ).chmod(0o755)
    workflow.write('#!/bin/bash\ncat "jobs/$1"\n', "status").chmod(0o755)
    cluster = (
        *("--executor", "cluster-generic", "--jobs", "1", "--seconds-between-status-checks", "1"),
        *("--cluster-generic-submit-cmd", "./submit", "--cluster-generic-status-cmd", "./status"),
    )
    workflow.write("old", "version")
    workflow.run(*cluster)
    workflow.write("", "fail")
    workflow.write("new", "version")
    (workflow / "runs").unlink()
    workflow.run(*cluster, "--forceall", "--retries", "1", fails=True)
    assert "run\nrun\n" == (workflow / "runs").read_text()
    assert "old" == old(workflow)
    (workflow / "fail").unlink()
    workflow.run(*cluster)
    assert "new" == old(workflow)


def test_a_full_disk_takes_no_old_version(workflow, mounts):
    """If nothing can be noted when a job begins, since the disk is full, its old version stays all the same."""
    need_root()
    workflow.path = mounts.small(mebibytes=4)
    workflow.write("""
        from snakemake_atomik import atomic

        rule a:
            input: "filled"
            output: atomic("results/a")
            shell: "cat version > {output}"

        rule fill:
            output: "filled"
            shell: "touch {output}; [ ! -e fail ] || head -c 8M /dev/zero > full || true"
    """)
    workflow.write("old", "version")
    workflow.run(XDG_CACHE_HOME="/nonexistent")
    workflow.write("", "fail")
    out = workflow.run("--forceall", fails=True).out
    assert "No space left on device" in out
    assert (workflow / "full").stat().st_size > 1 << 20
    assert "old" == old(workflow), out


def test_a_directory_that_was_written_to_at_once_is_not_whole(workflow):
    """A job that begins to change its old directory in the very tick of its beginning, and is killed, leaves nothing that is taken as whole."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule a:
            output: d=atomic(directory("results/d"))
            shell: "mkdir -p {output.d}; if [ -e fail ]; then echo partial >> res''ults/d/f; kill -9 $PPID; fi; echo new > {output.d}/f"
    """)
    workflow.run()
    for _ in range(3):
        workflow.write("", "fail")
        workflow.run("--forceall", "--nolock", fails=True)
        (workflow / "fail").unlink()
        out = workflow.run("--nolock", fails=True).out
        assert "Old but whole" not in out
        workflow.run("--nolock", "--rerun-incomplete")
        assert "new\n" == (workflow / "results/d/f").read_text()


def test_what_was_published_stays_if_snakemake_then_finds_fault(workflow):
    """A new version that is whole is not removed for the time of its input, which Snakemake finds too late."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule a:
            input: "in"
            output: atomic("results/a")
            shell: "cat version > {output}; touch -d '1 hour' {input}"
    """)
    workflow.write("", "in")
    workflow.write("new", "version")
    workflow.run(fails=True)
    assert "new" == old(workflow)


@pytest.mark.parametrize("any_workflow", [NEWEST, OLDEST], indirect=True)
def test_a_run_killed_after_snakemake_has_touched_a_new_version(any_workflow):
    """Published, of the time of now, and not yet recorded as complete: the next run asks nobody, and makes it anew."""
    flow = any_workflow
    flow.write("""
        import os
        from snakemake_atomik import atomic

        onstart:
            if os.path.exists("kill"):
                type(workflow.persistence).finished = lambda *_: os.kill(os.getpid(), 9)

        rule all:
            input: "results/a", "results/d"

        rule a:
            output: atomic("results/a")
            shell: "cat version > {output}"

        rule d:
            output: atomic(directory("results/d"))
            shell: "mkdir {output}; cat version > {output}/f"
    """)
    flow.write("old", "version")
    flow.write("", "kill")
    for made in ("results/a", "results/d"):
        flow.run("--nolock", made, fails=True)
        assert (flow / made).exists()
    (flow / "kill").unlink()
    flow.write("new", "version")
    assert "Old but whole, so that their jobs run again: results/a, results/d" in flow.run("--nolock").out
    assert "new" == (flow / "results/a").read_text() == (flow / "results/d/f").read_text()


@pytest.mark.parametrize("between", ["plain", "--cleanup-metadata"])
def test_a_note_does_not_outlive_what_it_is_about(workflow, between):
    """After a failure, a plain run makes a version, or the user does and says so: a later failure does not take it for a partial one."""
    workflow.write(ONE)
    workflow.write("old", "version")
    workflow.run()
    workflow.write("", "fail")
    workflow.run("--forceall", fails=True)
    if between == "plain":
        (workflow / "fail").unlink()
        workflow.write("between", "version")
        workflow.run("--omit-flags", "atomik", "--rerun-incomplete", "--forceall")
        workflow.write("", "fail")
    else:
        workflow.write("between", "results/a")
        workflow.run(between, "results/a")
    workflow.run("--forceall", fails=True)
    assert "between" == old(workflow)


def test_a_rule_without_a_name_is_not_taken_for_another(workflow):
    """It has the number that another one had, whose jobs are known to be staged; its own appends to its final path."""
    staged = """
        from snakemake_atomik import atomic

        rule:
            output: atomic("results/b")
            script: "staged.py"
    """
    workflow.write("open(snakemake.output[0], 'w').write('1')", "staged.py")
    workflow.write("open('results/a', 'a').write('2')", "direct.py")
    workflow.write("1", "results/a")
    workflow.write(staged)
    workflow.run("results/b")
    workflow.write(
        staged.replace(
            "rule:", "rule:\n            output: atomic('results/a')\n            script: 'direct.py'\n\n        rule:"
        )
    )
    workflow.run("--force", "results/a")
    assert "2" == old(workflow)


def test_a_script_that_begins_to_write_directly(workflow):
    """Of a rule that is known to be staged, only the first job finds an old output to append to, and that is said."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: expand("results/{n}", n=range(3))

        rule a:
            output: atomic("results/{n}")
            script: "script.py"
    """)
    workflow.write("open(snakemake.output[0], 'w').write('1')", "script.py")
    workflow.run()
    workflow.write("open('results/' + snakemake.wildcards.n, 'a').write('2')", "script.py")
    out = workflow.run("--forceall", "--cores", "1").out
    assert "wrote directly to outputs that are flagged atomic()" in out
    assert ["12", "2", "2"] == sorted(path.read_text() for path in (workflow / "results").iterdir())
    workflow.run("--forceall")
    assert ["2", "2", "2"] == [path.read_text() for path in (workflow / "results").iterdir()]
    assert 3 == len(os.listdir(workflow / ".snakemake/atomik-direct"))
