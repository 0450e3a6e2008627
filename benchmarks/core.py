"""What atomic publishing costs, as ratios to the same work by hand and by other libraries.

    python benchmarks/core.py [--quick] [--disk DIR]

What is compared is timed in turns: each round does it in every way once, every round in another order, so that whatever
else the machine does meets all of them alike. A ratio is one of medians. ext4 and xfs are made in image files, for which
root is needed; what cannot be measured is named with the reason. The exit status is 1 if a ratio is above its limit.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import atomik
from atomik_core._os import calls

CONTENT = os.urandom(4096)
FILES = 1000
WRITES = 1_000_000
LINE = 100

Publish = Callable[[Path], None]


@dataclass(frozen=True)
class Measure:
    """One comparison: Atomik against the fastest of others.

    Attributes:
        title: what is published.
        filesystem: where: ``"tmpfs"``, ``"ext4"`` or ``"xfs"``.
        atomik: how Atomik does it.
        others: how others do it, by what they are called.
        limit: how many times the time of the fastest of them Atomik may take.
        rounds: how often each is timed.
        overwrites: whether something stands at the destination.
        size: the bytes that a file has then.
    """

    title: str
    filesystem: str
    atomik: Publish
    others: dict[str, Publish]
    limit: float
    rounds: int
    overwrites: bool = False
    size: int = len(CONTENT)


def measures(factor: float) -> Iterator[Measure]:
    """Every comparison, with FACTOR times the usual rounds."""
    often, seldom, rarely, least = (max(3, round(count * factor)) for count in (4000, 400, 30, 5))
    title = "new file, off"
    yield Measure(title, "tmpfs", atomik_file, {"open, write, replace": by_hand}, 1.5, often)
    title, ours = "overwrite file, off", partial(atomik_file, overwrite=True)
    yield Measure(title, "tmpfs", ours, {"straight": straight}, 1.3, often, overwrites=True)
    yield Measure(title, "tmpfs", ours, {"open, write, replace": by_hand}, 2.4, often, overwrites=True)
    yield Measure(title, "tmpfs", ours, libraries(), 1.25, often, overwrites=True)
    title, ours = "overwrite file, full", partial(atomik_file, overwrite=True, sync="full")
    yield Measure(title, "ext4", ours, {"the same with two fsyncs": by_recipe}, 1.06, seldom, overwrites=True)
    yield Measure(title, "ext4", ours, atomicwrites(), 1.03, seldom, overwrites=True)
    for mode in ("wb", "w"):
        title, ours = f"a million writes, {mode!r}", partial(many_writes, atomik_open, mode)
        yield Measure(title, "tmpfs", ours, {"open": partial(many_writes, open, mode)}, 1.05, least, size=WRITES * LINE)
    title = f"folder of {FILES}, full"
    for filesystem in ("ext4", "xfs"):
        yield Measure(title, filesystem, atomik_folder, {"fsync of each file": by_fsyncs}, 0.2, least)
        yield Measure(title, filesystem, atomik_folder, {"one syncfs by hand": by_syncfs}, 1.15, rarely)


def atomik_file(path: Path, *, overwrite: bool = False, sync: atomik.Sync = "off") -> None:
    """Publish a file with Atomik."""
    with atomik.file(path, "wb", overwrite=overwrite, sync=sync) as file:
        file.write(CONTENT)


def atomik_open(path: Path, mode: str) -> AbstractContextManager[Any]:
    """Open a file with Atomik."""
    return atomik.file(path, mode, sync="off")


def many_writes(call: Callable[[Path, str], AbstractContextManager[Any]], mode: str, path: Path) -> None:
    """Write a million lines to a file."""
    line = os.urandom(LINE // 2).hex()
    data: Any = line.encode() if "b" in mode else line
    with call(path, mode) as file:
        write = file.write
        for _ in range(WRITES):
            write(data)


def by_hand(path: Path) -> None:
    """Write beside the destination and rename."""
    staged = f"{path}.part"
    with open(staged, "xb") as file:
        file.write(CONTENT)
    os.replace(staged, path)


def straight(path: Path) -> None:
    """The very system calls with which Atomik replaces a file, in straight-line Python: what is above this is its own cost."""
    folder, _, name = str(path).rpartition("/")
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.stat(name, dir_fd=directory, follow_symlinks=False)
    calls.entry_attributes(directory, name)
    calls.entry_attributes(directory, "")
    os.geteuid()
    staged = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=directory)
    fcntl.flock(staged, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.fstat(staged)
    with open(staged, "wb", closefd=False) as file:
        file.write(CONTENT)
    os.fstat(staged)
    os.stat(name, dir_fd=directory, follow_symlinks=False)
    os.listxattr(f"/proc/self/fd/{directory}/{name}")
    os.listxattr(staged)
    staging_name = f".atomik-{os.urandom(8).hex()}"
    calls.link_descriptor(staged, directory, staging_name)
    os.rename(staging_name, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.close(staged)
    os.close(directory)


def libraries() -> dict[str, Publish]:
    """Return the other libraries' ways, where both are installed."""
    try:
        import safer
        from boltons.fileutils import atomic_save
    except ImportError:
        return {}

    def by_safer(path: Path) -> None:
        # Without this it holds the content in memory first.
        with safer.open(path, "wb", temp_file=True) as file:
            file.write(CONTENT)

    def by_boltons(path: Path) -> None:
        # It syncs the file, which costs little on tmpfs.
        with atomic_save(path) as file:
            file.write(CONTENT)

    return {"safer": by_safer, "boltons": by_boltons}


