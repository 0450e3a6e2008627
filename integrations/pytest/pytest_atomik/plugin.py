"""What pytest loads. It is imported by every test run in the environment, so everything else is imported when used."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import _stash

if TYPE_CHECKING:
    from ._atomic_tmp import AtomicTmp
    from ._factory import AtomicTmpFactory

_watched: pytest.StashKey[AtomicTmp] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option in which a project lists the directories that its tests are to run on."""
    parser.addini(
        "atomik_dirs",
        type="linelist",
        help="directories on each of which a test that uses atomic_tmp runs: DIR or ID=DIR, one a line",
    )
    number: Any = "int" if pytest.version_tuple >= (8, 4) else "string"
    parser.addini(
        "atomik_keep_builds",
        type=number,
        default=3,
        help="how many builds of each name atomic_tmp_factory keeps between runs",
    )
    parser.getgroup("atomik").addoption(
        "--atomik-crashes",
        metavar="DIR",
        help="keep a copy of each state that atomic_tmp.crashes shows, in DIR/<test>/<number>-<crash>",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for --strict-markers; clear the kept builds with --cache-clear."""
    config.addinivalue_line(
        "markers",
        "atomic_tmp(leftovers=False): leftovers=True lets the test leave staging litter in its atomic_tmp",
    )
    config.stash[_stash.keep_builds] = _read_keep_builds(config)
    # Not in the workers: one that takes the place of a killed one would clear what the others use.
    if config.getoption("cacheclear", False) and not hasattr(config, "workerinput"):
        from ._places import kept_directory

        kept = kept_directory(config)
        if kept is not None and kept.is_dir():
            from ._builds import clear

            clear(kept)


def _read_keep_builds(config: pytest.Config) -> int:
    """Return how many builds of each name are kept."""
    try:
        keep = int(config.getini("atomik_keep_builds"))
    except (ValueError, TypeError, pytest.UsageError) as error:
        msg = f"the ini option atomik_keep_builds has to be a number: {error}"
        raise pytest.UsageError(msg) from None
    if keep < 0:
        msg = f"the ini option atomik_keep_builds is how many builds of each name are kept, so it cannot be {keep}"
        raise pytest.UsageError(msg)
    return keep


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses `atomic_tmp` on each of the directories in `atomik_dirs`."""
    if "atomic_tmp" in metafunc.fixturenames and (lines := metafunc.config.getini("atomik_dirs")):
        from ._dirs import chosen

        places = chosen(lines, metafunc.config.rootpath)
        metafunc.parametrize("atomic_tmp", list(places.values()), ids=list(places), indirect=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the run's builds are."""
    from ._places import configure_worker

    places = configure_worker(node)
    if places is not None:
        node.config.stash[_stash.places] = places


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which test runs, and how many times it has by now: `atomic_tmp_factory` builds for it."""
    item.stash[_stash.attempts] = item.stash.get(_stash.attempts, 0) + 1
    item.config.stash[_stash.current_test] = item


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what need not be kept, once the whole run is over."""
    places = session.config.stash.get(_stash.places, None)
    if places is None or hasattr(session.config, "workerinput"):
        return
    from ._places import EVENTS

    if (places.run / EVENTS).is_dir():
        from ._sessions import finish_session

        session.config.stash[_stash.summary] = finish_session(session.config, places)


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
    """Say what crashes did not see, and, with -v, who built what, in how long, and who used it."""
    _tell_notes(terminalreporter)
    lines = terminalreporter.config.stash.get(_stash.summary, None)
    if lines and terminalreporter.config.getoption("verbose") > 0:
        terminalreporter.section("atomic_tmp_factory")
        for line in lines:
            terminalreporter.line(line)


def _tell_notes(terminalreporter: pytest.TerminalReporter) -> None:
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

    It is the test's `tmp_path`, or one in each directory of the ini option `atomik_dirs`. The test fails at its end if
    it has left staging litter. See the documentation of Atomik: "Prove that your code is crash-safe".
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


@pytest.fixture(scope="session")
def atomic_tmp_factory(request: pytest.FixtureRequest) -> Iterator[AtomicTmpFactory]:
    """Builds expensive test data once, for all workers of xdist and, with a key, for all runs.

    `folder`, `file` and `value` build or reuse; `copy` gives a test its own copy. See the documentation of Atomik: "Build
    test data once".
    """
    from ._sessions import open_factory

    with open_factory(request) as factory:
        yield factory
