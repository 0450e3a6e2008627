"""A small build runner: it runs each rule whose outputs are missing or older than its inputs, and publishes what was made.

python build_runner.py rules.toml
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import atomik


def is_up_to_date(rule: dict[str, Any]) -> bool:
    """Say whether every output is there, and none is older than an input."""
    inputs, outputs = ([Path(path) for path in rule.get(key, [])] for key in ("inputs", "outputs"))
    if not all(path.exists() for path in outputs):
        return False
    newest = max((path.stat().st_mtime for path in inputs), default=0)
    return newest <= min(path.stat().st_mtime for path in outputs)


def run(name: str, rule: dict[str, Any]) -> None:
    """Run a rule's command with staged paths for `{0}`, `{1}`, …; all of its outputs are published, or none."""
    with atomik.stage(rule["outputs"], strict=rule.get("strict", False)) as out:
        if rule.get("update"):
            for key in (key for key in out if out.old(key)):
                out.copy_old(key)
        command = [word.format(*(out[key] for key in out)) for word in rule["command"]]
        subprocess.run(command, check=True)
    for key, outcome in out.report.outputs.items():
        print(f"{name}: {out.destination(key)} {outcome}")
    for path in out.report.extras:
        print(f"{name}: {path} was made, too")


if __name__ == "__main__":
    for name, rule in tomllib.loads(Path(sys.argv[1]).read_text()).items():
        if not is_up_to_date(rule):
            run(name, rule)
