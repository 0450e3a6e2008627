"""The command as users start it: a script in a process of its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: What pip makes of the entry point; `tests/command/test_entry.py` sees that it is this one.
_SCRIPT = """#!{python}
import sys
from atomik.__main__ import main
sys.exit(main())
"""


@functools.cache
def folder() -> Path:
    """Where the script is, and nothing else: for PATH."""
    made = Path(tempfile.mkdtemp(prefix="atomik-script-"))
    script = made / "atomik"
    script.write_text(_SCRIPT.format(python=sys.executable))
    script.chmod(0o755)
    return made


def environment(**more: str) -> dict[str, str]:
    """The environment, with `atomik` on PATH, this checkout on Python's, and nothing set that changes what it does."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ATOMIK_", "_ATOMIK"))}
    path = os.pathsep.join(path for path in sys.path if path)
    return {**ours, "PATH": f"{folder()}:{ours['PATH']}", "PYTHONPATH": path, **more}


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start `atomik` with ARGUMENTS; OPTIONS are Popen's."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **options}
    return subprocess.Popen([folder() / "atomik", *arguments], **options)


def atomik(
    *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `atomik` with ARGUMENTS to its end; OPTIONS are subprocess.run's."""
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([folder() / "atomik", *arguments], env=environment(**(env or {})), **options)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that it complained in; anything else on standard error is a defect."""
    assert done.stderr.startswith("atomik: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("atomik: ").rstrip("\n")
