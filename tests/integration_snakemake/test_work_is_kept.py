"""What a job makes is never thrown away: beside its outputs, at their final paths, as links."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from integration_snakemake.workflows import NEWEST, OLDEST
from support.needs import need_root

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.mark.parametrize("any_workflow", [NEWEST, OLDEST], indirect=True)
def test_files_beside_an_output_are_published_beside_it(any_workflow):
    """Indexes, logs, folders and links beside {output} are there with it; those of the last run are replaced."""
    flow = any_workflow
    flow.write("""
        from snakemake_atomik import atomic

        rule use:
            input: "out/aln.bam"
            output: atomic("use.txt")
            shell: "cat {input}.bai > {output}"

        rule aln:
            input: "version"
            output: atomic("out/aln.bam"), atomic(directory("out/parts"))
            shell:
                "cp {input} {output[0]}; cp {input} {output[0]}.bai; mkdir {output[1]}; "
                'd=$(dirname {output[0]}); mkdir -p $d/logs/inner $d/new; cp {input} $d/logs/aln.log; cp {input} $d/new/x; '
                "ln -sf aln.bam.bai $d/aln.bai"
    """)
    flow.write("other", "out/logs/other.log")
    for version in ("1", "2"):
        flow.write(version, "version")
        flow.run()
        for name in ("aln.bam", "aln.bam.bai", "aln.bai", "logs/aln.log", "new/x"):
            assert version == (flow / "out" / name).read_text(), name
        assert version == (flow / "use.txt").read_text()
    assert "aln.bam.bai" == os.readlink(flow / "out/aln.bai")
    assert {"inner", "aln.log", "other.log"} == set(os.listdir(flow / "out/logs"))
    assert [] == flow.staged()


def test_what_a_failed_job_made_beside_its_outputs_is_not_published(workflow):
    """After a failure the files beside are what they were, like the outputs."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("aln.bam")
            shell: "echo new > {output}; echo new > {output}.bai; exit 1"
    """)
    workflow.write("old", "aln.bam.bai")
    workflow.run(fails=True)
    assert "old" == (workflow / "aln.bam.bai").read_text()
    assert [] == workflow.staged()


DIRECT = """
    from snakemake_atomik import atomic

    rule all:
        input: "db.txt", "o/a.txt", "twice"

    rule update:
        output: atomic(update("db.txt"))
        params: final=lambda wildcards, output: output[0]
        script: "update.py"

    rule folder:
        output: atomic(directory("o")), atomic("o/a.txt")
        params: final=lambda wildcards, output: output[0]
        script: "folder.py"

    rule twice:
        output: atomic("twice")
        params: final=lambda wildcards, output: output[0]
        script: "twice.py"
