"""In the guest: make the places that the tests want, and run them, first as root, then as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lab.guest import places
from lab.guest.report import send


def main() -> None:
    """Run what the host wants to be run."""
    work = json.loads(Path("work.json").read_text())
    os.environ.update(work["environment"])
    send({"event": "booted"})
    places.prepare()
    for run in work["runs"]:
        for kind in run["places"]:
            places.mount(kind, run["user"])
        scratch = Path("/tmp", f"scratch-{run['user']}")
        scratch.mkdir()
        os.chown(scratch, places.ids(run["user"]), places.ids(run["user"]))
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "lab.guest.report", "-p", "no:cacheprovider", "-q"),
                *("-o", "timeout=200", f"--basetemp={scratch}/tests", *run["nodes"]),
            ],
            user=places.ids(run["user"]),
            group=places.ids(run["user"]),
            extra_groups=[],
            env={**os.environ, "HOME": str(scratch), "TMPDIR": str(scratch)},
        )


if __name__ == "__main__":
    main()
