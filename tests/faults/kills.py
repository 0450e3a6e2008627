"""What must hold after a kill -9 at each system call of a publication."""

from __future__ import annotations

from pathlib import Path

import atomik
from faults.conftest import Fresh
from faults.scenarios import Scenario
from support.outcome import Call
from support.traced import Traced

#: The calls that may give an unnamed file its first name, and those that publish what has a name.
_LINKS = {"linkat", "link"}
_RENAMES = {"renameat2", "renameat", "rename"}

#: Calls that change nothing that a killed process leaves.
ONLY_LOOK = {
    "newfstatat",
    "fstat",
    "lseek",
    "read",
    "getdents64",
    "fcntl",
    "fstatfs",
    "listxattr",
    "flistxattr",
    "getcwd",
}


def check_kills(
    traced: Traced, fresh: Fresh, scenario: Scenario, *, leaves_nothing: bool = False, locks: bool = True
) -> None:
    """Kill the workload at each of its calls in turn, and assert everything that is promised after that.

    LEAVES_NOTHING: even before anybody cleans, unless the kill falls between giving the file a name and the rename.
    LOCKS: they are known to reach everybody, so that a cleaner need not be forced.
    """
    versions = set()
    calls = traced.calls(scenario.source, fresh(scenario))
    between = _between_link_and_rename(calls) if leaves_nothing and scenario.overwrite else set()
    for call in calls:
        if scenario.tmp_dir is not None and call.name in ONLY_LOOK:
            continue  # nothing has changed when the next call is entered, where the workload is killed, too
        folder = fresh(scenario)
        outcome = traced.killed_at(call, scenario.source, folder)
        version = scenario.read(folder / "target")
        assert version in {scenario.before, "new"}, f"the destination says {version!r}\n{outcome.trace}"
        assert version == "new" or not outcome.said, f"acknowledged and not there\n{outcome.trace}"
        versions.add(version)
        if leaves_nothing:
            left = scenario.staged(folder)
            assert bool(left) == (call in between), f"left behind: {left}\n{outcome.trace}"
        check_recovery(scenario, folder, call, locks=locks)
    assert versions == {scenario.before, "new"}


def _between_link_and_rename(calls: tuple[Call, ...]) -> set[Call]:
    """The calls at which a kill may leave an overwriting file under its staging name."""
    names = [call.name for call in calls]
    rename = max(place for place, name in enumerate(names) if name in _RENAMES)
    link = max(place for place, name in enumerate(names[:rename]) if name in _LINKS)
    return set(calls[link + 1 : rename + 1])


def check_recovery(scenario: Scenario, folder: Path, call: object, *, locks: bool = True) -> None:
    """Assert that what was left can be found, is known to be dead if LOCKS tell it, and goes, and that life goes on."""
    version, left = scenario.read(folder / "target"), scenario.staged(folder)
    places = scenario.places(folder)
    found = [leftover for place in places for leftover in atomik.leftovers(place)]
    assert sorted(leftover.path for leftover in found) == sorted(left), call
    assert {leftover.live for leftover in found} <= {False if locks else None}, call

    removed = [leftover.path for place in places for leftover in atomik.clean(place, force=not locks)]

    assert sorted(removed) == sorted(left), call
    assert scenario.others(folder) == [], call
    assert scenario.read(folder / "target") == version, call

    if not locks and version is not None:
        atomik.remove(folder / "target")  # where locks reach nobody, folders are not replaced, either
    scenario.publish(folder)

    assert scenario.read(folder / "target") == "next", call
    assert scenario.others(folder) == [], call
