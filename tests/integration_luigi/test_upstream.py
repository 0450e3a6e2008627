"""Luigi's own test suite, from its source distribution, with every LocalTarget atomic: it comes to what it came to before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
import pytest

from support.needs import need_tool, require

HERE = Path(__file__).parent
#: Files of tests that have something to do with targets, or run tasks.
CONCERNED = re.compile(r"\bTarget\b|Target\(|luigi\.build|luigi\.run|\.run\(")
#: What needs a browser, mypy's plugin or a server, or measures times.
LEFT_OUT = {"visualiser_test.py", "mypy_test.py", "server_test.py", "task_running_resources_test.py", "range_test.py"}


@pytest.fixture(scope="session")
def source(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """What gives the folder of Luigi's source distribution, downloaded once into pytest's cache."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("luigi-sdist") if cache else request.getfixturevalue("tmp_path_factory").mktemp("luigi-sdist")

    def source(version: str) -> Path:
        archive = folder / f"luigi-{version}.tar.gz"
        if not archive.exists():
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-binary",
                "luigi",
            ]
            done = subprocess.run([*command, "-d", folder, f"luigi=={version}"], capture_output=True, text=True)
            require(archive.exists(), f"needs the source distribution of Luigi {version}:\n{done.stdout}{done.stderr}")
        return archive

    return source


def run_suite(archive: Path, folder: Path, *, atomic: bool, tests: list[str] | None = None) -> dict[str, Any]:
    """Run Luigi's tests in FOLDER; what the plugin has written down."""
    if not folder.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    (root,) = (path for path in folder.iterdir() if path.is_dir())
    tests = tests or [
        str(path.relative_to(root))
        for path in sorted(root.glob("test/**/*test*.py"))
        if path.name not in LEFT_OUT and CONCERNED.search(path.read_text())
    ]
    # Luigi's own sources are those that are installed.
    imports = [str(HERE), str(root / "test"), str(root), *filter(None, sys.path)]
    (root / "luigi").rename(root / "not-installed") if (root / "luigi").exists() else None
    outcomes = folder / "outcomes.json"
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "upstream_plugin", "-p", "no:cacheprovider"),
            *("-o", "addopts=", "--continue-on-collection-errors", "--timeout", "60", *tests),
        ],
        cwd=root,
        env={
            **os.environ,
            "HOME": str(folder),
            "USER": "luigi",
            "PYTHONPATH": os.pathsep.join(imports),
            "UPSTREAM_OUTCOMES": str(outcomes),
            "UPSTREAM_ATOMIC": "1" if atomic else "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert outcomes.exists(), done.stdout[-5000:]
    found: dict[str, Any] = json.loads(outcomes.read_text())
    return found


def steady_differences(archive: Path, folder: Path, plain: dict[str, str], atomic: dict[str, str]) -> set[str]:
    """Return the tests that never have an outcome in common, plain and atomic; those that differ are run again, both ways.

    Some of Luigi's tests go by the clock: StableDoneCooldownSecsTest fails on a busy machine as it is.
    """
    seen: dict[str, tuple[set[str | None], set[str | None]]]
    seen = {name: ({outcome}, {atomic.get(name)}) for name, outcome in plain.items()}
    for _ in range(3):
        different = {name for name, outcomes in seen.items() if outcomes[0].isdisjoint(outcomes[1])}
        if not different:
            break
        for way in (0, 1):
            again = run_suite(archive, folder / ("plain", "atomic")[way], atomic=bool(way), tests=sorted(different))
            for name in different:
                seen[name][way].add(again["outcomes"].get(name))
    return {name for name, outcomes in seen.items() if outcomes[0].isdisjoint(outcomes[1])}


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_luigis_own_suite_comes_to_the_same_with_atomic_targets(tmp_path, source):
    """Every test of Luigi's that has to do with targets or runs tasks has the outcome that it has without Atomik."""
    need_tool("gzip", "bzip2")
    archive = source(luigi.__version__)
    plain = run_suite(archive, tmp_path / "plain", atomic=False)
    atomic = run_suite(archive, tmp_path / "atomic", atomic=True)

    assert luigi.__version__ == atomic["luigi"]
    assert atomic["made"]["targets"] > 100
    assert atomic["made"]["writers"] > 50
    assert list(plain["outcomes"].values()).count("passed") > 300
    assert set() == steady_differences(archive, tmp_path, plain["outcomes"], atomic["outcomes"])
