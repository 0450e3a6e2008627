"""Print what was found after power cuts, for each level of durability: the tables of docs/explanation/proof.md.

    PYTHONPATH=.:tests python tests/faults/crash_table.py

Each publication is cut right after it was acknowledged: at once, and after an fsync of an unrelated file, which carries
all names to the disk. Needs root.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from faults.cuts import Filesystem, cut_after
from faults.scenarios import PREPARE, Scenario
from support.filesystems import mount_point
from support.powercut import PowerCut
from support.traced import Traced

ROWS = {
    "a new file": Scenario("file", is_folder=False, overwrite=False),
    "a file over a file": Scenario("file", is_folder=False, overwrite=True),
    "a new folder": Scenario("folder", is_folder=True, overwrite=False),
    "a folder over a folder": Scenario("folder", is_folder=True, overwrite=True),
    "a large folder over another": Scenario("folder", is_folder=True, overwrite=True, big=True),
}

CUTS = 3


def found(scenario: Scenario, path: Path) -> str:
    """Say in a word or two what stands there after a cut."""
    try:
        return scenario.read(path) or ("nothing" if not path.exists() else "**empty**")
    except AssertionError:
        files = [each for each in path.rglob("*") if each.is_file()]
        return "**empty files**" if files and not any(each.read_text() for each in files) else "**torn**"


def outcomes(traced: Traced, filesystem: Filesystem, scenario: Scenario, *, carried: bool) -> str:
    """All that was found after the cuts."""
    seen = []
    with PowerCut(filesystem) as disk:
        for _ in range(CUTS):
            folder = cut_after(traced, disk, scenario, carried=carried)
            seen.append(found(scenario, folder / "target"))
    return ", ".join(sorted(set(seen)))


def main() -> None:
    """Print one table for each level."""
    filesystems: tuple[Filesystem, ...] = ("ext4", "xfs")
    columns = [*itertools.product(filesystems, (False, True))]
    mount_point("tmpfs")
    with Traced(PREPARE) as traced:
        for sync in ("full", "normal", "off"):
            sys.stdout.write(
                f'\n`sync="{sync}"`\n\n| published | {" | ".join(_title(*column) for column in columns)} |\n'
            )
            sys.stdout.write(f"|---{'|---' * len(columns)}|\n")
            for title, scenario in ROWS.items():
                asked = Scenario(scenario.call, scenario.is_folder, scenario.overwrite, sync=sync, big=scenario.big)
                cells = [outcomes(traced, name, asked, carried=carried) for name, carried in columns]
                sys.stdout.write(f"| {title} | {' | '.join(cells)} |\n")
                sys.stdout.flush()


def _title(filesystem: str, carried: bool) -> str:
    return f"{filesystem}, after an fsync" if carried else f"{filesystem}, at once"


if __name__ == "__main__":
    main()
