"""What a test run says and does: the account of a failed test, litter, and the directories that tests run on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.system, pytest.mark.leaves_litter]

PUBLISH = """
import atomik, pytest
from atomik_core._os import names

def publish(path, text="new", **options):
    with atomik.file(path, **options) as f:
        f.write(text)

def leave_litter(folder):
    (folder / names.staging_name()).mkdir(0o700)
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch):
    """Leave out whatever else is installed, which takes longer than the tests."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_atomik.plugin")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester, source, *options):
    """Run a test file, with all warnings errors.

    Not in this process: pytester would let go of all modules that are first imported there, so that the tests after it
    had two of each.
    """
    pytester.makepyfile(test_it=PUBLISH + source)
    return pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", *options)


def test_a_failed_test_is_told_what_it_has_published_by_which_line_and_what_is_there(pytester):
    """The line is the test's own, also for what a function of another module publishes."""
    pytester.makepyfile(
        store="import atomik\ndef save(path):\n    with atomik.path(path) as p:\n        p.write_text('new')\n"
    )
    result = run(
        pytester,
        """
def test_it(atomic_tmp):
    import store
    (atomic_tmp / "folder").mkdir()
    (atomic_tmp / "link").symlink_to("folder")
    store.save(atomic_tmp / "folder" / "a")  # this line
    try:
        publish(atomic_tmp / "b", encoding="ascii", text="\\u00fc")
    except UnicodeError:
        pass
    assert not atomic_tmp.published
""",
    )

    lines = (Path(pytester.path) / "test_it.py").read_text().splitlines()
    first = next(number for number, line in enumerate(lines, 1) if "# this line" in line)
    second = next(number for number, line in enumerate(lines, 1) if "with atomik.file" in line)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*--- atomic_tmp ---*",
            f"published  folder/a  by test_it.py:{first}",
            f"discarded  b  by test_it.py:{second}",
            "on disk in */test_it0:",
            "  folder/",
            "  link -> folder",
            "  folder/a  3 bytes",
        ],
        consecutive=True,
    )


def test_a_test_that_passes_is_told_nothing(pytester):
    """Nor is one that is skipped."""
    result = run(
        pytester,
        """
def test_passes(atomic_tmp):
    publish(atomic_tmp / "a")

def test_is_skipped(atomic_tmp):
    publish(atomic_tmp / "a")
    pytest.skip("enough")
""",
        "-rA",
    )

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.no_fnmatch_line("*--- atomic_tmp ---*")


def test_an_account_of_very_much_is_cut(pytester):
    """Nobody reads on after thirty entries."""
    result = run(
        pytester,
        """
def test_it(atomic_tmp):
    for number in range(100, 150):
        (atomic_tmp / str(number)).touch()
    assert 0
""",
    )

    result.stdout.fnmatch_lines(["  100  0 bytes", "  129  0 bytes", "  and more"])
    result.stdout.no_fnmatch_line("  130*")


def test_a_test_that_fails_on_a_crash_shows_the_crash(pytester):
    """The directory is told as the kill left it, not as it was before."""
    result = run(
        pytester,
        """
def test_it(atomic_tmp):
    (atomic_tmp / "a").write_text("old")
    for crash in atomic_tmp.crashes(lambda: publish(atomic_tmp / "a", "newer", overwrite=True)):
        assert (atomic_tmp / "a").read_text() == "old"
""",
        f"--basetemp={pytester.path / 'base'}",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["as kill -9 left it at the step 'published' of a", "on disk in */test_it0:", "  a  5 bytes"]
    )
    base = pytester.path / "base"
    assert sorted(os.listdir(base)) == ["test_it0", "test_itcurrent"], "what was put aside is removed"
    assert (base / "test_it0" / "a").read_text() == "newer", "and the directory is there to be looked at"


def test_litter_is_an_error_that_names_it(pytester):
    """At the end, after every fixture that depends on the directory has tidied up."""
    result = run(
        pytester,
        """
@pytest.fixture
def service(atomic_tmp):
    publication = atomik.folder(atomic_tmp / "until the end")
    publication.open()
    yield
    publication.discard()

def test_tidies(service): ...

def test_litters(atomic_tmp):
    leave_litter(atomic_tmp)
""",
    )

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_litters*",
            "the test leaves staging litter in atomic_tmp; @pytest.mark.atomic_tmp(leftovers=True) allows it:",
            "  */test_litters0/.atomik-*",
            "*--- atomic_tmp ---*",
        ]
    )


