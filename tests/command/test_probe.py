"""`atomik probe` and `atomik plugins`: what is there, for people and for programs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from command.cli import atomik, complaint
from support.watch import tree

PROMISES = 5


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "bindfs", "exfat"])
def test_what_a_filesystem_can_do(mounts, kind):
    """The JSON has what the library says, whether there are links, the cost of an fsync and every promise."""
    there = mounts(kind)
    whole = kind in {"ext4", "tmpfs"}
    done = atomik("probe", "--json", there)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["directory"] == str(there)
    assert found["exchange"] == found["unnamed"] == found["noreplace"] == whole
    assert found["links"] == (kind != "exfat")
    assert found["directory_fsync"]
    assert 0 < found["fsync_seconds"] < 60
    kept = {promise["promise"]: promise["kept"] for promise in found["promises"]}
    assert len(kept) == PROMISES
    assert kept["Nothing half-written"] == whole
    assert kept["Nothing overwritten unasked"] == (kind != "exfat")
    assert kept["Nothing acknowledged is lost"] == (kind != "tmpfs")
    assert not os.listdir(there)


def test_the_table_for_people(here):
    """It names the filesystem, and each line has an answer and what that means; without colours if nobody sees them."""
    Path("file").write_text("text")
    before = tree(here)
    done = atomik("probe", ".")
    lines = done.stdout.splitlines()

    assert done.returncode == 0
    assert lines[0].startswith(". is on ")
    rows = [line.split(maxsplit=1)[0] for line in lines if line.startswith("  ")]
    abilities, promises = rows[:-PROMISES], rows[-PROMISES:]
    assert abilities == ["noreplace", "exchange", "unnamed", "locks", "reflinks", "syncfs", "fsync", "cost"]
    assert promises == ["Nothing", "Nothing", "Nothing", "Never", "Nothing"]
    assert max(map(len, lines)) <= 120
    assert "\x1b" not in done.stdout
    assert tree(here) == before


def test_without_a_directory(here):
    """It is the working directory that is looked at."""
    done = atomik("probe", "--json")

    assert done.returncode == 0
    assert json.loads(done.stdout)["directory"] == "."


def test_a_directory_in_which_nothing_can_be_made(mounts):
    """One line says why."""
    there = mounts("ext4")
    with mounts.read_only(there):
        done = atomik("probe", there)

    assert done.returncode == 1
    assert complaint(done).startswith(f"{there}: Read-only file system")


@pytest.fixture
def plugins(here):
    """Two plugins, one of which cannot be imported; what Python has to be told to find them."""
    _install("works", "import atomik\natomik_integration = lambda: atomik.Integration('works', 'Does something.')\n")
    _install("breaks", "raise RuntimeError('no\\nluck')\n")
    return {"PYTHONPATH": os.pathsep.join([str(here), *filter(None, sys.path)])}


def _install(name: str, source: str) -> None:
    Path(f"{name}.py").write_text(source)
    info = Path(f"{name}-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    attribute = ":atomik_integration" if name == "works" else ""
    (info / "entry_points.txt").write_text(f"[atomik]\n{name} = {name}{attribute}\n")


def test_a_broken_plugin(plugins):
    """It is listed with what is wrong, beside those that work, and the exit status says so."""
    table = atomik("plugins", env=plugins)
    found = {each["name"]: each for each in json.loads(atomik("plugins", "--json", env=plugins).stdout)}

    assert table.returncode == 1
    assert table.stderr == ""
    assert any(line.split()[:2] == ["breaks", "broken"] and "no luck" in line for line in table.stdout.splitlines())
    assert any(
        line.split()[:2] == ["works", "active"] and line.endswith("Does something.")
        for line in table.stdout.splitlines()
    )
    assert found["works"]["integration"]["summary"] == "Does something."
    assert (found["breaks"]["status"], found["breaks"]["version"]) == ("broken", "1.0")


def test_a_plugin_that_is_switched_off(plugins):
    """It is listed as that, and no longer broken."""
    done = atomik("plugins", env={**plugins, "ATOMIK_DISABLE_PLUGINS": "breaks"})

    assert done.returncode == 0
    assert any(line.split()[:2] == ["breaks", "disabled"] for line in done.stdout.splitlines())


def test_a_broken_plugin_is_reported_in_one_line(plugins):
    """Who publishes learns of it, without a traceback, and the publication goes on."""
    done = atomik("write", "dest", input="text", env=plugins)

    assert done.returncode == 0
    assert "'breaks'" in complaint(done)
    assert Path("dest").read_text() == "text"
