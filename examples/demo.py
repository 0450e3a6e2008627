"""Show Atomik's promise on a real job: publish, kill -9 while it writes, replace while others read.

    python demo.py [DIR]

runs `stdlib_index.py` as processes of their own and looks at what they publish. The index is left in DIR; without one,
everything happens in a temporary directory. The exit status is 0 only if all that was seen is as promised.
"""

import argparse
import contextlib
import csv
import hashlib
import importlib.util
import io
import itertools
import multiprocessing
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TypeAlias

INDEXER = Path(__file__).with_name("stdlib_index.py")
PIPELINE = Path(__file__).with_name("luigi_stdlib.py")
WORKFLOW = Path(__file__).parent / "snakemake_stdlib" / "resumed.py"
OUTPUTS = ("modules.csv", "by_package/")
RANKINGS = ("largest.csv", "imported.csv")
PIPELINE_OUTPUTS = ("modules.csv", "by_package", "imported.csv")
KILLS = 5
READERS = 2
ABSENT = "absent"

#: How often which output was seen in which version.
Sightings: TypeAlias = Counter[tuple[str, str]]


class TornError(ValueError):
    """What a reader found is not the whole of any version."""


# --- Readers: each returns which version it read, or raises TornError.


def read_table(table: Path) -> str:
    """Read `modules.csv`, whose last row has to agree with all the others."""
    try:
        content = table.read_bytes()
    except FileNotFoundError:
        return ABSENT
    _, *rows = list(csv.reader(io.StringIO(content.decode()))) or [[]]
    total = rows.pop() if rows else []
    if total[:3] != ["TOTAL", str(len(rows)), str(sum(int(row[2]) for row in rows))]:
        msg = f"{len(content):,} bytes without a total that fits them"
        raise TornError(msg)
    return f"{len(rows):,} modules, sha256 {hashlib.sha256(content).hexdigest()[:8]}"


def read_folder(folder: Path) -> str:
    """Read all of `by_package/`, whose index has to agree with all the other files.

    The folder is held by its descriptor, so that all files are of one version. That version is removed when it has
    been replaced: files that are missing are then no defect, but a reason to read the new version.
    """
    while True:
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return ABSENT
        try:
            return read_held_folder(held)
        except FileNotFoundError as error:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(folder), os.fstat(held)):
                    msg = f"{error.filename} is missing"
                    raise TornError(msg) from error
        finally:
            os.close(held)


