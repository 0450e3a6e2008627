"""Every kind of rule and of output, in two workflows, since Snakemake takes its time to start."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from integration_snakemake.workflows import OLDEST, Workflow
from support.needs import require

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: Snakemake < 9.1 has no `outputflags`: there every output of the workflow is flagged by itself.
DEFAULT = """
    from snakemake_atomik import atomic

    outputflags: atomic

    def a(output): return output
"""
EACH = """
    from snakemake_atomik import atomic as a
"""

RULES = """
    rule all:
        input:
            "kinds/shell", "kinds/python", "kinds/bash", "kinds/run", "kinds/wrapper", "kinds/second",
            "index/i.1", "index/i.2", "outputs/parts", "outputs/protected", "outputs/touched",
            "outputs/touched_folder", "outputs/ensured", "outputs/wild.x", "outputs/wild.y", "outputs/piped",
            "outputs/served", "outputs/summary", "outputs/nested/inner/file", "outputs/linked", "outputs/relative",
            "shadows/minimal", "shadows/shallow", "shadows/parts", "shadows/by_name", "again/measured",

    rule shell:
        output: a("kinds/shell"), second=a("kinds/second")
        message: "This makes {output}"
        log: "logs/shell"
        shell: "echo {output[0]} > {output[0]}; echo {output.second} > {output.second}; echo logged > {log}"

    rule python:
        output: a("kinds/python")
        script: "scripts/make.py"

    rule bash:
        output: a("kinds/bash")
        script: "scripts/make.sh"

    rule run:
        output: a("kinds/run")
        run:
            with open(output[0], "w") as file:
                print(output[0], file=file)

    rule wrapper:
        output: a("kinds/wrapper")
        wrapper: f"file:{workflow.basedir}/wrap"

    rule multiext:
        output: a(multiext("index/i", ".1", ".2"))
        shell: 'first={output[0]}; for n in 1 2; do echo "${{first%.1}}.$n" > "$(dirname "$first")/i.$n"; done'

    checkpoint parts:
        output: a(directory("outputs/parts"))
        shell: "mkdir {output}; for n in 1 2 3; do echo {output} > {output}/$n; done"

    rule temp:
        output: a(temp("outputs/temp"))
        shell: "echo {output} > {output}"

    rule consume:
        input: "outputs/temp"
        output: a("outputs/consumed")
        shell: "cp {input} {output}"

    rule protected:
        output: a(protected("outputs/protected"))
        shell: "echo {output} > {output}"

    rule touch:
        output: a(touch("outputs/touched")), a(touch(directory("outputs/touched_folder")))
        shell: "true"

    rule ensure:
        output: a(ensure("outputs/ensured", non_empty=True, sha256=lambda wildcards: SHA256_OF_X))
        shell: "printf x > {output}"

    SHA256_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

    rule wild:
        output: a("outputs/wild.{letter}")
        shell: "echo {wildcards.letter} {output} > {output}"

    rule pipe:
        output: a(pipe("outputs/pipe"))
        shell: "echo {output} > {output}"

    rule from_pipe:
        input: "outputs/pipe"
        output: a("outputs/piped")
        shell: "cat {input} > {output}"

    rule service:
        output: service("outputs/service")
        shell: "echo {output} > {output}; sleep 300"

    rule from_service:
        input: "outputs/service"
        output: a("outputs/served")
        shell: "until [ -s {input} ]; do sleep 0.1; done; cat {input} > {output}"

    def parts(wildcards):
        folder = checkpoints.parts.get().output[0]
        return expand(f"{folder}/{{n}}", n=glob_wildcards(f"{folder}/{{n,[0-9]+}}").n)

    rule summary:
        input: parts
        output: a("outputs/summary")
        shell: "cat {input} > {output}"

    rule nested:
        output: a("outputs/nested/inner/file"), a(directory("outputs/nested"))
        shell: "echo {output[0]} > {output[0]}; touch {output[1]}/beside"

    rule link:
        input: "outputs/ensured"
        output: a("outputs/linked"), a("outputs/relative"), a(directory("outputs/links"))
        shell:
            "ln -s ensured {output[0]}; ln -s --relative {input} {output[1]}; mkdir {output[2]}; "
            'ln -s "$(realpath {output[2]})/file" {output[2]}/absolute; echo > {output[2]}/file; '
            "ln -s file {output[2]}/inside; ln -s --relative {input} {output[2]}/outside"

    rule minimal:
        input: "outputs/ensured"
        output: a("shadows/minimal")
        shadow: "minimal"
        shell: "echo junk > junk; cp {input} copy; echo {output} > {output}"

    rule shallow:
        output: a("shadows/shallow"), a(directory("shadows/parts"))
        shadow: "shallow"
        shell: "echo {output[0]} > {output[0]}; mkdir {output[1]}; touch {output[1]}/1"

    rule by_name:
        output: a("shadows/by_name")
        shadow: "minimal"
        shell: "echo by its own name > shadows/by_name"

    rule retried:
        output: a("again/retried")
        retries: 1
        resources: attempt=lambda wildcards, attempt: attempt
        shell: "echo {resources.attempt} {output} >> {output}; [ {resources.attempt} = 2 ]"

    rule measured:
        output: a("again/measured")
        benchmark: repeat("again/benchmark", 2)
        shell: "echo {output} >> {output}"
