"""What a group of durable files costs against one publication each, and how far apart its members appear.

    python benchmarks/group.py [--quick] [--disk DIR]

Both ways take turns on the same filesystem, an ext4 and an xfs in image files, for which root is needed; what cannot be
measured is named with the reason. The ratio is one of medians. The exit status is 1 if a ratio is above its limit.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atomik
from atomik_core import testing
from atomik_core._os import calls
from core import CONTENT, FILES, directory_on, on_descriptor, timed

#: How much of the time of one publication each a group may take.
LIMIT = 0.08


def as_group(directory: Path) -> None:
    """Publish the files together."""
    with atomik.group(sync="full") as group:
        for number in range(FILES):
            with group.file(directory / str(number), "wb") as file:
                file.write(CONTENT)


def one_by_one(directory: Path) -> None:
    """Publish the files each on its own."""
    for number in range(FILES):
        with atomik.file(directory / str(number), "wb", sync="full") as file:
            file.write(CONTENT)


def ratio(directory: Path, rounds: int) -> tuple[float, float]:
    """Return the median seconds of both ways, taken in turns."""
    taken: dict[Callable[[Path], None], list[float]] = {as_group: [], one_by_one: []}
    ways = list(taken)
    for turn in range(rounds):
        ways.reverse()
        for publish in ways:
            place = directory / f"round-{turn}"
            place.mkdir()
            on_descriptor(calls.syncfs, directory)  # nobody syncs what another has left
            taken[publish].append(timed(publish, place))
            if len(list(place.iterdir())) != FILES or (place / str(FILES - 1)).read_bytes() != CONTENT:
                msg = f"{place} does not hold what was published"
                raise AssertionError(msg)
            shutil.rmtree(place)
    return statistics.median(taken[as_group]), statistics.median(taken[one_by_one])


def gaps(directory: Path, kind: str, *, overwrite: bool) -> list[float]:
    """Return the seconds from each member's appearance to the next one's, at most: a watcher is called in between."""
    moments: list[float] = []

    def watch(_: object, step: str) -> None:
        if step == "synced":
            moments.append(time.perf_counter())

    for _ in range(1 + overwrite):
        moments.clear()
        with testing.watching(watch), atomik.group(sync="full") as group:
            for number in range(FILES):
                publication = getattr(group, kind)(directory / f"{kind}-{number}", overwrite=overwrite)
                with publication as handle:
                    if kind == "folder":
                        (handle / "content").write_bytes(CONTENT)
                    else:
                        handle.write("content")
    return sorted(after - before for before, after in itertools.pairwise(moments))


def main() -> int:
    """Print what was measured; return the exit status."""
    parser = argparse.ArgumentParser(
        description="What a group costs, as a ratio, and how far apart its members appear."
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a verdict")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="where images are made (%(default)s)")
    arguments = parser.parse_args()
    exceeded = False
    for filesystem in ("ext4", "xfs"):
        try:
            with directory_on(filesystem, arguments.disk) as directory:
                together, each = ratio(directory, 3 if arguments.quick else 9)
                found = together / each
                print(
                    f"{filesystem}: {FILES} files of 4 KiB: {together * 1e3:,.0f} ms as a group, "
                    f"{each * 1e3:,.0f} ms one by one: {found:.3f} (at most {LIMIT}{'' if found <= LIMIT else ' !'})"
                )
                exceeded |= found > LIMIT
                for kind, overwrite in (("file", False), ("file", True), ("folder", False), ("folder", True)):
                    times = gaps(directory, kind, overwrite=overwrite)
                    print(
                        f"{filesystem}: from one {kind} to the next, {'replaced' if overwrite else 'new'}: "
                        f"{statistics.median(times) * 1e6:,.0f} us, one in a hundred more than "
                        f"{times[len(times) * 99 // 100] * 1e6:,.0f} us",
                        flush=True,
                    )
        except OSError as reason:
            print(f"{filesystem}: skipped: {reason}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
