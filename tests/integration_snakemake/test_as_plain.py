"""A workflow leaves the same files with the same content, plain and with every output atomic."""

from __future__ import annotations

import os
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from integration_snakemake.workflows import Workflow

pytestmark = [pytest.mark.system, pytest.mark.slow]


@dataclass(frozen=True)
class Run:
    """One run of Snakemake: its ARGUMENTS, what the environment says, whether it fails, whether it is plain in any case."""

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    fails: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Case:
    """A workflow, the files that are there at first, how it is run, and which files are to have which content at the end."""

    snakefile: str
    wanted: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    runs: tuple[Run, ...] = (Run(),)


AGAIN = Run(("--forceall",))
PLAIN = Run(plain=True)

#: A final path that no look at the code finds.
HIDDEN = '"".join(["hid", "den"])'

CASES = {
    "a script that appends to its final path, on results of plain runs": Case(
        """
        rule a:
            output: "results/a"
            params: path="results/a"
            script: "append.py"
        """,
        {"results/a": "line\n"},
        {"append.py": 'open(snakemake.params.path, "a").write("line\\n")'},
        (PLAIN, AGAIN, AGAIN),
    ),
    "a script that makes a directory at its final path, on results of plain runs": Case(
        """
        rule a:
            output: directory("results")
            params: path="results"
            script: "make.py"
        """,
        {"results/a": "a"},
        {
            "make.py": 'import os; os.mkdir(snakemake.params.path); open(os.path.join(snakemake.params.path, "a"), "w").write("a")'
        },
        (PLAIN, AGAIN, AGAIN),
    ),
    "a command that names one output, and appends to the other": Case(
        """
        rule a:
            output: "results/a", b="results/b"
            params: b="results/b"
            shell: "echo a > {output[0]}; echo b >> {params.b}; : {{output.b}}"
        """,
        {"results/a": "a\n", "results/b": "b\n"},
        runs=(PLAIN, AGAIN, AGAIN),
    ),
    "a command that names each output, which begin anew": Case(
        """
        rule a:
            output: "results/a", b="results/b"
            shell: "echo a >> {output[0]}; awk 'BEGIN {{print 1}}' >> {output.b:q}; : {{{{{output}}}}}"
        """,
        {"results/a": "a\n", "results/b": "1\n"},
        runs=(PLAIN, AGAIN, AGAIN),
    ),
    "a rule in a full shadow directory that appends to its final path": Case(
        """
        rule a:
            output: "results/a"
            shadow: "full"
            shell: "echo line >> results/a"
        """,
        {"results/a": "line\n"},
        runs=(Run(), AGAIN, AGAIN),
    ),
    "a rule in a shallow shadow directory that makes a link at its final path": Case(
        """
        rule a:
            output: "results/a"
            shadow: "shallow"
            shell: "echo a > made; ln made results/a"
        """,
        {"results/a": "a\n"},
        runs=(Run(), AGAIN, AGAIN),
    ),
    "touch() of a file that the command writes": Case(
        """
        rule a:
            output: touch("results/done")
            shell: "echo done >> results/done"
        """,
        {"results/done": "done\n"},
        runs=(Run(), AGAIN, AGAIN),
    ),
    "update() of a directory with another output and a log in it": Case(
        """
        rule a:
            output: update(directory("d")), "d/x"
            log: "d/log"
            shell: "echo x >> {output[1]}; echo l >> {log}; echo y >> {output[0]}/y"
        """,
        {"d/x": "x\n", "d/log": "l\n", "d/y": "y\ny\n"},
        runs=(Run(), AGAIN),
    ),
    "files beside the outputs of a rule in a shallow shadow directory": Case(
        """
        rule a:
            output: "results/a", "b"
            shadow: "shallow"
            shell: "for name in {output}; do echo $name | wc -l > $name; cp $name $name.index; done"
        """,
        {"results/a": "1\n", "results/a.index": "1\n", "b": "1\n"},
        {"results/other": ""},
    ),
    "a rule in a shadow directory below a directory whose name has a space": Case(
        """
        workdir: "my project"
        rule a:
            output: "a", "sub/b"
            shadow: "minimal"
            shell: "echo a > {output[0]}; cd sub; echo b > ../{output[1]}"
        """,
        {"my project/a": "a\n", "my project/sub/b": "b\n"},
    ),
    "an output that comes late": Case(
        """
        rule a:
            output: "a", directory("b")
            shell: "(sleep 1; echo a > {output[0]}; mkdir {output[1]}; echo b > {output[1]}/b) > log 2>&1 &"
        """,
        {"a": "a\n", "b/b": "b\n", "log": ""},
    ),
    "an output that is a link to the input": Case(
        """
        rule a:
            input: "in"
            output: "results/a"
            shell: "ln {input} {output}"
        """,
        {"results/a": "in"},
        {"in": "in"},
        (Run(), AGAIN, AGAIN),
    ),
    "a command that mentions the final path of an output": Case(
        """
        rule a:
            output: "r/a.bam", "r/a.bam.bai"
            shell: "echo a > {output[0]}; echo i > {output[0]}.bai; echo wrote r/a.bam.bai >&2"
        """,
        {"r/a.bam": "a\n", "r/a.bam.bai": "i\n"},
        runs=(Run(), AGAIN),
    ),
    "a directory whose other output is made at its final path": Case(
        """
        rule a:
            output: directory("out"), "out/a.txt"
            shell: "mkdir -p {output[0]}; echo b > {output[0]}/b; echo a > out/a.txt"
        """,
        {"out/a.txt": "a\n", "out/b": "b\n"},
        runs=(Run(), AGAIN),
    ),
    "a log that is made beside the output by a rule that fails": Case(
        """
        rule a:
            output: "r/a"
            log: "r/a.log"
            shell: "echo why > $(dirname {output})/a.log; exit 1"
        """,
        {"r/a.log": "why\n"},
        runs=(Run(fails=True),),
    ),
    "a killed job that had begun to change the final path of its update() output": Case(
        f"""
        rule a:
            output: update("hidden")
            run:
                import os, signal
                with open({HIDDEN}, "w") as file:
                    file.write("half")
                os.kill(os.getpid(), signal.SIGKILL)
                print(output)
        """,
        {"hidden": "old"},
        {"hidden": "old"},
        (Run(("--forceall",), fails=True),),
    ),
    "a killed job that had begun to write to its final path, and is run again": Case(
        f"""
        rule a:
            output: "hidden"
            run:
                import os, signal
                with open({HIDDEN}, "a") as file:
                    file.write("one")
                if "KILL" in os.environ:
                    os.kill(os.getpid(), signal.SIGKILL)
                open({HIDDEN}, "a").write("two")
                print(output)
        """,
        {"hidden": "onetwo"},
        runs=(Run(fails=True, environment={"KILL": "1"}), Run()),
    ),
    "a killed Snakemake whose job had begun to write to its final path": Case(
        """
        rule a:
            output: "hidden"
            script: "append.py"
        """,
        {"hidden": "onetwo"},
        {
            "append.py": f"""
import os, signal
with open({HIDDEN}, "a") as file:
    file.write("one")
if "KILL" in os.environ:
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
with open({HIDDEN}, "a") as file:
    file.write("two")
"""
        },
        (
            Run(fails=True, environment={"KILL": "1"}),
            Run(("--unlock",)),
            Run(fails=True),
            Run(("--rerun-incomplete",)),
        ),
    ),
    "a job that fails with other params, and --ignore-incomplete": Case(
        """
        import os
        rule a:
            output: "a"
            params: value=os.environ["VALUE"]
            shell: "echo {params.value} > {output}; test -z \\"${{BAD:-}}\\""
        """,
        {"a": "two\n"},
        runs=(
            Run(environment={"VALUE": "one"}),
            Run(environment={"VALUE": "two", "BAD": "1"}, fails=True),
            Run(("--ignore-incomplete",), {"VALUE": "two"}),
        ),
    ),
}