def test_litter_elsewhere_in_the_test_is_found_too(pytester):
    """In folders below, and on the other filesystem, which is gone when the test is over."""
    result = run(
        pytester,
        """
def test_below(atomic_tmp):
    (atomic_tmp / "a" / "b").mkdir(parents=True)
    leave_litter(atomic_tmp / "a" / "b")

def test_other(atomic_tmp):
    other = atomic_tmp.other_filesystem()
    with open("other", "w") as f:
        f.write(str(other))
    leave_litter(other)
""",
    )

    result.assert_outcomes(passed=2, errors=2)
    other = (pytester.path / "other").read_text()
    result.stdout.fnmatch_lines(["  */test_below0/a/b/.atomik-*", f"  {other}/.atomik-*", f"on disk in {other}:"])
    assert not os.path.exists(other)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("@pytest.mark.atomic_tmp(leftovers=True)\ndef test_it(atomic_tmp):\n    leave_litter(atomic_tmp)", {"passed": 1}),
        ("@pytest.mark.atomic_tmp(leftovers=False)\ndef test_it(atomic_tmp):\n    leave_litter(atomic_tmp)", {"passed": 1, "errors": 1}),
        ("def test_it(atomic_tmp):\n    leave_litter(atomic_tmp)\n    assert 0", {"failed": 1}),
        ("@pytest.mark.xfail\ndef test_it(atomic_tmp):\n    leave_litter(atomic_tmp)\n    assert 0", {"xfailed": 1}),
        ("def test_it(atomic_tmp):\n    leave_litter(atomic_tmp)\n    pytest.skip('enough')", {"skipped": 1, "errors": 1}),
    ],
    ids=["allowed", "not allowed", "failed already", "expected to fail", "skipped"],
)  # fmt: skip
def test_litter_is_let_pass_where_it_is_allowed_or_the_test_has_failed_already(pytester, end, outcome):
    """One failure for a test is enough."""
    result = run(pytester, end, "--strict-markers")

    result.assert_outcomes(**outcome)


def test_finished_work_that_is_kept_is_no_litter(pytester):
    """It is there on purpose, after a failure that the test has asked for."""
    result = run(
        pytester,
        """
def test_it(atomic_tmp):
    with atomic_tmp.fail(), pytest.raises(OSError):
        publish(atomic_tmp / "a")
""",
    )

    result.assert_outcomes(passed=1)


def test_each_test_runs_on_each_directory(pytester, tmp_path_factory):
    """Tests are named by filesystem or by what the project calls it; nothing remains there."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    (pytester.path / "relative").mkdir()
    pytester.makeini(f"[pytest]\natomik_dirs =\n  one={first}\n\n  {second}\n  relative\n")

    result = run(
        pytester,
        f"""
import os

@pytest.mark.parametrize("number", [1, 2])
def test_it(atomic_tmp, number):
    assert os.listdir(atomic_tmp) == []
    assert str(atomic_tmp.path.parent) in {[str(first), str(second), str(pytester.path / "relative")]}
    publish(atomic_tmp / "a")
    assert atomic_tmp.published == ["a"]

def test_without(tmp_path): ...
""",
        "-v",
    )

    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        ["*::test_it?one-1? PASSED*", f"*::test_it?*:{second}-1? PASSED*", "*::test_it?*:relative-2? PASSED*"]
    )
    result.stdout.fnmatch_lines(["*::test_without PASSED*"])
    assert [*os.listdir(first), *os.listdir(second), *os.listdir(pytester.path / "relative")] == []


def test_the_kind_of_filesystem_names_a_test(pytester):
    """As with the memory that every Linux has mounted."""
    pytester.makeini("[pytest]\natomik_dirs = /dev/shm\n")

    result = run(pytester, "def test_it(atomic_tmp): assert 0", "-v")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*::test_it?tmpfs? FAILED*", "on disk in /dev/shm/test_it*: nothing"])
    assert not [name for name in os.listdir("/dev/shm") if name.startswith("test_it")]


def test_a_directory_that_is_not_there_is_an_error_that_says_so(pytester):
    """A test that silently did not run on it would be taken for one that did."""
    pytester.makeini("[pytest]\natomik_dirs = nowhere=/no/such/directory\n")

    result = run(pytester, "def test_it(atomic_tmp): ...")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "the ini option atomik_dirs names /no/such/directory, which is no directory; make it, or run with -o atomik_dirs="
        ]
    )
    run(pytester, "def test_it(atomic_tmp): ...", "-o", "atomik_dirs=").assert_outcomes(passed=1)


def test_basetemp_and_retention_are_those_of_tmp_path(pytester):
    """It is the test's `tmp_path`, where pytest puts it, for as long as pytest keeps it."""
    pytester.makeini("[pytest]\ntmp_path_retention_policy = failed\n")

    run(
        pytester,
        "def test_passes(atomic_tmp): publish(atomic_tmp / 'a')\ndef test_fails(atomic_tmp): assert 0, publish(atomic_tmp / 'a')",
        f"--basetemp={pytester.path / 'here'}",
    ).assert_outcomes(passed=1, failed=1)

    assert not (pytester.path / "here" / "test_passes0").exists()
    assert (pytester.path / "here" / "test_fails0" / "a").exists()


def test_marker_and_option_are_documented_in_the_help(pytester):
    """`pytest --markers` and `pytest --help` know them."""
    pytester.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.atomic_tmp(leftovers=False): *"])
    pytester.runpytest_subprocess("--help").stdout.fnmatch_lines(["*atomik_dirs (linelist):*"])
    pytester.runpytest_subprocess("--fixtures", "-q").stdout.fnmatch_lines(["atomic_tmp -- *"])
