"""What becomes of shared test data when its builder is killed, raises, or its input changes: the usual recipe, and ours.

    python benchmarks/pytest_builds.py [--runs N]

Real runs of pytest-xdist: 16 tests in 4 workers share a folder that a builder makes. Each way is tried in a fresh project
for each situation; a cell says how many of the tests failed, and how many times the builder was called. The exit status is
1 if atomic_tmp_factory does worse than it promises. Needs filelock, pytest-xdist and pytest-atomik.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TESTS = 16
WORKERS = 4

BUILD = """
import os, signal, time
from pathlib import Path

import pytest
from filelock import FileLock

HERE = Path(__file__).parent
INPUT = HERE / "input"

def build(folder):
    with (HERE / "calls").open("a") as calls:
        calls.write("called\\n")
    (folder / "first").write_text(INPUT.read_text())
    time.sleep(0.5)
    if (HERE / "raise").exists():
        raise OSError("no such server")
    if (HERE / "kill").exists():
        (HERE / "kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "last").write_text(INPUT.read_text())
"""

#: The recipe of pytest-xdist's documentation, for a folder: in the run's directory, as there.
FILELOCK_RUN = """
@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp().parent / "data"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            folder.mkdir()
            build(folder)
    return folder
"""

#: The same, in pytest's cache, for who does not want to build in every run.
FILELOCK_CACHE = """
@pytest.fixture(scope="session")
def data(request):
    folder = request.config.cache.mkdir("shared") / "data"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            folder.mkdir()
            build(folder)
    return folder
"""

FACTORY = """
@pytest.fixture(scope="session")
def data(atomic_tmp_factory):
    return atomic_tmp_factory.folder("data", build, key=INPUT)
"""

TEST = f"""
import pytest
from conftest import INPUT

@pytest.mark.parametrize("number", range({TESTS}))
def test_it(data, number):
    assert (data / "first").read_text() == (data / "last").read_text() == INPUT.read_text()
"""

WAYS = {
    "FileLock, in the run's directory": FILELOCK_RUN,
    "FileLock, in pytest's cache": FILELOCK_CACHE,
    "`atomic_tmp_factory`, with a key": FACTORY,
}


class Seen(NamedTuple):
    """What came of a run.

    Attributes:
        failed: how many tests failed.
        calls: how many times the builder was called.
    """

    failed: int
    calls: int

    def __str__(self) -> str:
        times = {0: "not built", 1: "built once", 2: "built twice"}
        return f"{self.failed} failed, {times.get(self.calls, f'built {self.calls} times')}"


class Project:
    """A project that shares its data in one of the ways."""

    def __init__(self, path: Path, way: str) -> None:
        self.path = path
        (path / "pytest.ini").write_text("[pytest]\n")
        (path / "conftest.py").write_text(BUILD + WAYS[way])
        (path / "test_it.py").write_text(TEST)
        (path / "input").write_text("one")

    def run(self) -> Seen:
        """Run its tests."""
        (self.path / "calls").write_text("")
        plugins = ("-p", "xdist.plugin", "-p", "pytest_atomik.plugin")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-n", str(WORKERS), f"--basetemp={self.path / 'base'}"],
            cwd=self.path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"(\d+) passed", done.stdout)
        return Seen(TESTS - int(found[1] if found else 0), len((self.path / "calls").read_text().split()))


def nothing_happens(project: Project) -> Seen:
    """Run once."""
    return project.run()


def unchanged(project: Project) -> Seen:
    """Run a second time."""
    project.run()
    return project.run()


def killed(project: Project) -> Seen:
    """Kill the builder the first time."""
    (project.path / "kill").touch()
    return project.run()


def after_killed(project: Project) -> Seen:
    """Run once more after that."""
    killed(project)
    return project.run()


def raises(project: Project) -> Seen:
    """Let the builder raise."""
    (project.path / "raise").touch()
    return project.run()


def after_raised(project: Project) -> Seen:
    """Run once more, when the builder's trouble is over."""
    raises(project)
    (project.path / "raise").unlink()
    return project.run()


def stale(project: Project) -> Seen:
    """Change the input between two runs."""
    project.run()
    (project.path / "input").write_text("two")
    return project.run()


#: What is tried, and what atomic_tmp_factory promises for it.
SITUATIONS: dict[str, tuple[Callable[[Project], Seen], Seen]] = {
    "nothing happens": (nothing_happens, Seen(0, 1)),
    "the same again: the next run": (unchanged, Seen(0, 0)),
    "the builder is killed half-way": (killed, Seen(1, 2)),
    "... the next run": (after_killed, Seen(0, 0)),
    "the builder raises": (raises, Seen(TESTS, 1)),
    "... the next run, with the cause fixed": (after_raised, Seen(0, 1)),
    "its input changes: the next run": (stale, Seen(0, 1)),
}


def main() -> int:
    """Try all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="how many times each is tried; the worst is printed")
    arguments = parser.parse_args()
    print(f"| {TESTS} tests in {WORKERS} workers | {' | '.join(WAYS)} |")
    print(f"|---|{'---|' * len(WAYS)}")
    broken = 0
    for name, (situation, promised) in SITUATIONS.items():
        cells = []
        for way in WAYS:
            seen = []
            for _ in range(arguments.runs):
                with tempfile.TemporaryDirectory(prefix="atomik-builds-") as folder:
                    seen.append(situation(Project(Path(folder), way)))
            cells.append(max(seen))
        print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
        broken += cells[-1] > promised
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