def read_held_folder(held: int) -> str:
    """Compare each file with its digest in the index; FileNotFoundError if one is missing."""

    def read(name: str) -> bytes:
        with open(name, "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=held)) as file:
            return file.read()

    index = read("INDEX.csv")
    _, *rows = csv.reader(io.StringIO(index.decode()))
    for name, _, digest in rows:
        if hashlib.sha256(read(name)).hexdigest() != digest:
            msg = f"{name} is not what the index says"
            raise TornError(msg)
    if unknown := set(os.listdir(held)) - {name for name, _, _ in rows} - {"INDEX.csv"}:
        msg = f"the index does not know {unknown}"
        raise TornError(msg)
    modules = sum(int(count) for _, count, _ in rows)
    return f"{modules:,} modules, sha256 {hashlib.sha256(index).hexdigest()[:8]}"


def look(place: Path) -> Iterator[tuple[str, str]]:
    """Read both outputs once: which version is there, or in which way it is torn?"""
    for output, read in zip(OUTPUTS, (read_table, read_folder), strict=True):
        try:
            yield output, read(place / output)
        except (ValueError, IndexError, csv.Error) as error:
            yield output, f"torn: {error}"


def look_at_pipeline(place: Path) -> Iterator[tuple[str, str]]:
    """Read what the pipeline makes: both outputs, and two more that have to be there together."""
    yield from look(place)
    there = [(place / name).read_bytes() for name in RANKINGS if (place / name).exists()]
    if len(there) == len(RANKINGS):
        yield "2 rankings", f"both, sha256 {hashlib.sha256(b''.join(there)).hexdigest()[:8]}"
    else:
        yield "2 rankings", f"torn: {len(there)} of {len(RANKINGS)}" if there else ABSENT


def look_all_the_time(place: Path, stop: Event, result: Connection) -> None:
    """Count what there is to be seen until told to stop; runs as a process of its own."""
    os.nice(5)  # it is the writer that one waits for
    seen: Sightings = Counter()
    while not stop.is_set():
        seen.update(look(place))
    result.send(seen)


# --- Writers: `stdlib_index.py` or `luigi_stdlib.py`, as a process that can be killed.


def start(place: Path, *options: str, quiet: bool = True, script: Path = INDEXER) -> subprocess.Popen[str]:
    """Start the job; return when it begins to read and write."""
    process = subprocess.Popen(
        [sys.executable, script, place, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101 (for the type checker)
    process.stdout.readline()
    return process


def run(place: Path, *options: str, quiet: bool = True, script: Path = INDEXER) -> float:
    """Let the job run to its end; return the seconds it was reading and writing."""
    with start(place, *options, quiet=quiet, script=script) as process:
        begin = time.monotonic()
        if process.wait() != 0:
            sys.exit(f"{script.name} failed with status {process.returncode}")
        return time.monotonic() - begin


def run_and_kill(place: Path, *options: str, after: float) -> bool:
    """Kill the job when it has been writing for so many seconds; was it still at it?"""
    with start(place, *options) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


# --- The account.


class Account:
    """Prints what was seen, and remembers whether all of it is as promised."""

    def __init__(self) -> None:
        self.whole: set[tuple[str, str]] = set()
        self.as_promised = True

    def title(self, text: str) -> None:
        """Begin a part of the account."""
        print(f"\n{text}", flush=True)

    def line(self, subject: str, text: str, remark: str, *, fine: bool) -> None:
        """Print a line of the account."""
        self.as_promised &= fine
        print(f"    {subject:12}  {text:30}  {remark}{'' if fine else '  <-- BROKEN PROMISE'}", flush=True)

    def judge(self, seen: Sightings, unit: str, *, absent: bool = False) -> None:
        """Only what is known to be whole is fine, and where there was nothing before, nothing."""
        for (output, version), count in sorted(seen.items(), reverse=True):
            fine = (output, version) in self.whole or (absent and version == ABSENT)
            self.line(output, version, f"{count:,} {unit}", fine=fine)

    def publish(self, place: Path, *options: str) -> float:
        """Let the job run undisturbed and learn what a whole output looks like; return its seconds."""
        seconds = run(place, *options, quiet=False)
        for output, version in look(place):
            if "sha256" in version:
                self.whole.add((output, version))
            self.line(output, version, f"in {seconds:.1f} s", fine=(output, version) in self.whole)
        return seconds

    def kill(self, places: Iterator[Path], *options: str, within: float, absent: bool = False) -> None:
        """Kill the job at random moments, each time in the next place, and see what it left there."""
        seen: Sightings = Counter()
        litter: list[str] = []
        moments: list[float] = []
        while len(moments) < KILLS:
            show(f"kill {len(moments) + 1} of {KILLS}")
            place = next(places)
            before = set(os.listdir(place))
            moment = random.uniform(0, within)  # noqa: S311 (no secret)
            if run_and_kill(place, *options, after=moment):
                moments.append(moment)
                seen.update(look(place))
                litter += set(os.listdir(place)) - before - {output.rstrip("/") for output in OUTPUTS}
        show("")
        print(f"    after {', '.join(f'{moment:.2f}' for moment in sorted(moments))} s of writing:")
        self.judge(seen, f"of {KILLS} times", absent=absent)
        for kind, count in Counter(name[: len(".atomik-")] for name in litter).items():
            self.line("besides", f"{kind}..., staged, hidden", f"{count} in all", fine=kind == ".atomik-")

    def resume(self, place: Path, *options: str) -> None:
        """Kill the pipeline in each of its tasks, and let it go on each time from where it was."""
        seen: Sightings = Counter()
        for complete in range(len(PIPELINE_OUTPUTS)):
            show(f"kill {complete + 1} of {len(PIPELINE_OUTPUTS)}")
            with start(place, *options, script=PIPELINE) as process:
                while process.poll() is None and sum((place / name).exists() for name in PIPELINE_OUTPUTS) < complete:
                    time.sleep(0.01)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(random.uniform(0, 0.2))  # noqa: S311 (no secret)
                process.kill()
            seen.update(look_at_pipeline(place))
        show("")
        seconds = run(place, *options, script=PIPELINE)
        *_, rankings = look_at_pipeline(place)
        self.whole.add(rankings)
        self.judge(seen, f"of {len(PIPELINE_OUTPUTS)} times", absent=True)
        print(f"    and when it is run to its end, in {seconds:.1f} s:")
        for output, version in look_at_pipeline(place):
            self.line(output, version, "whole", fine=(output, version) in self.whole and version != ABSENT)
        litter = [name for name in os.listdir(place) if name.startswith(".atomik-")]
        self.line("besides", ", ".join(litter) or "nothing", "left", fine=not litter)

    def replace(self, place: Path, *runs: tuple[str, ...]) -> None:
        """Replace the index again and again while readers look all the time."""
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        results = []
        for _ in range(READERS):
            result, sender = context.Pipe(duplex=False)
            context.Process(target=look_all_the_time, args=(place, stop, sender), daemon=True).start()
            sender.close()  # so that only the reader holds it, and its death is noticed
            results.append(result)
        try:
            for options in runs:
                run(place, "--overwrite", *options, quiet=False)
            time.sleep(0.5)  # for the readers to see the last one, too
        finally:
            stop.set()
        seen: Sightings = Counter()
        for result in results:
            seen.update(result.recv())
        self.judge(seen, "looks")


def show(text: str) -> None:
    """Show on a terminal what is going on, in place of what was shown before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def new_places(base: Path) -> Iterator[Path]:
    """Make one empty directory after the other."""
    while True:
        yield Path(tempfile.mkdtemp(dir=base))


def demo(base: Path, scratch: Path) -> bool:
    """Publish, kill, replace; was all as promised?"""
    account = Account()
    index = base / "index"
    print(f"The standard library of Python {platform.python_version()}, indexed into {index}")

    account.title("1. Publish a file and a folder, with and without the library's own tests.")
    account.publish(index, "--overwrite")
    seconds = account.publish(scratch / "without-tests", "--without-tests")

    account.title(f"2. Kill -9 it {KILLS} times while it writes, each time in a new place: whole or absent.")
    account.kill(new_places(scratch), "--without-tests", within=seconds, absent=True)

    account.title(f"   Kill -9 it {KILLS} times while it overwrites a copy of the index: old or new, always whole.")
    copy = shutil.copytree(index, scratch / "copy")
    account.kill(itertools.repeat(copy), "--without-tests", "--overwrite", within=seconds)

    account.title(f"3. Overwrite the index twice while {READERS} readers look all the time: only whole versions.")
    account.replace(index, ("--without-tests",), ())

    if importlib.util.find_spec("luigi_atomik"):
        account.title("4. The same as three tasks of Luigi: kill -9 it in each; the next run goes on from there.")
        account.resume(Path(tempfile.mkdtemp(dir=scratch)), "--without-tests")

    if importlib.util.find_spec("snakemake_atomik"):
        account.title("5. The same as a workflow of Snakemake: kill -9 it half-way; the next run goes on from there.")
        account.as_promised &= subprocess.run([sys.executable, WORKFLOW, index], check=False).returncode == 0

    account.title("All was as promised." if account.as_promised else "NOT all was as promised.")
    return account.as_promised


def main() -> None:
    """Read the command line and choose the place."""
    parser = argparse.ArgumentParser(description="Show Atomik's promise on a real job.")
    parser.add_argument("dir", type=Path, nargs="?", metavar="DIR", help="where the index is left")
    options = parser.parse_args()
    if options.dir:
        options.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-", dir=options.dir) as scratch:
        sys.exit(not demo(options.dir or Path(scratch), Path(scratch)))


if __name__ == "__main__":
    main()
