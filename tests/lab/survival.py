"""The laboratory's rows of docs/explanation/what-survives.md, from what its tests record.

    PYTHONPATH=.:tests python tests/lab/survival.py [--write]

Runs the tests that are marked `survival`, and counts what each of them saw. Needs what the laboratory needs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

from faults.survival import LEVELS, heading, said, write

#: What the places of the laboratory are called in the table.
NAMES = {"nfs4.2": "NFSv4.2", "nfs3": "NFSv3", "smb3": "SMB 3.1.1"}


def seen() -> dict[tuple[str, str], dict[str, Counter[str]]]:
    """Run the tests; say by place and event, and by level, how often which version was seen.

    Raises:
        subprocess.CalledProcessError: one has failed.
    """
    found: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        tests = str(Path(__file__).parent)
        subprocess.run([sys.executable, "-m", "pytest", tests, "-m", "survival", f"--junitxml={report}"], check=True)
        for each in ET.parse(report).iter("property"):
            if each.get("name") == "saw":
                place, event, level, version = each.get("value", "").split("|")
                found[place, event][level][version] += 1
    return found


def table() -> str:
    """Make the rows, and say when and how often."""
    found, lines = seen(), heading()
    for place, event in sorted(found, key=lambda row: (list(NAMES).index(row[0]), row[1])):
        cells = [said(found[place, event][level]) for level in LEVELS]
        lines.append(f"| {NAMES[place]} | {event} | {' | '.join(cells)} |")
    tries = sum(versions.total() for row in found.values() for versions in row.values())
    return "\n".join([*lines, "", f"Seen on {dt.datetime.now(dt.UTC).date()}, in {tries} tries.", ""])


def main() -> None:
    """Print the table, or put it into the page."""
    parser = argparse.ArgumentParser(description="What survives what on a server's filesystem.")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    options = parser.parse_args()
    rows = table()
    sys.stdout.write(rows)
    if options.write:
        write("tests/lab/survival.py", rows)


if __name__ == "__main__":
    main()
