"""What `atomic_tmp.crashes` costs: CPU seconds of the test and all its processes, the states included.

    python benchmarks/crashes.py [--directory DIR] [--check]

For each case: how many states were shown, the CPU, the CPU for one state, and the limit, if there is one. With --check the
exit status is 1 if a limit is missed. The first case is measured with the engine for where calls cannot be stopped, too,
and the ratio is printed; the limits "linear" say that ten times the work may cost at most so many times as much.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atomik
from pytest_atomik import AtomicTmp

MEBIBYTE = 1 << 20


def publish(top: Path, count: int) -> None:
    """Publish many files with Atomik."""
    for number in range(count):
        with atomik.file(top / f"new-{number}", overwrite=True, sync="off") as f:
            f.write("new")


def replace(top: Path, count: int) -> None:
    """Write many files by hand."""
    for number in range(count):
        (top / "tmp").write_text("new")
        os.replace(top / "tmp", top / f"new-{number}")


def patch(top: Path) -> None:
    """Change 100 bytes of a large file."""
    with (top / "large-0").open("r+b", buffering=0) as f:
        f.seek(MEBIBYTE)
        f.write(b"x" * 100)


def in_pieces(top: Path, mebibytes: int) -> None:
    """Write a large file in pieces of 64 KiB."""
    with (top / "pieces").open("wb", buffering=0) as f:
        for _ in range(mebibytes * 16):
            f.write(bytes(1 << 16))


def lay(top: Path, small: int = 0, large: int = 0, size: int = 0) -> None:
    """Make what is there before."""
    for number in range(small):
        (top / f"old-{number}").write_text("old")
    for number in range(large):
        with (top / f"large-{number}").open("wb") as f:
            for _ in range(size // MEBIBYTE):
                f.write(os.urandom(MEBIBYTE))


def cpu() -> float:
    """Return the CPU that this process and its children have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(
    parent: Path, prepare: Callable[[Path], object], func: Callable[[Path], object], **options: object
) -> tuple[int, float]:
    """Return how many states there were, and the CPU that they have cost."""
    top = Path(tempfile.mkdtemp(prefix="crashes-", dir=parent))
    watched = AtomicTmp(top, __file__, base=Path.cwd())
    try:
        prepare(top)
        start = cpu()
        count = sum(1 for _ in watched.crashes(lambda: func(top), timeout=600, **options))  # type: ignore[arg-type]
        return count, cpu() - start
    finally:
        watched._close()
        shutil.rmtree(top)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    nothing = partial(lay)
    many = 400
    cases: list[tuple[str, Callable[[Path], object], Callable[[Path], object], bool, float | None]] = [
        ("40 published files", nothing, partial(publish, count=40), False, 10.0),
        (f"{many} published files", nothing, partial(publish, count=many), False, 100.0),
        (f"{many} published files, power cuts", nothing, partial(publish, count=many), True, 100.0),
        (f"{many} files by hand, power cuts", nothing, partial(replace, count=many), True, 100.0),
        ("1 file beside 500", partial(lay, small=500), partial(publish, count=1), True, 2.0),
        ("1 file beside 5000", partial(lay, small=5000), partial(publish, count=1), True, None),
        ("100 bytes in 1 GiB (20 files)", partial(lay, large=20, size=51 * MEBIBYTE), patch, True, None),
        ("64 MiB in pieces of 64 KiB", nothing, partial(in_pieces, mebibytes=64), True, None),
        ("256 MiB in pieces of 64 KiB", nothing, partial(in_pieces, mebibytes=256), True, None),
    ]
    missed = False
    print(f"{'case':36} {'states':>6} {'CPU s':>8} {'ms/state':>9} {'limit s':>8}")
    taken: dict[str, float] = {}
    for name, prepare, func, power_cuts, limit in cases:
        count, seconds = measure(options.directory, prepare, func, power_cuts=power_cuts)
        taken[name] = seconds
        missed |= limit is not None and seconds > limit
        print(f"{name:36} {count:6} {seconds:8.2f} {seconds / count * 1e3:9.2f} {'' if limit is None else limit:>8}")
    _, other = measure(options.directory, nothing, partial(publish, count=40), engine="publications")
    print(
        f"40 published files by engine='publications': {other:.1f} s, {other / taken['40 published files']:.0f} times as much"
    )
    print(f"{many} files cost {taken[f'{many} published files'] / taken['40 published files']:.1f} times what 40 cost")
    return int(missed and options.check)


if __name__ == "__main__":
    sys.exit(main())
