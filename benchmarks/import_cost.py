"""What `import atomik`, and a first publication, cost a whole process, less the bare interpreter's: against `import tempfile`.

    python benchmarks/import_cost.py [--rounds 200] [--at-most 0.3 1.2]

Prints both ratios, and fails if one is more than `--at-most`. Processes are started with `-I -S` one after the other, in
turns, so that whatever else the machine does hits all of them alike; what counts is the median. The publication is a new
file with `sync="off"`, so that it is Python that is measured, and not the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: The same in all, so that finding the checkout costs the bare interpreter as much.
FIND = f"import sys; sys.path.append({str(ROOT)!r})"
PROGRAMS = {
    "bare": FIND,
    "atomik": f"{FIND}; import atomik",
    "publication": f"{FIND}; import atomik\nwith atomik.file('new', sync='off') as file: file.write('x')",
    "tempfile": f"{FIND}; import tempfile",
}
SHOWN = {"atomik": "import atomik", "publication": "and a first publication", "tempfile": "import tempfile"}


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
    for turn in range(rounds + 1):
        for name, program in PROGRAMS.items():
            seconds = run(program)
            if turn:  # compiled and cached from here on
                taken[name].append(seconds)
        os.unlink("new")
    return {name: statistics.median(each) for name, each in taken.items()}


def main() -> int:
    """Print the account; 1 if it costs too much."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="how often each is started (default: 200)")
    parser.add_argument(
        "--at-most", type=float, nargs=2, default=(0.3, 1.2), help="the ratios that are promised (default: 0.3 1.2)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        median = measure(options.rounds)
    bare = median["bare"]
    print(f"{'the bare interpreter':24} {1e3 * bare:7.3f} ms")
    for name, shown in SHOWN.items():
        print(f"{shown:24} {1e3 * (median[name] - bare):7.3f} ms more")
    kept = True
    for name, at_most in zip(("atomik", "publication"), options.at_most, strict=True):
        ratio = (median[name] - bare) / (median["tempfile"] - bare)
        print(f"{SHOWN[name]}: ratio {ratio:.3f}, at most {at_most}: {'kept' if ratio <= at_most else 'BROKEN'}")
        kept &= ratio <= at_most
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
