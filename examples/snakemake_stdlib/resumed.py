"""Run the workflow of this folder, kill it half-way with -9, and resume it, looking at its outputs all the time.

    python resumed.py INDEX

INDEX is the folder in which `stdlib_index.py` has published the same index. The exit status is 0 only if all that was seen
is as promised.
"""

import argparse
import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

SNAKEFILE = Path(__file__).with_name("Snakefile")
ENOUGH = 4
CORES = 2


def start(place: Path, log: Path) -> subprocess.Popen[str]:
    """Start the workflow in a process group of its own, which a killed run's lock does not keep from running."""
    environment = {**os.environ}
    environment.pop("PYTHONWARNINGS", None)  # Snakemake has its own
    with log.open("w") as file:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "snakemake",
                "--snakefile",
                SNAKEFILE,
                "--directory",
                place,
                "--cores",
                str(CORES),
                "--nolock",
            ],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )


def is_whole(table: Path) -> bool:
    """Say whether the last row of a table agrees with all the others."""
    _, *rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines())) or [[]]
    total = rows.pop() if rows else []
    return total[:3] == ["TOTAL", str(len(rows)), str(sum(int(row[2]) for row in rows))]


class Reader:
    """Looks at every table that is there, all the time while the block runs, and counts what it saw."""

    def __init__(self, place: Path) -> None:
        self.seen: Counter[str] = Counter()
        self._place = place
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            for table in (*self._place.glob("parts/*.csv"), *self._place.glob("modules.csv")):
                self.seen["whole" if is_whole(table) else "torn"] += 1

    def __enter__(self) -> Self:
        """Start looking."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()


class Account:
    """Prints what was seen, and remembers whether all of it is as promised."""

    def __init__(self) -> None:
        self.as_promised = True

    def line(self, subject: str, text: str, remark: str, *, fine: bool) -> None:
        """Print a line of the account."""
        self.as_promised &= fine
        print(f"    {subject:12}  {text:30}  {remark}{'' if fine else '  <-- BROKEN PROMISE'}", flush=True)


def demo(place: Path, index: Path) -> bool:
    """Run, kill, resume; was all as promised?"""
    account = Account()
    parts = place / "parts"
    log = place / "log"
    with Reader(place) as reader:
        process = start(place, log)
        while process.poll() is None and len(list(parts.glob("*.csv"))) < ENOUGH:
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        there = {path.name: path.stat().st_ino for path in parts.glob("*.csv")}
        fine = killed and all(is_whole(parts / name) for name in there) and not (place / "modules.csv").exists()
        account.line("killed", f"{len(there)} parts are there", "all of them whole", fine=fine)

        process = start(place, log)
        resumed = process.wait() == 0
        made = re.findall(r"^Finished jobid: \d+ \(Rule: part\)", log.read_text(), re.MULTILINE)
    if not resumed:
        print(log.read_text())
    kept = sum((parts / name).stat().st_ino == inode for name, inode in there.items())
    # A part that was published, but not yet entered in Snakemake's books, is made again.
    fine = resumed and kept >= len(there) - CORES
    account.line("resumed", f"{len(made)} parts made", f"{kept} kept that were there", fine=fine)

    same = all(
        (place / path.relative_to(index)).read_bytes() == path.read_bytes()
        for path in index.rglob("*")
        if path.is_file()
    )
    account.line("modules.csv", "by_package/", "the same index as above, to the byte", fine=resumed and same)
    account.line(
        "looks",
        f"{reader.seen['whole']:,} at whole tables",
        f"{reader.seen['torn']} torn",
        fine=not reader.seen["torn"],
    )
    left = list(place.rglob(".atomik-*"))
    account.line("besides", "nothing", "staged things of the killed run are swept", fine=not left)
    return account.as_promised


def main() -> None:
    """Read the command line and choose the place."""
    parser = argparse.ArgumentParser(description="Kill the workflow half-way, and resume it.")
    parser.add_argument("index", type=Path, metavar="INDEX", help="where stdlib_index.py has published the index")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="demo-") as place:
        sys.exit(not demo(Path(place), options.index))


if __name__ == "__main__":
    main()
