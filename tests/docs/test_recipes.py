"""The recipes of docs/recipes, each run as it is printed, by itself, with the library that it is about."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import atomik
from support.needs import need_tool, require

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def recipes() -> dict[str, str]:
    """Every recipe's Python by its page and title."""
    found = {}
    for page in sorted((ROOT / "docs" / "recipes").glob("*.md")):
        _, *sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
        for section in sections:
            title = section.partition("\n")[0]
            if blocks := BLOCK.findall(section):
                found[f"{page.stem}: {title}"] = "\n".join(blocks)
    return found


RECIPES = recipes()


def need_what_is_imported(source: str) -> None:
    """Go on only if everything that SOURCE imports is installed."""
    tree = ast.parse(source)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    missing = sorted({name.partition(".")[0] for name in names if find_spec(name.partition(".")[0]) is None})
    require(not missing, f"needs {', '.join(missing)} (tox run -e recipes, tox run -e workflows)")


def environment(folder: Path) -> dict[str, str]:
    """The environment variables of a user whose home is FOLDER, with the programs of this Python on the PATH."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ATOMIK_", "PYTEST_"))}
    folder.mkdir()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **inherited,
        "PATH": programs,
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_does_what_it_says(name, tmp_path):
    """It runs in an empty directory, what it asserts is true, and it leaves no litter."""
    source = RECIPES[name]
    need_what_is_imported(source)
    program = re.search(r'\["(doit|dvc)"', source)
    if program:
        require(
            shutil.which(program[1], path=str(Path(sys.executable).parent)) is not None,
            f"needs {program[1]} (tox run -e recipes, tox run -e workflows)",
        )
    directory = tmp_path / "empty"
    directory.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=directory,
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert atomik.leftovers(directory, recursive=True) == []
    assert not list(directory.rglob("atomik-kept-*"))


def test_every_recipe_is_listed():
    """The first page of the recipes leads to all of them, and names what cannot be run."""
    index = (ROOT / "docs" / "recipes" / "index.md").read_text()
    pages = {page.name for page in (ROOT / "docs" / "recipes").glob("*.md")} - {"index.md"}

    assert set(re.findall(r"\]\(([a-z]+\.md)\)", index)) == pages


SYSTEM = (ROOT / "docs" / "recipes" / "system.md").read_text()


def test_the_rule_of_the_makefile(tmp_path):
    """It makes the target, and leaves none when its command fails."""
    need_tool("make", "gzip")
    (rule,) = re.findall(r"^```make\n(.*?)^```$", SYSTEM, re.DOTALL | re.MULTILINE)
    directory = tmp_path / "empty"
    directory.mkdir()
    (directory / "a.csv").write_text("name,total\n")
    (directory / "Makefile").write_text(rule)
    env = environment(tmp_path / "home")

    made = subprocess.run(["make", "a.csv.gz"], cwd=directory, env=env, capture_output=True, text=True)
    (directory / "b.csv").mkdir()
    failed = subprocess.run(["make", "b.csv.gz"], cwd=directory, env=env, capture_output=True, text=True)

    assert made.returncode == 0, made.stderr
    assert (directory / "a.csv.gz").stat().st_size > 0
    assert failed.returncode != 0
    assert sorted(entry.name for entry in directory.iterdir()) == ["Makefile", "a.csv", "a.csv.gz", "b.csv"]


@pytest.mark.parametrize("kind", ["text", "ini", "yaml"])
def test_the_commands_for_cron_systemd_and_containers_are_right(kind, tmp_path):
    """As they are printed, but for where they are, and with another program in the place of the one that is started."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", SYSTEM, re.DOTALL | re.MULTILINE)
    lines = [
        line.replace("[", "").replace("]", "").replace(",", "").replace('"{}"', "{}") if kind == "yaml" else line
        for block in blocks
        for line in block.splitlines()
        if "/opt/tools/bin/atomik" in line
    ]
    assert lines
    for line in lines:
        words = shlex.split(line.partition("/opt/tools/bin/atomik")[2])
        words = [re.sub(r"^/(srv/)?data", str(tmp_path), word) for word in words]
        if "--" in words:
            words[words.index("--") + 1 :] = ["touch", "{}"]
        done = subprocess.run([sys.executable, "-m", "atomik", *words], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), line
    if kind != "text":
        assert (tmp_path / "rates.json").exists()


@pytest.fixture
def cluster(tmp_path):
    """A running `examples/dask_dataset.py` that replaces a dataset, and has written some partitions but not all."""
    need_what_is_imported("import dask, distributed, pandas, pyarrow")
    need_tool("pgrep")
    (tmp_path / "readings" / "month=old").mkdir(parents=True)
    (tmp_path / "readings" / "month=old" / "readings.parquet").write_text("old")
    run = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "dask_dataset.py", "readings"],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob(".atomik-*/month=*/*.parquet"))) < 3:
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline, "no partition was written"
            time.sleep(0.02)
        yield run
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def months(folder: Path) -> set[str]:
    """The partitions of a dataset."""
    return {partition.name for partition in folder.iterdir()}


def workers(run: subprocess.Popen[str]) -> list[int]:
    """The processes of the cluster's workers."""
    children = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in children if b"resource_tracker" not in Path("/proc", pid, "cmdline").read_bytes()]


@pytest.mark.leaves_litter
def test_a_killed_worker_of_dask_costs_nothing(cluster, tmp_path):
    """The old dataset stays until the new one is whole, which it is all the same: another worker does its part."""
    os.kill(workers(cluster)[0], signal.SIGKILL)

    assert months(tmp_path / "readings") == {"month=old"}
    out, err = cluster.communicate(timeout=100)

    assert (cluster.returncode, out) == (0, "336 rows\n"), err
    assert months(tmp_path / "readings") == {f"month={month:02}" for month in range(1, 13)}
    assert all(
        (tmp_path / "readings" / month / "readings.parquet").stat().st_size for month in months(tmp_path / "readings")
    )
    assert atomik.leftovers(tmp_path) == []


@pytest.mark.leaves_litter
def test_a_killed_run_of_dask_leaves_the_old_dataset(cluster, tmp_path):
    """And what it had written so far is found, and removed when the last of its processes has gone."""
    os.killpg(cluster.pid, signal.SIGKILL)
    cluster.communicate()

    assert months(tmp_path / "readings") == {"month=old"}
    assert len(atomik.clean(tmp_path)) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["home", "readings"]
