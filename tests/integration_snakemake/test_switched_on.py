"""Atomic outputs are never silently off: rules of modules, other packages' wrappers, profiles, clusters, storage."""

from __future__ import annotations

import re
import textwrap

import pytest

from integration_snakemake.workflows import Workflow, need_package

pytestmark = [pytest.mark.system, pytest.mark.slow]

STAGED = ".snakemake/atomik/.atomik-"

#: A workflow with rules of every origin, each of which writes the path that it was given.
RULES = """
    rule all:
        input: "base", "derived", "module", "changed", "included", "run", "parts"

    rule base:
        output: "base"
        shell: "echo {output} > {output}"

    use rule base as derived with:
        output: "derived"

    module other:
        snakefile: "other.smk"

    use rule * from other as other_*

    use rule in_module from other as changed with:
        output: "changed"

    include: "included.smk"

    rule run:
        output: "run"
        run:
            with open(output[0], "w") as file:
                print(output[0], file=file)

    checkpoint parts:
        output: directory("parts")
        shell: "mkdir {output}; echo {output} > {output}/part"
"""
PATHS = ("base", "derived", "module", "changed", "included", "run", "parts/part")


def write_rules(flow: Workflow, *first: str) -> None:
    """Write the workflow, with these lines before it."""
    flow.write("\n".join([*first, textwrap.dedent(RULES)]))
    flow.write('rule in_module:\n    output: "module"\n    shell: "echo {output} > {output}"\n', "other.smk")
    flow.write('rule in_included:\n    output: "included"\n    shell: "echo {output} > {output}"\n', "included.smk")


def plain(flow: Workflow) -> list[str]:
    """The outputs that were not staged."""
    return [path for path in PATHS if not (flow / path).read_text().startswith(STAGED)]


def test_outputflags_reach_derived_rules_and_modules(workflow):
    """`outputflags: atomic` in the main Snakefile holds for `use rule ... with`, for modules and for what is included."""
    write_rules(workflow, "from snakemake_atomik import atomic", "outputflags: atomic")
    workflow.run()
    assert [] == plain(workflow)


def test_everything_is_switched_on_from_a_profile_and_off_again(workflow):
    """`logger: atomik` needs no change to a Snakefile and reaches jobs in processes of their own; --omit-flags undoes it."""
    write_rules(workflow)
    workflow.write("logger: [atomik]\nlogger-atomik-sync: normal\nlogger-atomik-strict: true\n", "profile/config.yaml")
    workflow.run("--profile", "profile")
    assert [] == plain(workflow)
    workflow.run("--profile", "profile", "--forceall", "--omit-flags", "atomik")
    assert list(PATHS) == plain(workflow)
    workflow.run("--forceall")
    assert list(PATHS) == plain(workflow)


def test_everything_is_switched_on_from_the_environment_and_by_configure(any_workflow):
    """ATOMIK_SNAKEMAKE_ALL_OUTPUTS=1 is enough where Snakemake has logger plugins; `configure` in a Snakefile everywhere."""
    if any_workflow.version.startswith("8."):
        write_rules(any_workflow, "from snakemake_atomik import configure", "configure(all_outputs=True)")
        any_workflow.run()
    else:
        write_rules(any_workflow)
        any_workflow.run(ATOMIK_SNAKEMAKE_ALL_OUTPUTS="1")
    assert [] == plain(any_workflow)


SUBMIT = """\
    #!/bin/bash
    # Run the job at once, as a node that has none of this environment.
    cat "$1" >> commands
    unset ${!ATOMIK_*}
    bash "$1" > job.log 2>&1 < /dev/null || cat job.log >&2
    echo 1
"""


def test_a_clusters_jobs_are_told_whatever_their_environment_is(workflow):
    """All settings travel in the command line of each job; a node where Atomik is missing fails, and does not run plain."""
    need_package("snakemake_executor_plugin_cluster_generic")
    workflow.write('rule:\n    output: "made"\n    shell: "echo {output:q} > {output:q}"\n')
    workflow.write(SUBMIT, "submit").chmod(0o755)
    arguments = ("--executor", "cluster-generic", "--jobs", "1", "--cluster-generic-submit-cmd", "./submit")
    workflow.run(
        *arguments,
        ATOMIK_SNAKEMAKE_ALL_OUTPUTS="1",
        ATOMIK_SNAKEMAKE_STRICT="1",
        ATOMIK_SNAKEMAKE_TMP_DIR=str(workflow / "fast disk"),
        ATOMIK_SYNC="normal",
    )
    assert (workflow / "made").read_text().startswith("fast disk/.atomik-")
    assert "--logger atomik --logger-atomik-strict --logger-atomik-sync normal" in (workflow / "commands").read_text()


OTHER = """
    import functools, sys
    from snakemake import cli
    from snakemake.executors import local

    original = local.run_wrapper

    @functools.wraps(original)
    def traced(*args, **kwargs):
        print("traced")
        return original(*args, **kwargs)

    local.run_wrapper = traced
    sys.argv[0] = "snakemake"
    cli.main()
"""
#: Another package that puts back what it took hold of before.
CAPTURED = """
    from snakemake.executors import local
    original = local.run_wrapper
    from snakemake_atomik import atomic
    outputflags: atomic
    onstart:
        local.run_wrapper = original

    rule a:
        output: "a"
        shell: "echo {output} > {output}"
"""