"""
SCRIPTS = {
    "update.py": "open(snakemake.params.final, 'a').write('new\\n')\n",
    "folder.py": "import os\nos.makedirs(snakemake.params.final, exist_ok=True)\n"
    "for name in ('a', 'b'):\n    open(f'{snakemake.params.final}/{name}.txt', 'x').write('hours of work')\n",
    "twice.py": "for path in (snakemake.params.final, snakemake.output[0]):\n    open(path, 'w').write(path)\n",
}


@pytest.mark.leaves_litter
def test_work_at_the_final_path_stays_though_nothing_in_the_rule_tells_of_it(workflow):
    """A copy that was not changed and a folder that we made replace nothing; if there is work at both paths, both are kept."""
    for name, text in SCRIPTS.items():
        workflow.write(text, name)
    workflow.write(DIRECT)
    workflow.write("old\n", "db.txt")

    out = workflow.run("--forceall").out

    assert {"update", "folder", "twice"} == set(re.findall(r"Rule (\w+) wrote directly to outputs", out))
    assert "old\nnew\n" == (workflow / "db.txt").read_text()
    assert {"a.txt", "b.txt"} <= set(os.listdir(workflow / "o"))
    assert (workflow / "twice").read_text().startswith(".snakemake/atomik/")
    kept = re.search(r"the other is kept as (\S+)\.", out)
    assert kept is not None, out
    assert "twice" == Path(kept[1]).read_text()

    # Now it is remembered, so that the old outputs are taken away first, as without Atomik: "x" fails if they are there.
    workflow.run("--forcerun", "folder")
    assert {"a.txt", "b.txt"} <= set(os.listdir(workflow / "o"))


@pytest.mark.leaves_litter
def test_work_at_the_final_path_is_an_error_where_that_is_asked_for(workflow):
    """With strict settings nothing is published, and what was made at either path is kept."""
    for name, text in SCRIPTS.items():
        workflow.write(text, name)
    workflow.write(DIRECT)
    out = workflow.run("twice", fails=True, ATOMIK_SNAKEMAKE_STRICT="1").out
    assert "since the settings of snakemake_atomik are strict" in out
    assert "twice" == (workflow / "twice").read_text()
    kept = re.search(r"What rule twice has made is kept in (\S+) ", out)
    assert kept is not None, out
    assert (Path(workflow.path, kept[1]) / "twice").read_text().startswith(".snakemake/atomik/")


@pytest.mark.leaves_litter
def test_what_cannot_be_published_is_kept_and_so_is_what_could(workflow, mounts):
    """A full disk, or a directory that is gone by then: every output of the job is where the message says."""
    need_root()
    full = mounts.small()
    workflow.write(f"""
        from snakemake_atomik import atomic

        rule full:
            output: atomic("{full}/a"), atomic(directory("{full}/b")), atomic("{full}/c"), atomic("d")
            shell: "echo a > {{output[0]}}; mkdir {{output[1]}}; echo b > {{output[1]}}/b; head -c 16M /dev/zero > {{output[2]}}; "
                   "echo d > {{output[3]}}"

        rule gone:
            output: atomic("here/a"), atomic("gone/b")
            shell: "echo a > {{output[0]}}; echo b > {{output[1]}}; rmdir gone"
    """)
    kept = _kept(workflow.run("full", fails=True, ATOMIK_SNAKEMAKE_TMP_DIR=str(workflow / "scratch")).out)
    outside = kept / f".outside{full}"
    assert ["a\n", "b\n", "d\n"] == [path.read_text() for path in (outside / "a", outside / "b/b", kept / "d")]
    assert [16 << 20] == [path.stat().st_size for path in kept.rglob("c")]
    assert [] == os.listdir(full)

    kept = _kept(workflow.run("gone", fails=True).out)
    assert ["a\n", "b\n"] == [(kept / name).read_text() for name in ("here/a", "gone/b")]
    assert not (workflow / "here/a").exists()


def _kept(out):
    """Where the message says that everything is kept."""
    found = re.search(r"has made is kept in (\S+) \(its outputs could not be published\)", out)
    assert found is not None, out
    return Path(found[1])


def test_work_at_the_final_path_is_told_from_an_old_version_of_its_length_and_time(workflow):
    """What is made to be the same to the bit has a time that somebody has set: another inode is another version."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule make:
            output: atomic("made")
            params: final=lambda wildcards, output: output[0]
            shell: "echo new > {output}.new; touch -d @0 {output}.new; mv {output}.new {params.final}"
    """)
    os.utime(workflow.write("old\n", "made"), (0, 0))

    out = workflow.run("--forceall").out

    assert "Rule make wrote directly to outputs" in out
    assert "new\n" == (workflow / "made").read_text()


def test_links_are_looked_at_from_their_destinations(workflow):
    """A directory() may be a relative link to one, and ensure() follows one to a file; a link to nothing is still missing."""
    workflow.write("x", "data/x")
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: "links/current", "links/file", "links/chain"

        rule folder:
            output: atomic(directory("links/current"))
            shell: "ln -s ../data {output}"

        rule file:
            output: atomic(ensure("links/file", non_empty=True)), atomic(ensure("links/chain", non_empty=True))
            shell: "ln -s ../data/x {output[0]}; ln -s file {output[1]}"

        rule wrong:
            output: atomic("links/wrong")
            shell: "ln -s ../data {output}"
    """)
    workflow.run()
    assert ["../data", "../data/x", "file"] == [
        os.readlink(workflow / "links" / name) for name in ("current", "file", "chain")
    ]
    assert "Outputs of incorrect type" in workflow.run("links/wrong", fails=True).out


def test_a_shadow_rule_may_link_to_a_file_of_its_own(workflow):
    """A link into the shadow directory, absolute or not, leads to the output that comes from there."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("out/real"), atomic("out/absolute"), atomic("out/relative"), atomic("out/told")
            shadow: "minimal"
            shell:
                "echo x > out/real; ln -s $(realpath out/real) out/absolute; ln -s real out/relative; "
                "ln -s $(realpath out/real) {output[3]}"
    """)
    workflow.run()
    for name in ("real", "absolute", "relative", "told"):
        assert "x\n" == (workflow / "out" / name).read_text(), name
        assert (workflow / "out/real").samefile(workflow / "out" / name)


def test_outputs_keep_their_places_relative_to_each_other(workflow):
    """A program that is told the folder above two outputs' folders finds both where they belong, and links among them hold."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("results/tables/a.csv"), atomic("results/plots/a.png"), atomic("links/to_a"), atomic(directory("made"))
            shell:
                "results=$(dirname $(dirname {output[0]})); echo csv > $results/tables/a.csv; echo png > $results/plots/a.png; "
                "echo log > $results/log; ln -sr {output[0]} {output[2]}; mkdir {output[3]}; ln -sr {output[1]} {output[3]}/to_a"
    """)
    workflow.run()
    for name, text in (
        ("results/tables/a.csv", "csv"),
        ("results/plots/a.png", "png"),
        ("results/log", "log"),
        ("links/to_a", "csv"),
        ("made/to_a", "png"),
    ):
        assert f"{text}\n" == (workflow / name).read_text(), name
    assert [] == workflow.staged()
