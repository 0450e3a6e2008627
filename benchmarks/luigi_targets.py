"""What AtomicLocalTarget costs, as ratios to luigi.LocalTarget.

    python benchmarks/luigi_targets.py [--quick] [--disk DIR]

What is compared is timed in turns: each round does it both ways, every other round in the other order, so that whatever
else the machine does meets both alike. A ratio is one of medians. The exit status is 1 if a ratio is above its limit.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Luigi's, about itself
    import luigi

from luigi_atomik import AtomicLocalTarget

CONTENT = "x" * 4096
TARGETS = 2000
TASKS = 200


class Small(luigi.Task):
    """A task that writes one small file."""

    kind = luigi.Parameter()
    folder = luigi.Parameter()
    number = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        """The file, as the kind of target that is measured."""
        target = AtomicLocalTarget if self.kind == "atomic" else luigi.LocalTarget
        return target(os.path.join(self.folder, str(self.number)))

    def run(self) -> None:
        """Write it."""
        with self.output().open("w") as file:
            file.write(CONTENT)


def write_targets(kind: str, folder: Path) -> float:
    """Write many targets in this process; the CPU time of one, in microseconds."""
    targets = [
        AtomicLocalTarget(folder / str(number), sync="off")
        if kind == "atomic"
        else luigi.LocalTarget(folder / str(number))
        for number in range(TARGETS)
    ]
    gc.collect()
    begin = time.process_time()
    for target in targets:
        with target.open("w") as file:
            file.write(CONTENT)
    return (time.process_time() - begin) / TARGETS * 1e6


def run_tasks(kind: str, folder: Path) -> float:
    """Run many tasks with two workers, in a process of their own; its wall time in seconds."""
    os.sync()
    done = subprocess.run(
        [sys.executable, __file__, "--tasks", kind, folder], capture_output=True, text=True, check=True
    )
    if len(os.listdir(folder)) != TASKS:
        sys.exit(done.stderr)
    return float(done.stdout)


def build(kind: str, folder: Path) -> None:
    """Run the tasks, and print the seconds that it took."""
    os.environ["ATOMIK_SYNC"] = "full"
    tasks = [Small(kind, str(folder), number) for number in range(TASKS)]
    begin = time.monotonic()
    luigi.build(tasks, workers=2, local_scheduler=True, log_level="ERROR")
    print(time.monotonic() - begin)


def compare(measure: Callable[[str, Path], float], base: Path, rounds: int) -> dict[str, float]:
    """Measure both in turns, each time in a new folder; the medians."""
    found: dict[str, list[float]] = {"plain": [], "atomic": []}
    for number in range(rounds):
        for kind in sorted(found, reverse=number % 2 == 0):
            folder = Path(tempfile.mkdtemp(dir=base))
            found[kind].append(measure(kind, folder))
            shutil.rmtree(folder)
    return {kind: statistics.median(values) for kind, values in found.items()}


def report(title: str, unit: str, medians: dict[str, float], limit: float) -> bool:
    """Print a ratio; is it within its limit?"""
    ratio = medians["atomic"] / medians["plain"]
    verdict = "" if ratio <= limit else "  <-- above its limit"
    print(
        f"{title}: {ratio:.2f} (at most {limit}); LocalTarget {medians['plain']:.4g} {unit}, "
        f"AtomicLocalTarget {medians['atomic']:.4g} {unit}{verdict}",
        flush=True,
    )
    return ratio <= limit


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="What AtomicLocalTarget costs, as ratios to luigi.LocalTarget.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--disk", type=Path, help="where durable targets are written; a temporary directory by default")
    parser.add_argument("--tasks", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tasks:
        build(options.tasks[0], Path(options.tasks[1]))
        return

    rounds = 3 if options.quick else 9
    fine = True
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        medians = compare(write_targets, Path(memory), 2 * rounds)
        fine &= report('open("w") of 4 KiB, sync="off", tmpfs, CPU time', "us", medians, 1.2)
    with tempfile.TemporaryDirectory(dir=options.disk) as disk:
        medians = compare(run_tasks, Path(disk), rounds)
        fine &= report(f"{TASKS} tasks, 2 workers, durable, wall time", "s", medians, 1.2)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
