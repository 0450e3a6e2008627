"""The laboratory's rows of docs/explanation/what-survives.md, from what its tests record.

    PYTHONPATH=.:tests python tests/lab/survival.py [--write]

Runs the tests that are marked `survival`, and counts what each of them saw. Needs what the laboratory needs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-survives.md"
GENERATED = re.compile(r"(<!-- generated: by tests/lab/survival.py .*? -->\n).*?(<!-- end -->\n)", re.DOTALL)

#: What the places of the laboratory are called in the table.
NAMES = {"nfs4.2": "NFSv4.2", "nfs3": "NFSv3", "smb3": "SMB 3.1.1"}
LEVELS = ("full", "normal", "off")


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
    found, tries = seen(), 0
    lines = ['| filesystem | event | `sync="full"` | `sync="normal"` | `sync="off"` |', "|---|---|---|---|---|"]
    for place, event in sorted(found, key=lambda row: (list(NAMES).index(row[0]), row[1])):
        cells = [NAMES[place], event]
        for level in LEVELS:
            versions = found[place, event][level]
            tries += versions.total()
            cells.append(f"{' or '.join(sorted(versions, reverse=True))} ({versions.total()})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Seen on {dt.datetime.now(dt.UTC).date()}, in {tries} tries."])


def main() -> None:
    """Print the table, or put it into the page."""
    parser = argparse.ArgumentParser(description="What survives what on a server's filesystem.")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    options = parser.parse_args()
    rows = table()
    sys.stdout.write(f"{rows}\n")
    if options.write:
        text = PAGE.read_text()
        PAGE.write_text(GENERATED.sub(lambda found: f"{found[1]}\n{rows}\n\n{found[2]}", text))


if __name__ == "__main__":
    main()
