"""What a stage of small outputs costs against a group of them, in which a path each is made.

    python benchmarks/stage.py [--quick] [--disk DIR]

Both ways take turns on the same filesystem, an ext4 and an xfs in image files, for which root is needed; what cannot be
measured is named with the reason. The ratio is one of medians. The exit status is 1 if a ratio is above its limit.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atomik
from atomik_core._os import calls
from core import CONTENT, directory_on, on_descriptor, timed

#: How many outputs there are.
OUTPUTS = 100

#: How much of the time of a group a stage may take.
LIMIT = 1.2


def as_stage(directory: Path, sync: atomik.Sync) -> None:
    """Make the outputs at staged paths."""
    with atomik.stage([directory / str(number) for number in range(OUTPUTS)], sync=sync) as out:
        for key in out:
            out[key].write_bytes(CONTENT)


def as_group(directory: Path, sync: atomik.Sync) -> None:
    """Make them as a group's paths."""
    with atomik.group(sync=sync) as group:
        for number in range(OUTPUTS):
            with group.path(directory / str(number), overwrite=True) as path:
                path.write_bytes(CONTENT)


def ratio(directory: Path, rounds: int, sync: atomik.Sync, *, old: bool) -> tuple[float, float]:
    """Return the median seconds of both ways, taken in turns."""
    taken: dict[Callable[..., None], list[float]] = {as_stage: [], as_group: []}
    ways = list(taken)
    for turn in range(rounds):
        ways.reverse()
        for publish in ways:
            place = directory / f"round-{turn}"
            place.mkdir()
            if old:
                as_group(place, "off")
            on_descriptor(calls.syncfs, directory)  # nobody syncs what another has left
            taken[publish].append(timed(partial(publish, sync=sync), place))
            if len(list(place.iterdir())) != OUTPUTS or (place / "0").read_bytes() != CONTENT:
                msg = f"{place} does not hold what was published"
                raise AssertionError(msg)
            shutil.rmtree(place)
    return statistics.median(taken[as_stage]), statistics.median(taken[as_group])


def main() -> int:
    """Print what was measured; return the exit status."""
    parser = argparse.ArgumentParser(description="What a stage costs against a group, as a ratio.")
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a verdict")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="where images are made (%(default)s)")
    arguments = parser.parse_args()
    exceeded = False
    syncs: tuple[atomik.Sync, ...] = ("full", "off")
    for filesystem in ("ext4", "xfs"):
        try:
            with directory_on(filesystem, arguments.disk) as directory:
                for sync in syncs:
                    for old in (False, True):
                        staged, grouped = ratio(directory, 3 if arguments.quick else 15, sync, old=old)
                        found = staged / grouped
                        print(
                            f"{filesystem}, sync={sync!r}, {OUTPUTS} outputs {'replaced' if old else 'new'}: "
                            f"{staged * 1e3:,.1f} ms as a stage, {grouped * 1e3:,.1f} ms as a group: "
                            f"{found:.2f} (at most {LIMIT}{'' if found <= LIMIT else ' !'})",
                            flush=True,
                        )
                        exceeded |= found > LIMIT
        except OSError as reason:
            print(f"{filesystem}: skipped: {reason}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
