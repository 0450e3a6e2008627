"""What a job makes is never thrown away: beside its outputs, at their final paths, as links."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from integration_snakemake.workflows import NEWEST, OLDEST, PATIENCE
from support.needs import need_root, need_tool
from support.waiting import wait_until
from support.watch import litter

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


def test_a_database_with_a_journal_is_not_copied(workflow):
    """What somebody has written to an SQLite database and is in its journal only is not lost by update(): it is changed in place."""
    program = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
    subprocess.run(
        [
            sys.executable,
            "-c",
            program
            + "c.execute('PRAGMA journal_mode=WAL'); c.execute('CREATE TABLE t (x)'); c.execute('INSERT INTO t VALUES (1)'); os._exit(0)",
            workflow / "db",
        ],
        check=True,
    )
    assert (workflow / "db-wal").exists()
    workflow.write(program + "c.execute('INSERT INTO t VALUES (2)')", "insert.py")
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic(update("db"))
            shell: "python insert.py {output}"
    """)
    out = workflow.run("--forceall").out
    assert "are not staged, and so not atomic: db: a journal of SQLite's lies beside it" in out
    with contextlib.closing(sqlite3.connect(workflow / "db")) as connection:
        assert [(1,), (2,)] == connection.execute("SELECT x FROM t ORDER BY x").fetchall()


@pytest.mark.leaves_litter
def test_an_output_of_another_job_that_is_made_beside_is_kept(workflow):
    """A job that makes, beside its output, what another rule declares does not see it: that is said, and the other's is kept."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "results/a"
            output: atomic("results/b")
            shell: "cp {input} {output}; echo more >> $(dirname {output})/a"

        rule:
            output: atomic("results/a")
            shell: "echo a > {output}"
    """)
    out = workflow.run("results/b", "--rerun-triggers", "mtime").out
    assert "made files beside its outputs that another job has made, too: results/a" in out
    [kept] = (workflow / "results").glob("atomik-kept-*")
    assert "a\n" == kept.read_text()
    assert "more\n" == (workflow / "results/a").read_text()


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
    """A full disk, or a file where the directory was: every output of the job is where the message says."""
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
            shell: "echo a > {{output[0]}}; echo b > {{output[1]}}; rmdir gone; touch gone"
    """)
    kept = _kept(workflow.run("full", fails=True, ATOMIK_SNAKEMAKE_TMP_DIR=str(workflow / "scratch")).out)
    found = {path.name: path.stat().st_size for folder in kept for path in folder.rglob("*") if path.is_file()}
    assert {"a": 2, "b": 2, "c": 16 << 20, "d": 2} == {name: found[name] for name in "abcd"}
    assert {folder.name for folder in kept if folder.parent == full} == set(os.listdir(full))

    [kept] = _kept(workflow.run("gone", fails=True).out)
    assert ["a\n", "b\n"] == [(kept / name).read_text() for name in ("here/a", "gone/b")]
    assert not (workflow / "here/a").exists()


def _kept(out):
    """Where the message says that everything is kept."""
    message = next(line for line in out.splitlines() if "everything is kept in " in line)
    return [Path(each) for each in re.findall(r"'([^']*/atomik-kept-[^']*)'", message)]


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


def test_a_full_shadow_is_run_again(workflow):
    """The shadow directory has a link to the old version: the new one stays, and is not replaced by what is made of that link."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "in"
            output: atomic("out/file"), atomic(directory("out/folder"))
            shadow: "full"
            shell: "cp {input} {output[0]}; mkdir {output[1]}; cp {input} {output[1]}"
    """)
    for text in ("1", "2"):
        workflow.write(text, "in")
        workflow.run()
        for name in ("out/file", "out/folder/in"):
            assert not (workflow / name).is_symlink()
            assert text == (workflow / name).read_text()


def test_a_link_from_a_shallow_shadow(workflow):
    """Such a shadow links to the directory of the output: the link that was published there is not replaced by one to itself."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "in"
            output: atomic("out/file"), atomic("out/link"), atomic(directory("out/to_folder"))
            shadow: "shallow"
            shell: "cp {input} {output[0]}; ln -s file {output[1]}; ln -s data {output[2]}"
    """)
    (workflow / "out/data").mkdir(parents=True)
    for text in ("1", "2"):
        workflow.write(text, "in")
        workflow.run()
        assert text == (workflow / "out/link").read_text()
        assert ["file", "data"] == [os.readlink(workflow / "out" / name) for name in ("link", "to_folder")]


def test_a_link_in_a_directory_that_is_one(workflow, tmp_path):
    """A results directory on another disk: the link leads to the new version, which is what `ensure()` looks at, not to the old one."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "in"
            output: atomic("results/file"), atomic(ensure("results/latest", non_empty=True)), atomic("results/in/link")
            shell: "cp {input} {output[0]}; ln -s file {output[1]}; ln -s ../file {output[2]}"
    """)
    (workflow / "elsewhere" / "store").mkdir(parents=True)
    (workflow / "results").symlink_to("elsewhere/store")
    for text in ("1", "2"):
        workflow.write(text, "in")
        workflow.run()
        assert text == (workflow / "results/latest").read_text() == (workflow / "results/in/link").read_text()
    workflow.write("", "in")
    assert "unexpected empty output" in workflow.run(fails=True).out
    assert "2" == (workflow / "results/file").read_text()


@pytest.mark.leaves_litter
def test_what_several_jobs_make_beside_their_outputs(workflow):
    """Each sees only its own: what another job has made is kept, and it is said; what the job itself made before is replaced."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule all:
            input: "out/a", "out/b"

        rule make:
            input: "in"
            output: atomic("out/{name}")
            shell:
                "cp {input} {output}; cp {input} {output}.idx; made=$(dirname {output})/made; mkdir -p $made; "
                "echo {wildcards.name} >> $made/history"
    """)
    for text in ("1", "2"):
        workflow.write(text, "in")
        out = workflow.run().out
        assert "Rule make made files beside its outputs that another job has made, too: out/made/history." in out
        assert text == (workflow / "out/a.idx").read_text() == (workflow / "out/b.idx").read_text()
        histories = [path.read_text() for path in (workflow / "out/made").iterdir()]
        assert {"a\n", "b\n"} == set(histories)

    workflow.write("3", "in")
    out = workflow.run(fails=True, ATOMIK_SNAKEMAKE_STRICT="1").out
    assert "This is an error, since the settings of snakemake_atomik are strict." in out
    assert "is kept in" in out


def _waiting(lock: Path) -> int:
    """Return how many wait for the lock of a file (proc_locks(5))."""
    inode = f":{lock.stat().st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.mark.parametrize("name", ["history", "$(basename {output})"])
@pytest.mark.leaves_litter
def test_jobs_that_make_the_same_folder_at_once(workflow, name):
    """Both find no folder there when they end: each file that both have made is kept, and a folder that both made is no loss."""
    workflow.write(f"""
        from snakemake_atomik import atomic

        rule all:
            input: "out/a", "out/b"

        rule make:
            output: atomic("out/{{name}}")
            shell: "touch {{output}}; made=$(dirname {{output}})/made; mkdir $made; echo {{wildcards.name}} >$made/{name}"
    """)
    lock = workflow.write("", ".snakemake/atomik-beside/lock")
    with lock.open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        process = workflow.start()
        wait_until(lambda: _waiting(lock) == 2, "the wait of both jobs for their turn")
    out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, out
    made = list((workflow / "out/made").iterdir())
    assert {"a\n", "b\n"} == {path.read_text() for path in made}
    kept = [path for path in made if path.name.startswith("atomik-kept-")]
    assert len(kept) == (name == "history")
    assert ("that another job has made, too" in out) == bool(kept)
    if kept:
        assert "that another job has made, too: out/made/history." in out
        assert f"What another job had made at {workflow / 'out/made/history'} is kept as {kept[0]}." in out


def test_a_link_to_what_was_made_beside_it(workflow):
    """A folder with the version in its name, which is no output, and an output that is a link to it: both, again and again."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "in"
            output: atomic(directory("out/current"))
            shell: "v=$(cat {input}); mkdir {output}_$v; cp {input} {output}_$v; ln -s current_$v {output}"
    """)
    (workflow / "out/current").mkdir(parents=True)
    (workflow / "out/current/old").touch()
    for text in ("1", "2"):
        workflow.write(text, "in")
        workflow.run()
        assert f"current_{text}" == os.readlink(workflow / "out/current")
        assert text == (workflow / "out/current/in").read_text()
    assert {"current", "current_1", "current_2"} == set(os.listdir(workflow / "out"))
    assert [] == workflow.staged()


def test_a_directory_that_a_job_makes_read_only(workflow):
    """It is published as it was made, though its user may not write to it: then Snakemake fails to, as without Atomik."""
    if os.geteuid() == 0:
        need_tool("setpriv")
        workflow.prefix = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            input: "in"
            output: atomic(directory("made"))
            shell: "mkdir {output}; cp {input} {output}; chmod 555 {output}"
    """)
    workflow.write("1", "in")
    out = workflow.run(fails=True).out
    assert "PermissionError: [Errno 13] Permission denied: 'made/.snakemake_timestamp'" in out
    assert ["in"] == os.listdir(workflow / "made")
    assert 0o555 == stat.S_IMODE((workflow / "made").stat().st_mode)
    (workflow / "made").chmod(0o755)


