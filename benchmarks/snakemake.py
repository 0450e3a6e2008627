"""What atomic() outputs cost, as ratios to plain ones: 60 small shell jobs, run for the first time and again.

    python benchmarks/snakemake.py [--rounds N] [--disk DIR]

Snakemake runs the same workflow in every way once in each round, in another order each time, so that whatever else the
machine does meets all of them alike. A ratio is one of the fastest runs, from start to end: what else goes on only ever
adds to these seconds. The exit status is 1 if a ratio is above its limit.
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

JOBS = 60
LIMIT = 1.10
SNAKEFILE = f"""
from snakemake_atomik import atomic

flag = atomic if config["way"] != "plain" else lambda output: output

rule all:
    input: expand("out/{{n}}", n=range({JOBS}))

rule make:
    input: "in"
    output: flag("out/{{n}}")
    shell: "echo {{wildcards.n}} > {{output}}"
"""
#: The ways in which the workflow is run, by what they are called: whether the outputs are atomic, and what ATOMIK_SYNC says.
WAYS = {"plain": "off", "atomic, full": "full", "atomic, normal": "normal", "atomic, off": "off"}


def run(place: Path, way: str) -> float:
    """Run the workflow in this folder in one way; return the seconds that it took."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--snakefile", place / "Snakefile", "--cores", "2", "--quiet"]
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


def measure(disk: Path | None, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Time every way in turns; return the seconds by way and case."""
    times: dict[tuple[str, str], list[float]] = {(way, case): [] for way in WAYS for case in ("new", "again")}
    ways = list(WAYS)
    for number in range(rounds):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            place = Path(tempfile.mkdtemp(prefix="atomik-benchmark-", dir=disk))
            try:
                (place / "Snakefile").write_text(SNAKEFILE)
                for case in ("new", "again"):
                    (place / "in").write_text(case)
                    times[way, case].append(run(place, way))
            finally:
                shutil.rmtree(place)
    return times


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="Compare workflows with plain and with atomic outputs.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is run (5)")
    parser.add_argument("--disk", type=Path, metavar="DIR", help="where the workflows lie; a temporary directory")
    options = parser.parse_args()
    times = measure(options.disk, options.rounds)
    good = True
    for case in ("new", "again"):
        plain = min(times["plain", case])
        print(f"{JOBS} shell jobs, {case}: plain outputs {plain:.2f} s")
        for way in list(WAYS)[1:]:
            ratio = min(times[way, case]) / plain
            good &= ratio <= LIMIT
            print(
                f"    {way:16} {ratio:5.2f} times that (limit {LIMIT:.2f}){'' if ratio <= LIMIT else '  ABOVE THE LIMIT'}"
            )
    sys.exit(not good)


if __name__ == "__main__":
    main()
