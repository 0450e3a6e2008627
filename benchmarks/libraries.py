"""What libraries that write files atomically do, found out by using them.

    python benchmarks/libraries.py [--write]

Each question is put to each library that is installed, in a process of its own, in an empty directory on the disk: it is
killed, raced, traced. Prints a table with the versions; `--write` puts it into docs/explanation/other-libraries.md. Needs
strace for what is synced when. `tox run -e bench` installs the libraries and runs this, too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "other-libraries.md"
GENERATED = re.compile(r"(<!-- generated: .*? -->\n).*(<!-- end -->\n)", re.DOTALL)

#: How each library writes a text to `path`: as its documentation begins, then with overwriting refused or allowed. Each is
#: a context manager whose block is what the library calls the writing of it.
LIBRARIES = {
    "Atomik": (
        "atomik",
        """
import atomik
default = lambda: atomik.file(path)
refuse = lambda: atomik.file(path)
replace = lambda: atomik.file(path, overwrite=True)
""",
    ),
    "atomicwrites": (
        "atomicwrites",
        """
from atomicwrites import atomic_write
default = lambda: atomic_write(path)
refuse = lambda: atomic_write(path)
replace = lambda: atomic_write(path, overwrite=True)
""",
    ),
    "boltons": (
        "boltons",
        """
from boltons.fileutils import atomic_save
default = lambda: atomic_save(path, text_mode=True)
refuse = lambda: atomic_save(path, text_mode=True, overwrite=False)
replace = lambda: atomic_save(path, text_mode=True)
""",
    ),
    "safer": (
        "safer",
        """
import safer
default = lambda: safer.open(path, "w")
refuse = lambda: safer.open(path, "x")
replace = lambda: safer.open(path, "w")
""",
    ),
    "safer, `temp_file=True`": (
        "safer",
        """
import safer
default = lambda: safer.open(path, "w", temp_file=True)
refuse = lambda: safer.open(path, "x", temp_file=True)
replace = lambda: safer.open(path, "w", temp_file=True)
""",
    ),
    "atomicwriter": (
        "atomicwriter",
        """
from contextlib import contextmanager
from types import SimpleNamespace
from atomicwriter import AtomicWriter
@contextmanager
def written(overwrite):
    with AtomicWriter(path, overwrite=overwrite) as writer:
        yield SimpleNamespace(write=writer.write_text, flush=lambda: None)
default = refuse = lambda: written(False)
replace = lambda: written(True)
""",
    ),
}

HEAD = """
import os, pathlib, signal, sys
path = "d/f"
def spell(way, text="new", then=lambda: None):
    with way() as file:
        file.write(text)
        file.flush()
        then()
"""


class Library:
    """One library in one directory after another."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source

    def run(self, directory: Path, program: str, *, trace: Path | None = None) -> int:
        """Run a program that uses `spell` and the ways; return its exit status."""
        command = [sys.executable, "-c", HEAD + self.source + program]
        if trace is not None:
            calls = "trace=%desc,%file"
            command = ["strace", "-f", "-y", "-qq", "-e", calls, "-e", "signal=none", "-o", str(trace), *command]
        try:
            done = subprocess.run(command, cwd=directory, capture_output=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return -1
        return done.returncode


def overwrites(library: Library, directory: Path) -> str:
    """Something is there, and nothing was said about it."""
    (directory / "d/f").write_text("old")
    library.run(directory, "spell(default)")
    return "yes" if (directory / "d/f").read_text() == "old" else "no"


def raced(library: Library, directory: Path) -> str:
    """Overwriting is refused, and a rival's file appears during the block."""
    library.run(directory, 'spell(refuse, then=lambda: pathlib.Path(path).write_text("rival"))')
    if not (directory / "d/f").exists():
        return "cannot refuse"
    return "yes" if (directory / "d/f").read_text() == "rival" else "no"


def syncs_file(library: Library, directory: Path) -> str:
    """Look whether the content is synced, and on which side of the rename."""
    before, after, _ = traced(library, directory)
    return "yes" if before else "only after the rename" if after else "no"


def syncs_directory(library: Library, directory: Path) -> str:
    """Look whether the directory is synced after the rename."""
    return "yes" if traced(library, directory)[2] else "no"


def traced(library: Library, directory: Path) -> tuple[bool, bool, bool]:
    """Say whether the file is synced before and after it got its name, and the directory after that."""
    (directory / "d/f").write_text("old")
    trace = directory / "trace"
    library.run(directory, 'os.path.exists("begin"); spell(replace)', trace=trace)
    lines = trace.read_text().partition('"begin"')[2].splitlines()
    is_rename = re.compile(r"\b(rename\w*|link\w*)\(.*= 0$")
    last = max((number for number, line in enumerate(lines) if is_rename.search(line)), default=0)
    synced = [
        (number, line.partition("<")[2].partition(">")[0])
        for number, line in enumerate(lines)
        if re.search(r"\b(fsync|fdatasync|syncfs)\(", line)
    ]
    folder = str((directory / "d").resolve())
    files = [number for number, name in synced if name != folder]
    return (
        any(number < last for number in files),
        any(number > last for number in files),
        any(number > last for number, name in synced if name == folder),
    )


def killed(library: Library, directory: Path) -> str:
    """Kill it in the block, after a write."""
    library.run(directory, "spell(default, then=lambda: os.kill(os.getpid(), signal.SIGKILL))")
    return "nothing" if not os.listdir(directory / "d") else "a file"


def killed_writing(library: Library, directory: Path) -> str:
    """Kill it at each system call of a replacement; what readers then find."""
    found = set()
    for count in range(1, 200):
        (directory / "d/f").write_text("old")
        command = [
            sys.executable,
            "-c",
            HEAD + library.source + 'os.path.exists("begin"); spell(replace, "new" * 100_000)',
        ]
        inject = ["-e", f"inject=write:signal=SIGKILL:when={count}", "-e", "trace=write"]
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", *inject, *command],
            cwd=directory,
            capture_output=True,
            check=False,
        )
        text = (directory / "d/f").read_text()
        found.add("old" if text == "old" else "new" if text == "new" * 100_000 else "**half**")
        if done.returncode == 0:
            break
    return ", ".join(sorted(found - {"new"}) or ["new"]) + " or new"