@pytest.mark.leaves_litter
def test_what_cannot_be_looked_at_is_kept(workflow):
    """A job that takes the rights from the directory of its outputs has succeeded: what it made stays, and it is said where."""
    if os.geteuid() == 0:
        need_tool("setpriv")
        workflow.prefix = (
            "setpriv",
            "--bounding-set=-dac_override,-dac_read_search",
            "--inh-caps=-dac_override,-dac_read_search",
        )
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("results/a")
            shell: "echo hours of work > {output}; chmod 000 $(dirname {output})"
    """)
    out = workflow.run(fails=True).out
    assert "is kept in" in out
    assert "Permission denied" in out
    [kept] = (workflow / ".snakemake/atomik").glob("atomik-kept-*")
    (kept / "results").chmod(0o700)
    assert "hours of work\n" == (kept / "results/a").read_text()


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


@pytest.mark.parametrize("link", ["results", ".snakemake"])
def test_outputs_keep_their_places_if_a_link_leads_to_another_mount(workflow, mounts, link):
    """So they do if the folder of the results, or Snakemake's own, is a link to a scratch disk; a killed run's go with the next."""
    scratch = mounts("tmpfs")
    (workflow / link).symlink_to(scratch)
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("results/a/x"), atomic("results/b/y"), atomic("here")
            shell:
                "top=$(dirname {output[0]})/..; mkdir $top/logs; echo log > $top/logs/x.log; echo x > {output[0]}; "
                "echo y > $top/b/y; ln -sr {output[0]} {output[2]}; if [ -e kill ]; then rm kill; kill -9 $PPID $$; fi"
    """)
    workflow.write("", "kill")
    workflow.run(fails=True)
    assert litter(scratch)
    assert litter(workflow.path)
    workflow.run("--nolock")

    expected = {"results/a/x": "x", "results/b/y": "y", "results/logs/x.log": "log", "here": "x"}
    assert {name: (workflow / name).read_text().strip() for name in expected} == expected
    assert litter(scratch) == litter(workflow.path) == []