def test_another_packages_wrapper_is_not_taken_for_ours(workflow):
    """A function that somebody has wrapped with `functools.wraps` is wrapped once more; both wrappers do their work."""
    workflow.write("""
        from snakemake_atomik import atomic
        rule:
            output: atomic("a")
            shell: "echo {output} > {output}"
    """)
    workflow.write(OTHER, "other.py")
    out = workflow.run(program="other.py").out
    assert "traced" in out
    assert (workflow / "a").read_text().startswith(STAGED)


@pytest.mark.parametrize("strict", [False, True])
def test_an_output_that_went_past_the_stage_is_named(workflow, strict):
    """If our wrapper is put aside, the job's outputs are named after it, with what to do; an error where that is asked for."""
    workflow.write(CAPTURED)
    done = workflow.run(fails=strict, ATOMIK_SNAKEMAKE_STRICT=str(int(strict)))
    assert "a\n" == (workflow / "a").read_text()
    assert re.search(
        r"Outputs of rule a are to be atomic, but were made without being staged: a\. .* has replaced", done.out
    )
    assert strict == ("since the settings of snakemake_atomik are strict" in done.out)
    if strict:
        assert "Old but whole, so that their jobs run again: a" in workflow.run("--dry-run").out


DIRECT = """
    from snakemake_atomik import atomic, configure
    outputflags: atomic

    rule all:
        input: "d/append", "d/folder", "d/literal", "d/run", "d/touched", "d/updated", "d/mention.txt"

    rule append:
        output: "d/append"
        params: out=lambda wildcards, output: output[0]
        shell: "for i in 1 2; do echo line $i >> {params.out}; done"

    rule folder:
        output: directory("d/folder"), "d/folder/inner"
        params: out=lambda wildcards, output: output[0]
        shell: "mkdir -p {params.out}; echo x | tee {params.out}/inner > {params.out}/more"

    rule literal:
        output: "d/{name,literal}", staged="d/{name}.staged"
        shell: "echo {output.staged} > {output.staged}; echo x >> d/{wildcards.name}; [ -s {output[0]} ]"

    rule run:
        output: "d/run"
        run:
            shell("test ! -e d/run; echo x > d/run")

    rule touched:
        output: touch("d/touched")
        shell: "true"

    rule mentions:
        output: "d/mention.txt"
        shell: "echo {output} d/mention.txt.tmp other/d/mention.txt d/mention.txt-old > {output}"

    rule updated:
        output: update("d/updated")
        params: out=lambda wildcards, output: output[0]
        shell: "echo line >> {params.out}"
"""


def test_a_rule_that_never_asks_for_its_output_is_left_to_snakemake(workflow):
    """Its old output is removed first, nothing is staged or lost, and each rule is named once; a rerun does the same."""
    workflow.write(DIRECT)
    for count in (1, 2):
        out = workflow.run("--forceall").out
        assert "line 1\nline 2\n" == (workflow / "d/append").read_text()
        assert {"inner", "more"} < {path.name for path in (workflow / "d/folder").iterdir()}
        assert "x\n" == (workflow / "d/literal").read_text()
        assert (workflow / "d/literal.staged").read_text().startswith(STAGED)
        assert (workflow / "d/mention.txt").read_text().startswith(STAGED)
        assert "line\n" * count == (workflow / "d/updated").read_text()
        said = re.findall(r"Outputs of rule (\w+) are not staged, and so not atomic: (.*?): its code", out)
        assert {
            ("append", "d/append"),
            ("folder", "d/folder, d/folder/inner"),
            ("literal", "d/literal"),
            ("run", "d/run"),
            ("updated", "d/updated"),
        } == set(said)
    out = workflow.run("--forcerun", "append", fails=True, ATOMIK_SNAKEMAKE_STRICT="1").out
    assert "since the settings of snakemake_atomik are strict" in out


def test_an_output_that_a_storage_plugin_takes_is_named(workflow):
    """With --default-storage-provider nothing is staged, and that is said; it is an error where that is asked for."""
    need_package("snakemake_storage_plugin_fs")
    workflow.write("""
        from snakemake_atomik import atomic
        rule a:
            output: atomic("a")
            shell: "echo x > {output}"
    """)
    store = ("--default-storage-provider", "fs", "--default-storage-prefix", str(workflow / "store"))
    assert "not staged, and so not atomic" in workflow.run(*store).out
    assert "strict" in workflow.run(*store, "--forceall", fails=True, ATOMIK_SNAKEMAKE_STRICT="1").out


def test_a_failing_job_says_which_paths_it_was_given(workflow):
    """What Snakemake prints with the error has final paths; the message has the staged ones."""
    workflow.write("""
        from snakemake_atomik import atomic
        rule a:
            output: atomic("a")
            shell: "cp nothing {output}"
    """)
    out = workflow.run("--printshellcmds", fails=True).out
    assert "cp nothing a" in out
    assert re.search(
        r"Rule a failed with staged outputs: its code was given \.snakemake/atomik/\S+/a for a, whatever", out
    )


def test_logs_and_benchmarks_in_a_directory_output_are_published_with_it(workflow):
    """A log that lies in the rule's own directory() has all that was written to it, and the benchmark is there."""
    workflow.write("""
        from snakemake_atomik import atomic
        rule a:
            output: atomic(directory("d"))
            log: "d/logs/a.log"
            benchmark: "d/benchmark.tsv"
            shell: "echo x > {output}/x; echo {log} > {log}"
    """)
    for _ in range(2):
        workflow.run("--forceall")
        assert (workflow / "d/logs/a.log").read_text().startswith(STAGED)
        assert 2 == len((workflow / "d/benchmark.tsv").read_text().splitlines())
        assert (workflow / "d/x").exists()
