"""A workflow in a folder, run by a real Snakemake in processes of its own: the newest version, or an old one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from support.environments import Environment, wheels
from support.needs import require

ROOT = Path(__file__).parents[2]
PATIENCE = 240

#: The Snakemake that the test run has, and the oldest one with and without `outputflags`.
NEWEST, OUTPUTFLAGS, OLDEST = "newest", "9.1", "8.20"


class Done(NamedTuple):
    """How a run of Snakemake ended: its exit code, and all that it said."""

    code: int
    out: str


class Workflow:
    """A folder with a Snakefile, to be run by a Snakemake of this VERSION, whose Python is PYTHON."""

    def __init__(self, path: Path, python: Path, version: str, *, cache: Path | None = None) -> None:
        self.path = path
        self.version = version
        self._python = python
        #: A command that starts Snakemake in some other way.
        self.prefix: tuple[str, ...] = ()
        #: Every Snakemake that was started here.
        self.running: list[subprocess.Popen[str]] = []
        self._environment = {
            **os.environ,
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(cache or path / "cache"),
        }

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def write(self, text: str, name: str = "Snakefile") -> Path:
        """Write a file of the workflow; the folder it is in is made."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def start(
        self, *arguments: str | Path, cwd: Path | None = None, program: str | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Start Snakemake, or a Python file of the workflow that does, as the leader of a process group of its own."""
        command = ["-m", "snakemake"] if program is None else [program]
        process = subprocess.Popen(
            # What runs the tests in the background may have Ctrl-C ignored, and a child would inherit that.
            [
                *self.prefix,
                "env",
                "--default-signal=INT",
                self._python,
                *command,
                "--cores",
                "2",
                "--nocolor",
                *arguments,
            ],
            cwd=cwd or self.path,
            env={**self._environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.running.append(process)
        return process

    def run(
        self,
        *arguments: str | Path,
        fails: bool = False,
        cwd: Path | None = None,
        program: str | None = None,
        **environment: str,
    ) -> Done:
        """Run Snakemake to its end, which is failure if that is expected."""
        process = self.start(*arguments, cwd=cwd, program=program, **environment)
        out, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode != 0) == fails, out
        return Done(process.returncode, out)

    def kill(self, process: subprocess.Popen[str], *, group: bool = True) -> None:
        """End Snakemake with kill -9; with its whole group, or alone."""
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.communicate(timeout=PATIENCE)

    def close(self) -> None:
        """End what still runs, and what jobs have left running."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            if process.stdout is not None:
                process.stdout.close()

    def staged(self) -> list[Path]:
        """What lies in the workflow's staging directory."""
        staging = self.path / ".snakemake" / "atomik"
        return sorted(staging.iterdir()) if staging.is_dir() else []


def need_package(name: str) -> None:
    """Go on only if this package of a plugin is installed."""
    __tracebackhide__ = True
    require(importlib.util.find_spec(name) is not None, f"needs {name.replace('_', '-')}, which is not installed")


def python_of(version: str, pythons: dict[str, Path], factory: pytest.TempPathFactory) -> Path:
    """Find the Python with this Snakemake; an old one is installed when it is first asked for."""
    if version not in pythons:
        # The oldest Python that is promised: the oldest Snakemake's dependencies know no newer ones.
        environment = Environment(
            factory.mktemp(f"snakemake-{version}") / "venv", shutil.which("python3.11") or sys.executable
        )
        environment.pip("install", "--quiet", f"snakemake=={version}.*", "click", "pluggy")
        environment.pip("install", "--quiet", "--no-deps", *wheels(ROOT, ROOT / "integrations" / "snakemake"))
        pythons[version] = environment.python
    return pythons[version]