def atomicwrites() -> dict[str, Publish]:
    """Return the way of python-atomicwrites, where it is installed."""
    try:
        from atomicwrites import atomic_write
    except ImportError:
        return {}

    def by_atomicwrites(path: Path) -> None:
        with atomic_write(path, mode="wb", overwrite=True) as file:
            file.write(CONTENT)

    return {"atomicwrites": by_atomicwrites}


def by_recipe(path: Path) -> None:
    """The durable recipe: fsync the file, rename, fsync the directory."""
    staged = f"{path}.part"
    with open(staged, "xb") as file:
        file.write(CONTENT)
        file.flush()
        os.fsync(file.fileno())
    os.replace(staged, path)
    on_descriptor(os.fsync, path.parent)


def atomik_folder(path: Path) -> None:
    """Publish a folder with Atomik."""
    with atomik.folder(path, sync="full") as folder:
        fill(folder)


def by_fsyncs(path: Path) -> None:
    """A folder whose files are synced one by one."""
    staged = Path(f"{path}.part")
    staged.mkdir()
    fill(staged, os.fsync)
    on_descriptor(os.fsync, staged)
    staged.rename(path)
    on_descriptor(os.fsync, path.parent)


def by_syncfs(path: Path) -> None:
    """A folder that is synced at once."""
    staged = Path(f"{path}.part")
    staged.mkdir()
    fill(staged)
    on_descriptor(calls.syncfs, staged)
    staged.rename(path)
    on_descriptor(os.fsync, path.parent)


def fill(folder: Path, sync: Callable[[int], None] | None = None) -> None:
    """Write the files of a folder, syncing each if asked to."""
    for number in range(FILES):
        with open(folder / str(number), "wb") as file:
            file.write(CONTENT)
            if sync is not None:
                file.flush()
                sync(file.fileno())


