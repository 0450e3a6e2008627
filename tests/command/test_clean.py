"""`atomik clean`: what is dead is listed and removed, what is alive or precious stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command.cli import atomik, complaint
from support.processes import Program
from support.watch import litter

_PUBLISH = """
import sys, atomik
publication = atomik.path(sys.argv[1])
staged = publication.open()
staged.write_bytes(bytes(1500))
print(flush=True)
sys.stdin.read()
"""
_KEPT = "atomik-kept-00112233445566778899"


def leave(destination: Path) -> None:
    """Let a process be killed while it publishes."""
    with Program(_PUBLISH, destination) as program:
        program.line()
        program.kill()


@pytest.mark.leaves_litter
def test_what_a_killed_process_left(here):
    """It is listed with destination, age and size by a dry run, which removes nothing, and then removed."""
    leave(here / "report.csv")
    (left,) = litter(here)[:1]
    listed = atomik("clean", "--dry-run", ".")

    assert listed.returncode == 0
    state, destination, *age, path = listed.stdout.splitlines()[1].rsplit("  ", 4)[0], *_cells(listed.stdout)
    assert (destination, age[-1], Path(path)) == ("report.csv", "1.5 kB", Path(left.name))
    assert state.startswith("would be removed")
    assert litter(here)
    removed = atomik("clean", ".")
    assert removed.returncode == 0
    assert removed.stdout.splitlines()[1].startswith("removed  report.csv")
    assert not os.listdir()


def _cells(table: str) -> list[str]:
    """The cells of the first row but its first."""
    return [cell.strip() for cell in table.splitlines()[1].split("  ") if cell.strip()][1:]


@pytest.mark.leaves_litter
def test_what_is_alive_stays(here):
    """It is listed as in use; that is no failure."""
    leave(here / "dead")
    with Program(_PUBLISH, here / "alive") as program:
        program.line()
        done = atomik("clean", ".")
        assert len({path.parent for path in litter(here)}) == 1
        program.kill()

    assert done.returncode == 0
    states = [line.split("  ")[0] for line in done.stdout.splitlines()[1:]]
    assert states == ["removed", "in use"]


@pytest.mark.leaves_litter
def test_recursive(here):
    """Folders below are looked into only if asked."""
    Path("sub").mkdir()
    leave(here / "sub" / "dest")

    assert "nothing was left behind" in atomik("clean", ".").stdout
    assert litter(here)
    assert "sub/.atomik-" in atomik("clean", "-r", ".").stdout
    assert not os.listdir("sub")


@pytest.mark.leaves_litter
def test_kept_work_is_listed_and_never_removed(here):
    """Finished work that could not be published is somebody's to look at, with --force, too."""
    Path(_KEPT).write_text("precious")
    done = atomik("clean", "--force", ".")

    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith("kept work")
    assert Path(_KEPT).read_text() == "precious"


@pytest.mark.leaves_litter
def test_quiet(here):
    """It cleans without a word, for cron."""
    leave(here / "dest")
    done = atomik("clean", "--quiet", ".")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not os.listdir()


@pytest.mark.leaves_litter
def test_where_nobody_can_know(mounts):
    """Where locks may stay on one host nothing is removed: the line names what is left and the way to insist."""
    there = mounts("bindfs")
    leave(there / "dest")
    refused = atomik("clean", there)

    assert refused.returncode == 1
    assert refused.stdout.splitlines()[1].startswith("perhaps in use  dest")
    assert "--force" in complaint(refused)
    assert litter(there)
    assert atomik("clean", "--force", there).returncode == 0
    assert not os.listdir(there)
