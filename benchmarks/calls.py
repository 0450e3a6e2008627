"""The system calls of a publication, one by one and step by step.

    python benchmarks/calls.py [--write]

Runs each kind of publication under strace, when everything has been imported, and prints which calls it makes between one
step and the next; `--write` puts the table into docs/explanation/cost.md. Needs strace.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "cost.md"
GENERATED = re.compile(r"(<!-- generated: by benchmarks/calls.py .*? -->\n).*?(<!-- end -->\n)", re.DOTALL)

#: What is published, by what the table calls it.
KINDS = {
    "a new file": 'with atomik.file("new") as file: file.write("x")',
    "a file over a file": 'with atomik.file("file", overwrite=True) as file: file.write("x")',
    "a new folder": 'with atomik.folder("new") as folder: pass',
    "a folder over a folder": 'with atomik.folder("folder", overwrite=True) as folder: pass',
}

#: Says each step by looking for a file of its name: that is seen in the trace, and changes nothing.
PROGRAM = """
import os
import atomik
from atomik_core import testing
def publish():
    BODY
publish()
if os.path.exists("new"):
    atomik.remove("new")
with testing.watching(lambda publication, step: os.path.exists("step:" + step)):
    os.path.exists("step:begin")
    publish()
os.path.exists("step:end")
"""

STEPS = {
    "opened": "open",
    "sealed": "the block, then seal",
    "synced": "set metadata, sync the content",
    "published": "publish",
    "durable": "sync the directory",
    "tidied": "remove the old one",
    "end": "let go",
}

CALL = re.compile(r"^\d+ +(\w+)\((.*)$", re.MULTILINE)
MARK = re.compile(r'"step:(\w+)"')


def calls(body: str, directory: Path) -> dict[str, list[str]]:
    """Return the calls that lead up to each step."""
    (directory / "folder").mkdir()
    (directory / "file").write_text("old")
    trace = directory / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=%desc,%file", "-e", "signal=none", "-o", str(trace)]
    program = PROGRAM.replace("BODY", body)
    subprocess.run([*command, sys.executable, "-c", program], cwd=directory, check=True)
    _, _, text = trace.read_text().partition('"step:begin"')
    found: dict[str, list[str]] = {}
    since: list[str] = []
    for name, arguments in CALL.findall(text):
        if mark := MARK.search(arguments):
            found[mark[1]] = since
            since = []
        else:
            since.append(name)
    return found


def said(names: list[str]) -> str:
    """Say what is called, in order; the same call several times in a row is said once."""
    runs = [(name, len(list(run))) for name, run in groupby(names)]
    return ", ".join(f"`{name}`" if count == 1 else f"`{name}` {count} times" for name, count in runs) or "none"


def table(scratch: Path) -> str:
    """Return the table: a line for each step and kind."""
    lines = ["| published | step | system calls |", "|---|---|---|"]
    for title, body in KINDS.items():
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            found = calls(body, Path(directory))
        total = sum(map(len, found.values()))
        for step, names in found.items():
            lines.append(f"| {title} ({total}) | {STEPS[step]} | {said(names)} |")
            title, total = "", 0  # noqa: PLW2901 - said once
    return re.sub(r"^\|  \(0\) \|", "| |", "\n".join(lines) + "\n", flags=re.MULTILINE)


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description="The system calls of a publication.")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where it is tried (%(default)s)")
    arguments = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed", file=sys.stderr)
        return 1
    text = table(arguments.dir)
    print(text, end="")
    if arguments.write:
        PAGE.write_text(GENERATED.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