def on_descriptor(sync: Callable[[int], None], directory: Path) -> None:
    """Sync a directory, or its filesystem."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def medians(measure: Measure, directory: Path) -> tuple[float, dict[str, float]]:
    """Time every way in turns; return the median seconds of Atomik's and of each of the others."""
    ways = {"": measure.atomik, **measure.others}
    order = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    turns = range(measure.rounds + 1)
    if measure.overwrites:
        # All at once, since hardly anything is replaced in the same tick of the kernel's clock in which it was made.
        for turn in turns:
            for number in range(len(order)):
                published(directory, turn, number).write_bytes(b"old")
    for turn in turns:
        order.append(order.pop(0))
        for number, name in enumerate(order):
            path = published(directory, turn, number)
            if measure.filesystem != "tmpfs":
                on_descriptor(calls.syncfs, directory)  # nobody syncs what another has left
            seconds = timed(ways[name], path)
            if turn > 0:  # the first round only warms up
                taken[name].append(seconds)
            check_and_remove(path, measure.size)
    found = {name: statistics.median(each) for name, each in taken.items()}
    return found.pop(""), found


def published(directory: Path, turn: int, number: int) -> Path:
    """Return where the NUMBER-th publication of a TURN goes."""
    return directory / f"published-{turn}-{number}"


def timed(publish: Publish, path: Path) -> float:
    """Return how long it takes, in seconds."""
    gc.disable()
    start = time.perf_counter()
    publish(path)
    end = time.perf_counter()
    gc.enable()
    return end - start


def check_and_remove(path: Path, size: int) -> None:
    """Make sure that what was timed did publish, and make way for the next."""
    sample = path / str(FILES - 1) if path.is_dir() else path
    if sample.stat().st_size != size or (size == len(CONTENT) and sample.read_bytes() != CONTENT):
        msg = f"{sample} does not hold what was published"
        raise AssertionError(msg)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def directory_on(filesystem: str, disk: Path) -> Iterator[Path]:
    """An empty directory on this kind of filesystem.

    Raises:
        OSError: there can be none, for the reason that it says.
    """
    on_tmpfs = filesystem == "tmpfs"
    if not on_tmpfs and os.geteuid() != 0:
        msg = f"{filesystem} is mounted from an image, for which root is needed"
        raise PermissionError(msg)
    with tempfile.TemporaryDirectory(prefix="atomik-benchmark-", dir="/dev/shm" if on_tmpfs else disk) as folder:
        if on_tmpfs:
            yield Path(folder)
            return
        image, point = Path(folder, "image"), Path(folder, "mounted")
        point.mkdir()
        with image.open("xb") as file:
            file.truncate(1 << 30)
        run(f"mkfs.{filesystem}", "-q", image)
        run("mount", "-t", filesystem, "-o", "loop", image, point)
        try:
            yield point
        finally:
            run("umount", point)


def run(*command: str | Path) -> None:
    """Run a program; its failure is an OSError that says what it complained about."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"{command[0]} failed: {done.stderr.strip()}"
        raise OSError(msg)


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description="What atomic publishing costs, as ratios.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds: a look, not a verdict")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="where images are made (%(default)s)")
    arguments = parser.parse_args()
    row = "{:22} {:6} {:25} {:>10} {:>10} {:>6} {:>8}"
    print(row.format("measure (4 KiB files)", "on", "against", "atomik", "that", "ratio", "at most"))
    exceeded = False
    for measure in measures(0.1 if arguments.quick else 1):
        if not measure.others:
            print(f"{measure.title:22} {measure.filesystem:6} skipped: a library is not installed (tox run -e bench)")
            continue
        try:
            with directory_on(measure.filesystem, arguments.disk) as directory:
                ours, others = medians(measure, directory)
        except OSError as reason:
            print(f"{measure.title:22} {measure.filesystem:6} skipped: {reason}")
            continue
        name = min(others, key=lambda other: others[other])
        ratio = ours / others[name]
        times = [f"{each * 1e6:,.1f} us" if each < 0.01 else f"{each * 1e3:,.1f} ms" for each in (ours, others[name])]
        limit = f"{measure.limit:.2f}{'' if ratio <= measure.limit else ' !'}"
        print(row.format(measure.title, measure.filesystem, name, *times, f"{ratio:.2f}", limit), flush=True)
        exceeded |= ratio > measure.limit
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