def _files(top: Path) -> dict[str, str]:
    """All files but Snakemake's own, with their content."""
    found = {}
    for directory, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in {".snakemake", "cache"}]
        for name in names:
            path = Path(directory, name)
            found[str(path.relative_to(top))] = path.read_text()
    return {name: text for name, text in found.items() if not name.endswith(".snakemake_timestamp")}


@pytest.mark.parametrize("name", CASES)
def test_the_same_files(workflow: Workflow, name: str) -> None:
    """What the runs leave is the same, and what was wanted; the first that differs is a loss."""
    case, top = CASES[name], workflow.path
    for way in ("plain", "atomic"):
        workflow.path = top / way / "w"
        workflow.write(case.snakefile)
        for file, text in case.files.items():
            path = workflow / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        for run in case.runs:
            atomic = way == "atomic" and not run.plain
            arguments = ("--logger", "atomik") if atomic else ()
            environment = {"ATOMIK_SNAKEMAKE_ALL_OUTPUTS": "1"} if atomic else {}
            workflow.run(*run.arguments, *arguments, fails=run.fails, **environment, **run.environment)
        left = {name.removeprefix("w/"): text for name, text in _files(top / way).items()}
        given = {"Snakefile", *case.files} - case.wanted.keys()
        assert given <= left.keys()
        assert case.wanted == {name: text for name, text in left.items() if name not in given}, way
        shutil.rmtree(workflow.path)
    workflow.path = top
