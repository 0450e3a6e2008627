"""Fresh virtual environments, with wheels built of this checkout in them: what a user gets, not what an editable one shows."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from support.needs import require

ROOT = Path(__file__).parents[2]


class Environment:
    """A virtual environment; `python` is its interpreter."""

    def __init__(self, folder: Path, base: str = sys.executable) -> None:
        # Without pip of its own, which would take most of the time: ours installs into it.
        subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"

    def pip(self, *arguments: str | Path) -> None:
        """Run pip for this environment; what cannot be had is missing on this machine."""
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", *arguments],
            capture_output=True,
            text=True,
        )
        require(
            done.returncode == 0, f"needs pip to succeed: {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
        )

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python, isolated (-I), with nothing of Atomik's or pytest's in the environment but ENV."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ATOMIK_", "PYTEST_"))}
        return subprocess.run(
            [self.python, "-I", *arguments],
            cwd=cwd,
            env={**inherited, **(env or {})},
            capture_output=True,
            text=True,
            timeout=250,
        )


@functools.cache
def wheels(*projects: Path) -> list[Path]:
    """The wheels of the projects in these folders, built once in a session."""
    out = Path(tempfile.mkdtemp(dir=_scratch()))
    builder().pip("wheel", "--no-deps", "--no-build-isolation", "-w", out, *projects)
    return sorted(out.iterdir())


def wheel(project: Path) -> Path:
    """The wheel of the project in a folder, built once in a session."""
    (built,) = wheels(project)
    return built


@functools.cache
def environment(*requirements: str | Path, base: str = sys.executable) -> Environment:
    """An environment with REQUIREMENTS in it (wheels, or what pip finds), made once in a session."""
    made = Environment(Path(tempfile.mkdtemp(dir=_scratch())), base)
    made.pip("install", *requirements)
    return made


def interpreter(version: str) -> str:
    """A Python of VERSION ("3.12") that is on the PATH."""
    for folder in os.get_exec_path():
        candidate = os.path.join(folder, f"python{version}")
        # pyenv's shims are there for versions that are not.
        if os.path.isfile(candidate) and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    require(False, f"needs Python {version} on the PATH")
    raise AssertionError


@functools.cache
def builder() -> Environment:
    """An environment with what builds the distributions, made once in a session."""
    made = Environment(Path(tempfile.mkdtemp(dir=_scratch())))
    made.pip("install", "hatchling>=1.27", "hatch-fancy-pypi-readme>=24.1")
    return made


@functools.cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="atomik-environments-"))
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return folder
