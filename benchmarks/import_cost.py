"""What `import atomik` costs a whole process, less the bare interpreter's, in proportion to `import tempfile`.

    python benchmarks/import_cost.py [--rounds 200] [--at-most 0.3]

Prints the ratio, and fails if it is more than `--at-most`. Processes are started with `-I -S` one after the other, in
turns, so that whatever else the machine does hits all of them alike; what counts is the median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: The same in all, so that finding the checkout costs the bare interpreter as much.
FIND = f"import sys; sys.path.append({str(ROOT)!r})"
PROGRAMS = {
    "bare": FIND,
    "atomik": f"{FIND}; import atomik",
    "tempfile": f"{FIND}; import tempfile",
}


def run(program: str) -> float:
    """Run a program in a process of its own; how many seconds that took."""
    start = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", program], os.environ)
    _, status = os.waitpid(pid, 0)
    taken = time.perf_counter() - start
    if status != 0:
        msg = f"{program!r} ended with status {status}"
        raise RuntimeError(msg)
    return taken


def measure(rounds: int) -> dict[str, float]:
    """Take turns; give the median seconds of each program."""
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for program in PROGRAMS.values():
        run(program)  # compiled and cached from here on
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            taken[name].append(run(program))
    return {name: statistics.median(each) for name, each in taken.items()}


def main() -> int:
    """Print the account; 1 if it costs too much."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="how often each is started (default: 200)")
    parser.add_argument("--at-most", type=float, default=0.3, help="the ratio that is promised (default: 0.3)")
    options = parser.parse_args()
    median = measure(options.rounds)
    bare = median["bare"]
    ratio = (median["atomik"] - bare) / (median["tempfile"] - bare)
    print(f"the bare interpreter  {1e3 * bare:7.3f} ms")
    for name in ("atomik", "tempfile"):
        print(f"import {name:14} {1e3 * (median[name] - bare):7.3f} ms more")
    print(f"ratio {ratio:.3f}, at most {options.at_most}: {'kept' if ratio <= options.at_most else 'BROKEN'}")
    return 0 if ratio <= options.at_most else 1


if __name__ == "__main__":
    sys.exit(main())
