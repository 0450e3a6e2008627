"""The script that counts what survives what sees what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import survival
from faults.scenarios import Scenario
from support.traced import Traced

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.leaves_litter]

FILE = Scenario("file", is_folder=False, overwrite=True, sync="off")
FOLDER = Scenario("folder", is_folder=True, overwrite=True)


@pytest.mark.parametrize("laid", [FILE, FOLDER], ids=str)
def test_what_is_lost_is_seen(laid: Scenario, tmp_path: Path) -> None:
    """An old version, a new one, an empty one, a mixture and nothing are told apart."""
    assert survival.found(laid, tmp_path / "target") == "nothing"
    laid.lay(tmp_path, tmp_path)
    assert survival.found(laid, tmp_path / "target") == "old"
    files = [path for path in (tmp_path / "target", *(tmp_path / "target").rglob("*")) if path.is_file()]
    if laid.is_folder:
        files[0].write_text("new")
        assert survival.found(laid, tmp_path / "target") == "torn"
    for file in files:
        file.write_text("")
    assert survival.found(laid, tmp_path / "target") == "empty"


def test_a_kill_leaves_the_old_or_the_new(traced: Traced) -> None:
    """Each call is tried, and what is counted is what stands there."""
    seen = survival.killed(traced, "tmpfs", FILE)

    assert set(seen) == {"old", "new"}
    assert seen.total() > 5
    assert survival.said(seen) == f"old or new ({seen.total()})"


def test_a_power_cut_without_a_sync_is_seen_to_lose(traced: Traced) -> None:
    """On XFS, once the names have reached the disk: the script can see what it is there to see."""
    seen = survival.cut_after(traced, "xfs", FILE)

    assert seen["empty"] > 0
    assert "**empty**" in survival.said(seen)