"""

STAGED = ".snakemake/atomik/.atomik-"


@pytest.fixture
def kinds(any_workflow: Workflow) -> Workflow:
    """A workflow with every kind of rule and output, run once."""
    flow = any_workflow
    flow.write(EACH + RULES if flow.version == OLDEST else DEFAULT + RULES)
    flow.write(
        "with open(snakemake.output[0], 'w') as file:\n    print(snakemake.output[0], file=file)\n", "scripts/make.py"
    )
    flow.write('echo "${snakemake_output[0]}" > "${snakemake_output[0]}"\n', "scripts/make.sh")
    flow.write(
        "with open(snakemake.output[0], 'w') as file:\n    print(snakemake.output[0], file=file)\n", "wrap/wrapper.py"
    )
    flow.write("dependencies: []\n", "wrap/environment.yaml")
    return flow


def test_each_kind_of_rule_and_output_is_staged_published_and_found_up_to_date(kinds):
    """Every rule makes its outputs at staged paths; all of them are where they belong; nothing is left to be done."""
    flow = kinds
    done = flow.run()

    def text(name: str) -> str:
        return (flow / name).read_text()

    assert "wrote directly" not in done.out
    for name in ("shell", "python", "bash", "run", "wrapper", "second"):
        path = text(f"kinds/{name}").strip()
        assert path.startswith(STAGED), path
        assert path.endswith(f"/kinds/{name}"), path
    assert "logged\n" == text("logs/shell")
    assert text("index/i.1").endswith("/index/i.1\n")
    assert text("index/i.2").endswith("/index/i.2\n")
    assert {"1", "2", "3", ".snakemake_timestamp"} == set(os.listdir(flow / "outputs/parts"))
    assert 3 == text("outputs/summary").count(STAGED)
    assert 0 == stat.S_IMODE((flow / "outputs/protected").stat().st_mode) & 0o222
    assert "" == text("outputs/touched")
    assert [".snakemake_timestamp"] == os.listdir(flow / "outputs/touched_folder")
    assert "x" == text("outputs/ensured")
    assert "y " + STAGED == text("outputs/wild.y")[: len(STAGED) + 2]
    assert "outputs/pipe\n" == text("outputs/piped")
    assert "outputs/service\n" == text("outputs/served")
    assert text("outputs/nested/inner/file").startswith(STAGED)
    assert (flow / "outputs/nested/beside").exists()
    assert "ensured" == os.readlink(flow / "outputs/linked") == os.readlink(flow / "outputs/relative")
    assert "../ensured" == os.readlink(flow / "outputs/links/outside")
    assert "file" == os.readlink(flow / "outputs/links/inside")
    assert str(flow / "outputs/links/file") == os.readlink(flow / "outputs/links/absolute")
    assert text("shadows/minimal").startswith(STAGED)
    assert {"1", ".snakemake_timestamp"} == set(os.listdir(flow / "shadows/parts"))
    assert "by its own name\n" == text("shadows/by_name")
    assert not (flow / "shadows/minimal").is_symlink()
    assert not (flow / "junk").exists()
    assert 3 == text("again/benchmark").count("\n")
    assert [] == flow.staged()

    assert "Nothing to be done" in flow.run().out

    # By itself: Snakemake loses a restarted job when a checkpoint is evaluated meanwhile.
    flow.run("again/retried")
    assert 1 == text("again/retried").count("\n")
    assert text("again/retried").startswith(f"2 {STAGED}")

    # By itself: Snakemake may forget temporary files in a workflow with a checkpoint, be they atomic or not.
    flow.run("outputs/consumed")
    assert STAGED in text("outputs/consumed")
    assert not (flow / "outputs/temp").exists()


def test_a_notebook_is_given_staged_paths(workflow):
    """A `notebook:` rule's output is published when its kernel has run through."""
    tool = Path(sys.executable).with_name("jupyter-nbconvert")
    require(tool.exists(), "needs nbconvert and ipykernel, which are not installed")
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "one",
        "metadata": {},
        "outputs": [],
        "source": ["with open(snakemake.output[0], 'w') as file:\n", "    print(snakemake.output[0], file=file)\n"],
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": [cell],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    workflow.write(json.dumps(notebook), "make.py.ipynb")
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("made")
            notebook: "make.py.ipynb"
    """)

    workflow.run()

    assert (workflow / "made").read_text().startswith(STAGED)
    assert [] == workflow.staged()
