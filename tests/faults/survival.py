"""What survives what: the table of docs/explanation/what-survives.md, from what is seen when it is tried.

    PYTHONPATH=.:tests python tests/faults/survival.py [--write]

Replaces a file and a folder on each filesystem at each level of durability, does something terrible to it at each of its
system calls, and counts what stands at the destination afterwards. Needs root and strace; takes some minutes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import errno
import itertools
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from faults import cuts
from faults.kills import ONLY_LOOK
from faults.scenarios import PREPARE, Scenario
from support.filesystems import mount_point
from support.powercut import PowerCut
from support.traced import Traced

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-survives.md"

LEVELS = ("full", "normal", "off")
LOCAL = ("ext4", "xfs", "btrfs", "tmpfs", "overlay")
CUTTABLE = ("ext4", "xfs")

#: What a full disk makes fail.
_NEEDS_ROOM = {"write", "pwrite64", "mkdir", "mkdirat", "fsync", "syncfs", "linkat", "renameat2", "copy_file_range"}

Found = Counter[str]


def scenarios(sync: str) -> tuple[Scenario, ...]:
    """What is replaced: a file, a folder of a few files, a folder of many."""
    return (
        Scenario("file", is_folder=False, overwrite=True, sync=sync),
        Scenario("folder", is_folder=True, overwrite=True, sync=sync),
        Scenario("folder", is_folder=True, overwrite=True, sync=sync, big=True),
    )


def found(scenario: Scenario, path: Path) -> str:
    """Say what stands at PATH: "old", "new", "empty", "torn" or "nothing"."""
    try:
        return scenario.read(path) or ("empty" if path.exists() else "nothing")
    except AssertionError:
        files = [each for each in path.rglob("*") if each.is_file()]
        return "torn" if any(each.read_bytes() for each in files) else "empty"


def fresh(scenario: Scenario, kind: str) -> Iterator[Path]:
    """Give one place after another on this kind of filesystem, laid out for SCENARIO."""
    for number in itertools.count():
        folder = mount_point(kind) / f"survival-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        scenario.lay(folder, folder)
        yield folder


def killed(traced: Traced, kind: str, scenario: Scenario) -> Found:
    """Kill -9 at each system call."""
    places, seen = fresh(scenario, kind), Found()
    for call in traced.calls(scenario.source, next(places)):
        if call.name not in ONLY_LOOK:
            folder = next(places)
            traced.killed_at(call, scenario.source, folder)
            seen[found(scenario, folder / "target")] += 1
    return seen


def full_disk(traced: Traced, kind: str, scenario: Scenario) -> Found:
    """No space left, at each system call that needs some."""
    places, seen = fresh(scenario, kind), Found()
    for call in traced.calls(scenario.source, next(places)):
        if call.name in _NEEDS_ROOM or "O_CREAT" in call.arguments or "O_TMPFILE" in call.arguments:
            folder = next(places)
            traced.failing_at(call, errno.ENOSPC, scenario.source, folder)
            seen[found(scenario, folder / "target")] += 1
    return seen


def cut_at_each_call(traced: Traced, kind: str, scenario: Scenario) -> Found:
    """Cut the power after each system call, when somebody's fsync has just carried all names to the disk."""
    seen = Found()
    with PowerCut(kind) as disk:  # type: ignore[arg-type]  # it is one that can be cut
        for call in traced.calls(scenario.source, cuts.laid(scenario, disk)):
            if call.name in cuts.HARMLESS:
                continue
            folder = cuts.cut_at(traced, disk, scenario, call)
            seen[found(scenario, folder / "target")] += 1
    return seen


def cut_after(traced: Traced, kind: str, scenario: Scenario) -> Found:
    """Cut the power when the block has ended: at once, and after somebody's fsync."""
    seen = Found()
    with PowerCut(kind) as disk:  # type: ignore[arg-type]  # it is one that can be cut
        for carried in (False, True, False, True):
            folder = cuts.cut_after(traced, disk, scenario, carried=carried)
            seen[found(scenario, folder / "target")] += 1
    return seen


EVENTS: dict[str, tuple[Callable[[Traced, str, Scenario], Found], tuple[str, ...]]] = {
    "`kill -9` at any moment": (killed, LOCAL),
    "a full disk": (full_disk, LOCAL),
    "a power cut at any moment": (cut_at_each_call, CUTTABLE),
    "a power cut when the block has ended": (cut_after, CUTTABLE),
}


def said(seen: Found) -> str:
    """Say what was found, with how often it was tried; what no version is stands out."""
    words = [f"**{each}**" if each not in {"old", "new"} else each for each in sorted(seen, reverse=True)]
    words.sort(key=lambda each: (each.startswith("*"), each != "old"))
    return f"{' or '.join(words)} ({seen.total()})"


def heading(levels: tuple[str, ...] = LEVELS) -> list[str]:
    """Return the first two lines of a table."""
    return [
        f"| filesystem | event | {' | '.join(f'`sync={level!r}`'.replace(chr(39), chr(34)) for level in levels)} |",
        f"|---|---{'|---' * len(levels)}|",
    ]


def write(script: str, text: str) -> None:
    """Put what SCRIPT has made into its place in the page."""
    place = re.compile(rf"(<!-- generated: by {re.escape(script)} .*? -->\n).*?(<!-- end -->\n)", re.DOTALL)
    PAGE.write_text(place.sub(lambda page: f"{page[1]}\n{text}\n{page[2]}", PAGE.read_text()))


def table(traced: Traced, kinds: tuple[str, ...] = LOCAL, levels: tuple[str, ...] = LEVELS) -> str:
    """Return the table: a line for each filesystem and event."""
    lines = heading(levels)
    for kind, (title, (event, possible)) in itertools.product(kinds, EVENTS.items()):
        if kind not in possible:
            continue
        cells = [
            said(sum((event(traced, kind, scenario) for scenario in scenarios(level)), Found())) for level in levels
        ]
        lines.append(f"| {'overlayfs' if kind == 'overlay' else kind} | {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, and put it into the documentation if asked to."""
    parser = argparse.ArgumentParser(description="What survives what.")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    arguments = parser.parse_args()
    mount_point("tmpfs")
    with Traced(PREPARE) as traced:
        text = table(traced)
    tried = sum(map(int, re.findall(r"\((\d+)\)", text)))
    release = ".".join(os.uname().release.split(".")[:2])
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    text += f"\nSeen on {today}, with Linux {release}, in {tried:,} tries.\n"
    sys.stdout.write(text)
    if arguments.write:
        write("tests/faults/survival.py", text)


if __name__ == "__main__":
    main()
