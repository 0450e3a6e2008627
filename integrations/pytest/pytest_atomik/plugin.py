"""What pytest loads. It is imported by every test run in the environment, so everything else is imported when used."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._atomic_tmp import AtomicTmp

_watched: pytest.StashKey[AtomicTmp] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option in which a project lists the directories that its tests are to run on."""
    parser.addini(
        "atomik_dirs",
        type="linelist",
        help="directories on each of which a test that uses atomic_tmp runs: DIR or ID=DIR, one a line",
    )
    parser.getgroup("atomik").addoption(
        "--atomik-crashes",
        metavar="DIR",
        help="keep a copy of each state that atomic_tmp.crashes shows, in DIR/<test>/<number>-<crash>",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for --strict-markers."""
    config.addinivalue_line(
        "markers",
        "atomic_tmp(leftovers=False): leftovers=True lets the test leave staging litter in its atomic_tmp",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses `atomic_tmp` on each of the directories in `atomik_dirs`."""
    if "atomic_tmp" in metafunc.fixturenames and (lines := metafunc.config.getini("atomik_dirs")):
        from ._dirs import chosen

        places = chosen(lines, metafunc.config.rootpath)
        metafunc.parametrize("atomic_tmp", list(places.values()), ids=list(places), indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell a failed test what it has published and discarded, and what is on disk."""
    report = yield
    atomic_tmp = item.stash.get(_watched, None)
    if atomic_tmp is not None:
        if report.failed:
            # A name that is no text would end an xdist worker.
            account = atomic_tmp._account().encode(errors="backslashreplace").decode()
            report.sections.append(("atomic_tmp", account))
        if call.when == "teardown" and (notes := atomic_tmp._notes()):
            notes = [note.encode(errors="backslashreplace").decode() for note in notes]
            report.atomik_notes = notes  # type: ignore[attr-defined] # what a report holds, xdist brings to the controller
        atomic_tmp._has_failed |= report.failed or hasattr(report, "wasxfail")
        atomic_tmp._was_skipped |= report.skipped
        if call.when == "teardown":
            del item.stash[_watched]  # the item lives as long as the session, and may be run again
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what crashes could not be, or were not, seen: of tests that passed, too."""
    notes: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for note in getattr(report, "atomik_notes", ()):
                notes.setdefault(note, []).append(report.nodeid)
    if notes:
        terminalreporter.section("atomik")
        for note, tests in notes.items():
            others = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
            terminalreporter.write_line(f"{note}   ({tests[0]}{others})")


def _kept_crashes(request: pytest.FixtureRequest) -> Path | None:
    """Return where the states that crashes leave are kept, if they are to be."""
    folder = request.config.getoption("atomik_crashes")
    if folder is None:
        return None
    return Path(request.config.invocation_params.dir, folder, re.sub(r"[^\w.\[\]-]+", "_", request.node.nodeid)[-150:])


@pytest.fixture
def atomic_tmp(request: pytest.FixtureRequest) -> Iterator[AtomicTmp]:
    """A temporary directory that sees what is published in it, and makes publications fail, race and crash.

    It is the test's `tmp_path`, or one in each directory of the ini option `atomik_dirs`. At its end the test fails if
    it left staging litter. See the documentation of Atomik: "Prove that your code is crash-safe".
    """
    from ._atomic_tmp import AtomicTmp
    from ._dirs import keep, temporary

    path, remove = temporary(request)
    watched = request.node.stash[_watched] = AtomicTmp(
        path, str(request.path), base=request.config.invocation_params.dir, keep_in=_kept_crashes(request)
    )
    try:
        yield watched
        watched._close()
        marker = request.node.get_closest_marker("atomic_tmp")
        forgiven = marker is not None and marker.kwargs.get("leftovers", False)
        if not watched._has_failed and not watched._was_skipped:
            watched._require_use()
        if not forgiven and not watched._has_failed:
            watched._require_no_litter()
    except BaseException:
        keep(request)
        raise
    finally:
        watched._remove_elsewhere()
        remove()
