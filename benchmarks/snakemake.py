"""What atomic() outputs cost, as ratios to plain ones: many small shell jobs, and a directory of many files.

    python benchmarks/snakemake.py [--rounds N] [--disk DIR] [--case CASE ...] [--scheduler {ilp,greedy}]

The cases: 60 small shell jobs, 1,000 of them, and one job that makes a directory of 10,000 files; each for the first time and
again.

Snakemake runs the same workflow in every way once in each round, in another order each time, so that whatever else the
machine does meets all of them alike. A ratio is one of the fastest runs, from start to end: what else goes on only ever
adds to these seconds. The exit status is 1 if a ratio is above its limit.

Of 1,000 jobs of some milliseconds Snakemake's own scheduler (ilp) takes the most time: it solves anew whenever a job has ended, for
longer than a job takes, and how often depends on which jobs happen to end together. With ``--scheduler greedy`` the jobs are
what is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"60 jobs": 1.05, "1000 jobs": 1.05, "10000 files": 1.10}
HEAD = """
from snakemake_atomik import atomic

flag = atomic if config["way"] != "plain" else lambda output: output
"""
JOBS = (
    HEAD
    + """
rule all:
    input: expand("out/{{n}}", n=range({jobs}))

rule make:
    input: "in"
    output: flag("out/{{n}}")
    shell: "echo {{wildcards.n}} > {{output}}"
"""
)
FILES = (
    HEAD
    + """
rule make:
    input: "in"
    output: flag(directory("out"))
    script: "make.py"
"""
)
MAKE = """
import os
os.mkdir(snakemake.output[0])
for number in range(10000):
    with open(f"{snakemake.output[0]}/{number}", "w") as file:
        file.write("a line\\n" * 20)
"""
SNAKEFILES = {"60 jobs": JOBS.format(jobs=60), "1000 jobs": JOBS.format(jobs=1000), "10000 files": FILES}
#: The ways in which the workflow is run, by what they are called: whether the outputs are atomic, and what ATOMIK_SYNC says.
WAYS = {"plain": "off", "atomic, full": "full", "atomic, normal": "normal", "atomic, off": "off"}


def run(place: Path, way: str, scheduler: str | None) -> float:
    """Run the workflow in this folder in one way; return the seconds that it took."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--snakefile", place / "Snakefile", "--cores", "2", "--quiet"]
    if scheduler is not None:
        command += ["--scheduler", scheduler]
    done = subprocess.run(
        [*command, "--config", f"way={way}"],
        cwd=place,
        env={**os.environ, "ATOMIK_SYNC": WAYS[way]},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(done.stderr)
    return seconds


def measure(case: str, disk: Path | None, rounds: int, scheduler: str | None) -> dict[tuple[str, str], list[float]]:
    """Time every way in turns; return the seconds by way and by whether it was the first run or another."""
    times: dict[tuple[str, str], list[float]] = {(way, which): [] for way in WAYS for which in ("new", "again")}
    ways = list(WAYS)
    for number in range(rounds):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            place = Path(tempfile.mkdtemp(prefix="atomik-benchmark-", dir=disk))
            try:
                (place / "Snakefile").write_text(SNAKEFILES[case])
                (place / "make.py").write_text(MAKE)
                for which in ("new", "again"):
                    (place / "in").write_text(which)
                    times[way, which].append(run(place, way, scheduler))
            finally:
                shutil.rmtree(place)
    return times


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="Compare workflows with plain and with atomic outputs.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is run (5)")
    parser.add_argument("--disk", type=Path, metavar="DIR", help="where the workflows lie; a temporary directory")
    parser.add_argument("--case", action="append", choices=LIMITS, help="what to measure; everything")
    parser.add_argument(
        "--scheduler", choices=["ilp", "greedy"], help="how Snakemake chooses jobs; as it does by itself"
    )
    options = parser.parse_args()
    good = True
    for case in options.case or LIMITS:
        times = measure(case, options.disk, options.rounds, options.scheduler)
        for which in ("new", "again"):
            plain = min(times["plain", which])
            print(f"{case}, {which}: plain outputs {plain:.2f} s")
            for way in list(WAYS)[1:]:
                ratio = min(times[way, which]) / plain
                good &= ratio <= LIMITS[case]
                above = "" if ratio <= LIMITS[case] else "  ABOVE THE LIMIT"
                print(f"    {way:16} {ratio:5.2f} times that (limit {LIMITS[case]:.2f}){above}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
