"""Power cuts, and kill -9 at every system call: what Luigi was told is complete is there, and nothing half-written is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import atomik
from support.powercut import PowerCut
from support.processes import run
from support.traced import Traced
from support.watch import litter

pytestmark = pytest.mark.system

SEVERAL = """
import os, luigi
from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget, AtomicOutputs

class Several(AtomicOutputs, luigi.Task):
    def output(self):
        return [AtomicLocalTarget("several-a"), AtomicLocalTarget("new/parents/several-b")]
    def run(self):
        for target in self.output():
            with target.open("w") as file:
                file.write("whole " * 1000)
"""

WAYS = {
    "open": """
with AtomicLocalTarget("new/parents/opened").open("w") as file:
    file.write("whole " * 1000)
""",
    "temporary_path": """
with AtomicLocalTarget("at-a-path").temporary_path() as path, open(path, "w") as file:
    file.write("whole " * 1000)
""",
    "folder": """
with AtomicLocalFolderTarget("folder").folder() as folder:
    for name in "ab":
        (folder / name).write_text("whole " * 1000)
""",
    "outputs": "Several().run()",
    "copy": """
with open("copied-from", "w") as file:
    file.write("whole " * 1000)
AtomicLocalTarget("copied-from").copy("new/parents/copied")
""",
    "move": """
with open("moved-from", "w") as file:
    file.write("whole " * 1000)
AtomicLocalTarget("moved-from").move("moved")
""",
    "move a folder": """
os.mkdir("moved-folder-from")
with open("moved-folder-from/a", "w") as file:
    file.write("whole " * 1000)
AtomicLocalTarget("moved-folder-from").move("new/parents/moved-folder")
""",
    "mkdir": 'AtomicLocalTarget.fs.mkdir("new/made/deep")',
}
MADE = {
    "open": ["new/parents/opened"],
    "temporary_path": ["at-a-path"],
    "folder": ["folder/a", "folder/b"],
    "outputs": ["several-a", "new/parents/several-b"],
    "copy": ["new/parents/copied"],
    "move": ["moved"],
    "move a folder": ["new/parents/moved-folder/a"],
    "mkdir": [],
}


@pytest.fixture(autouse=True)
def durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sync as a user's pipeline does who says nothing about it."""
    monkeypatch.delenv("ATOMIK_SYNC")


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_what_was_complete_survives_a_power_cut(filesystem):
    """Every kind of output, and the directories made for it, is there with its content after the power was cut."""
    with PowerCut(filesystem) as disk:
        done = run(SEVERAL + "".join(WAYS.values()), cwd=disk.path)
        assert 0 == done.code, done.err
        disk.cut()
        disk.remount()

        for name in (name for names in MADE.values() for name in names):
            assert "whole " * 1000 == (disk.path / name).read_text(), name
        assert (disk.path / "new/made/deep").is_dir()


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    """A warm process in which everything is loaded; it sweeps every time, so that each run makes the same calls."""
    prepare = f"""
import warnings
warnings.simplefilter("ignore")
{SEVERAL}{"".join(WAYS.values())}
import luigi_atomik._sweep
luigi_atomik._sweep._swept = bytearray(len(luigi_atomik._sweep._swept))  # not shared
"""
    with Traced(prepare) as warm:
        yield warm


@pytest.mark.parametrize("way", ["open", "temporary_path", "folder", "outputs"])
def test_killed_at_every_system_call_there_is_the_whole_or_nothing(traced, tmp_path, way):
    """Kill -9 at any call leaves each output absent or whole, and nothing but what can be cleaned."""
    source = SEVERAL + WAYS[way]
    (tmp_path / "counted").mkdir()
    calls = traced.calls(source, tmp_path / "counted")
    assert len(calls) > 10
    for number, call in enumerate(calls):
        place = tmp_path / str(number)
        place.mkdir()
        assert 9 == traced.killed_at(call, source, place).killed, call
        there = [name for name in MADE[way] if (place / name).exists()]
        assert ["whole " * 1000] * len(there) == [(place / name).read_text() for name in there], call
        assert way != "folder" or there in ([], MADE[way]), call
        atomik.clean(place, recursive=True)
        assert [] == litter(place), call


@pytest.mark.parametrize("way", ["open", "mkdir"])
def test_the_names_of_directories_that_are_made_are_synced(traced, tmp_path, way):
    """Each directory that was made is followed by an fsync of the one that it is in, before anything is published there."""
    calls = traced.calls(SEVERAL + WAYS[way], tmp_path)
    made = [number for number, call in enumerate(calls) if call.name.startswith("mkdir")]
    assert 2 <= len(made)
    for number, above in zip(made, (tmp_path, tmp_path / "new"), strict=False):
        later = [call for call in calls[number:] if call.name in {"fsync", "linkat"}]
        assert f"<{above}>" in later[0].arguments, later[0]
        assert "fsync" == later[0].name