def new_mode(library: Library, directory: Path) -> str:
    """Read the mode of a new file under the umask 0o022."""
    library.run(directory, "os.umask(0o022); spell(default)")
    mode = stat.S_IMODE((directory / "d/f").stat().st_mode)
    return "yes" if mode == 0o644 else f"no (0{mode:o})"


def old_mode(library: Library, directory: Path) -> str:
    """Replace a file of mode 0640."""
    (directory / "d/f").write_text("old")
    (directory / "d/f").chmod(0o640)
    library.run(directory, "os.umask(0o022); spell(replace)")
    mode = stat.S_IMODE((directory / "d/f").stat().st_mode)
    return "yes" if mode == 0o640 else f"no (0{mode:o})"


def link(library: Library, directory: Path) -> str:
    """Replace what is a symbolic link."""
    (directory / "d/target").write_text("old")
    (directory / "d/f").symlink_to("target")
    library.run(directory, "spell(replace)")
    return "followed" if (directory / "d/f").is_symlink() else "replaced"


def fifo(library: Library, directory: Path) -> str:
    """Replace what is a FIFO."""
    os.mkfifo(directory / "d/f")
    status = library.run(directory, "spell(replace)")
    if stat.S_ISFIFO((directory / "d/f").lstat().st_mode):
        return "hangs" if status == -1 else "refused"
    return "replaced"


def moved(library: Library, directory: Path) -> str:
    """Rename the directory during the block, and put another one in its place."""
    (directory / "other").mkdir()
    library.run(directory, 'spell(default, then=lambda: (os.rename("d", "e"), os.rename("other", "d")))')
    return "yes" if (directory / "e/f").exists() and not (directory / "d/f").exists() else "no"


def folders(library: Library, directory: Path) -> str:
    """Say what the documentation says: no interface for folders is none."""
    del directory
    return "yes" if library.name == "Atomik" else "no"


QUESTIONS: dict[str, Callable[[Library, Path], str]] = {
    "publishes and replaces folders": folders,
    "refuses to overwrite unless told": overwrites,
    "of two writers that refuse to overwrite, the second one is refused": raced,
    "syncs the content before the rename": syncs_file,
    "syncs the directory after it": syncs_directory,
    "killed in the block of a new file, leaves": killed,
    "killed while it replaces a file, leaves it": killed_writing,
    "a new file has the permissions that `open` gives": new_mode,
    "a replaced file keeps its permissions": old_mode,
    "a symbolic link at the destination is": link,
    "a FIFO at the destination is": fifo,
    "not misled if the directory is renamed meanwhile": moved,
}


def answers(scratch: Path) -> str:
    """Return the table."""
    titles, libraries = [], []
    for name, (distribution, source) in LIBRARIES.items():
        try:
            plain, comma, option = name.partition(",")
            titles.append(f"{plain} {version(distribution)}{comma}{option}")
        except PackageNotFoundError:
            print(f"{distribution} is not installed, and left out", file=sys.stderr)
            continue
        libraries.append(Library(name, source))
    lines = [f"| | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for question, ask in QUESTIONS.items():
        cells = []
        for library in libraries:
            with tempfile.TemporaryDirectory(dir=scratch) as directory:
                Path(directory, "d").mkdir()
                cells.append(ask(library, Path(directory)))
        lines.append(f"| {question} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description="What libraries that write files atomically do.")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where it is tried (%(default)s)")
    arguments = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed", file=sys.stderr)
        return 1
    table = answers(arguments.dir)
    print(table, end="")
    if arguments.write:
        PAGE.write_text(GENERATED.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
