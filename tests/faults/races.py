"""What must hold if somebody else acts right after any one system call: a rival that publishes, a publisher under a cleaner."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from faults.conftest import Fresh
from faults.scenarios import PREPARE, Scenario
from support.traced import Traced

_CLEAN = "import atomik\natomik.clean('.')"


def check_rivals(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Let a rival make the destination of a new publication after each of its calls; exactly one of them must win."""
    wins = set()
    for call in traced.calls(scenario.source, fresh(scenario)):
        folder = fresh(scenario)
        with traced.paused_at(call, scenario.source, folder) as paused:
            won = _make_first(folder / "target", is_folder=scenario.is_folder)
        raised = paused.outcome.raised
        wins.add(won)
        if won:
            assert _is_empty(folder / "target"), f"the rival's version was overwritten after {call}"
            assert raised is not None, f"both won after {call}"
            assert raised.types[0] == "FileAlreadyExistsError", f"{raised} after {call}"
        else:
            assert raised is None, f"none won after {call}: {raised}"
            assert scenario.read(folder / "target") == "new", call
        assert scenario.others(folder) == [], call
    assert wins == {True, False}


def _make_first(path: Path, *, is_folder: bool) -> bool:
    """Make an empty version, the kind that is the easiest to overwrite; say whether nothing was there before."""
    try:
        if is_folder:
            path.mkdir()
        else:
            path.open("x").close()
    except FileExistsError:
        return False
    return True


def _is_empty(path: Path) -> bool:
    return not (list(path.iterdir()) if path.is_dir() else path.read_bytes())


def check_cleaner(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Let a publication that has only made its staging folder, not locked it, go on after each call of a cleaner.

    The cleaner takes that folder for a leftover, rightly; yet what is published in the end must be whole. It is the
    cleaner that runs in TRACED.
    """
    with Traced(PREPARE) as publishers:
        folder = fresh(scenario)
        calls = publishers.calls(scenario.source, fresh(scenario))
        making = next(place for place, call in enumerate(calls) if call.name == "mkdirat")
        publishers.killed_at(calls[making + 1], scenario.source, folder)
        for call in traced.calls(_CLEAN, folder):
            folder = fresh(scenario)
            with ExitStack() as publication:
                paused = publication.enter_context(publishers.paused_at(calls[making], scenario.source, folder))
                with traced.paused_at(call, _CLEAN, folder) as cleaner:
                    publication.close()
            assert cleaner.outcome.raised is None, f"{cleaner.outcome.raised} after {call}"
            assert paused.outcome.raised is None, f"{paused.outcome.raised} after {call}"
            left = _files(folder / "target")
            assert left == ["one", "sub", "two"], f"the cleaner left {left} of what was published, after {call}"
            assert scenario.others(folder) == [], call


def _files(path: Path) -> list[str]:
    return sorted(each.name for each in path.rglob("*"))
