"""What the command costs, as ratios: `atomik run` to its own necessities, `atomik copy` to the fastest that is as durable.

    python benchmarks/command.py [--disk DIR] [--rounds N] [--limit RATIO]

`atomik run` publishes one output of a program that does nothing but make it, on tmpfs, in turns with the two things that
cannot be spared: the program itself, and a Python that imports click.

A tree of 10,000 files of 4 KiB is copied in turns by `atomik copy` and by `cp -a` with `sync -f` after it. ext4 and xfs are
made in image files, for which root is needed.

All are whole programs, their start included, with everything compiled as by an installation. What is compared are medians:
of the processor time for `atomik run`, of the time that passes for `atomik copy`, which waits for the disk. The exit status
is 1 if a ratio is above the limit.
"""

from __future__ import annotations

import argparse
import atexit
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core import CONTENT, directory_on, run

FILES = 10_000
IN_A_FOLDER = 100

STARTS = 20  # rounds of `atomik run` for each round of a copy

Copy = Callable[[Path, Path], None]


def run_ratio(rounds: int) -> float:
    """Print what `atomik run` costs, and what it needs; return the ratio of the processor time."""
    script = Path(sys.executable).with_name("atomik")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        output = Path(directory, "output")
        ours = [[script, "run", "--overwrite", "-o", output, "--", "touch", "{}"]]
        least = [[sys.executable, "-c", "import click"], ["touch", output]]
        taken: dict[str, list[tuple[float, float]]] = {"ours": [], "least": []}
        for turn in range(rounds + 1):
            for name, commands in (("ours", ours), ("least", least)):
                found = cost(commands)
                if turn > 0:  # the first compiles
                    taken[name].append(found)
    (cpu, elapsed), (least_cpu, least_elapsed) = (
        map(statistics.median, zip(*each, strict=True)) for each in taken.values()
    )
    ratio = cpu / least_cpu
    print(
        f"atomik run {cpu * 1e3:.1f} ms, import click and the program {least_cpu * 1e3:.1f} ms, ratio {ratio:.2f} "
        f"(elapsed {elapsed * 1e3:.1f} ms and {least_elapsed * 1e3:.1f} ms)"
    )
    return ratio


def cost(commands: Sequence[Sequence[str | Path]]) -> tuple[float, float]:
    """Return the processor time that programs take, and how long they take, in seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - start


def lay(tree: Path) -> None:
    """Make the tree to copy."""
    for number in range(FILES):
        folder = tree / f"{number // IN_A_FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05}").write_bytes(CONTENT)


def by_atomik(source: Path, target: Path) -> None:
    """Copy with the command."""
    run(sys.executable, "-m", "atomik", "copy", source, target)


def by_cp(source: Path, target: Path) -> None:
    """Copy by hand, and have it all written."""
    run("cp", "-a", source, target)
    run("sync", "-f", target)


def seconds(copy: Copy, directory: Path) -> float:
    """Return how long one copy takes; it is removed again, and nobody has to write what another has left."""
    target = directory / "copy"
    run("sync", "-f", directory)
    start = time.perf_counter()
    copy(directory / "tree", target)
    taken = time.perf_counter() - start
    if sum(1 for path in target.rglob("*") if path.is_file()) != FILES:
        msg = f"{target} is not the whole copy"
        raise AssertionError(msg)
    shutil.rmtree(target)
    return taken


def ratio(directory: Path, rounds: int) -> float:
    """Print the medians on one filesystem; return their ratio."""
    lay(directory / "tree")
    ways: list[Copy] = [by_atomik, by_cp]
    taken: dict[Copy, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        ways.reverse()
        for way in ways:
            found = seconds(way, directory)
            if turn > 0:  # the first round only warms up
                taken[way].append(found)
    ours, theirs = (statistics.median(taken[way]) for way in (by_atomik, by_cp))
    print(f"atomik copy {ours:.3f} s, cp -a and sync -f {theirs:.3f} s, ratio {ours / theirs:.2f}")
    return ours / theirs


def compile_once() -> None:
    """Have the programs that are started keep what they compile, even where the environment forbids it."""
    directory = tempfile.mkdtemp(prefix="atomik-compiled-")
    atexit.register(shutil.rmtree, directory)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = directory


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description="What the command costs.")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="where images are made (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed (%(default)s)")
    parser.add_argument("--limit", type=float, default=1.3, help="the ratio to keep to (%(default)s)")
    arguments = parser.parse_args()
    compile_once()
    print("one small output: ", end="", flush=True)
    exceeded = run_ratio(arguments.rounds * STARTS) > arguments.limit
    for filesystem in ("ext4", "xfs"):
        print(f"{FILES:,} files of {len(CONTENT):,} bytes on {filesystem}: ", end="", flush=True)
        try:
            with directory_on(filesystem, arguments.disk) as directory:
                exceeded |= ratio(directory, arguments.rounds) > arguments.limit
        except OSError as reason:
            print(f"skipped: {reason}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
