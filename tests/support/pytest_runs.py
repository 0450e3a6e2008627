"""Real test runs in a project of their own: pytest in fresh processes, with xdist, that can be watched and killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from support.needs import require

#: What a run loads; whatever else is installed takes longer than the tests.
PLUGINS = ("xdist.plugin", "pytest_rerunfailures", "pytest_atomik.plugin")


class Run:
    """A pytest that runs.

    Attributes:
        code: its exit status, once it has ended.
        out: what it has printed, standard error as well.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self.code: int | None = None
        self.out = ""

    def finish(self, timeout: float = 120) -> Run:
        """Wait for its end."""
        self.out, _ = self._process.communicate(timeout=timeout)
        self.code = self._process.returncode
        return self

    def outcomes(self) -> dict[str, int]:
        """How many tests passed, failed, ..., as the last line says."""
        last = [line for line in self.out.splitlines() if re.search(r" in \d+\.\d+s", line)][-1]
        return {outcome: int(count) for count, outcome in re.findall(r"(\d+) (\w+)", last.partition(" in ")[0])}


class Project:
    """A folder with tests.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        for plugin in PLUGINS:
            module = plugin.partition(".")[0]
            require(find_spec(module) is not None, f"needs {module}")
        self.path = path
        (path / "pytest.ini").write_text("[pytest]\n")

    def write(self, name: str, source: str) -> None:
        """Write a file of it."""
        (self.path / name).write_text(source)

    def start(self, *options: str, env: dict[str, str] | None = None) -> Run:
        """Start pytest in it, with all warnings errors."""
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ATOMIK_", "TOX"))
        }
        plugins = [word for plugin in PLUGINS for word in ("-p", plugin)]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-W", "error", *plugins, *options],
            cwd=self.path,
            env={**plain, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Run(process)

    def run(self, *options: str, env: dict[str, str] | None = None) -> Run:
        """Run pytest in it to its end."""
        return self.start(*options, env=env).finish()

    def lines(self, name: str) -> list[str]:
        """What its tests have written to a file, a line each."""
        path = self.path / name
        return path.read_text().splitlines() if path.exists() else []
