"""What a test run says and does: the account of a failed test, litter, and the directories that tests run on."""

from __future__ import annotations

import os
import time
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
    """Ten lines: the step, the line of code, what is there of which version, why, and the usual repair."""
    pytester.makepyfile(
        store="""
import json

def save(path, new):
    path.write_text(json.dumps(new))
"""
    )
    result = run(
        pytester,
        """
import json, store

def test_it(atomic_tmp):
    path = atomic_tmp / "settings.json"
    path.write_text(json.dumps("old"))
    for crash in atomic_tmp.crashes(lambda: store.save(path, "newer")):
        json.loads(path.read_text())
""",
        f"--basetemp={pytester.path / 'base'}",
        "--tb=line",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*--- atomic_tmp ---*",
            "killed before write settings.json   (state 2)",
            "  in store.py:4  path.write_text(json.dumps(new))",
            "  settings.json  0 bytes  neither the old version nor the new one   (before: 5 bytes; after: 7 bytes)",
            "why: it is written in place, so that for a while it is neither; a kill may come then",
            "usual repair:  with atomik.file(path, overwrite=True) as f: f.write(...)",
            "          or:  write a temporary file beside it, os.fsync it, os.replace it, os.fsync the directory",
        ],
        consecutive=True,
    )
    base = pytester.path / "base"
    assert sorted(os.listdir(base)) == ["test_it0", "test_itcurrent"], "what was put aside is removed"
    assert (base / "test_it0" / "settings.json").read_text() == "", "and the directory is there to be looked at"


@pytest.mark.parametrize(
    ("func", "check", "said"),
    [
        (
            "(top / 'a').unlink(); (top / 'b').rename(top / 'a')",
            "(top / 'a').exists()",
            ["killed before rename b -> a *", "  a  not there  missing *", "why: the old one is taken away before *"],
        ),
        (
            "publish(top / 'a', 'new', overwrite=True); publish(top / 'b', 'new', overwrite=True)",
            "(top / 'a').read_text() == (top / 'b').read_text()",
            ["  a  3 bytes  the new version *", "  b  3 bytes  the old version *", "why: each is whole, but they are of two versions: *"],
        ),
        (
            "(top / 'c').write_text('new'); os.replace(top / 'c', top / 'a')",
            "(top / 'a').read_text()",
            ["power cut (contents not synced are lost) at the end *", "  a  0 bytes  neither *", "why: its content was not synced *"],
        ),
        (
            "publish(top / 'a', 'new', overwrite=True, sync='normal')",
            "crash.step != 'the end' or (top / 'a').read_text() == 'new'",
            ["power cut (names and contents not synced are lost) at the end *", "why: what the function did was not made durable: *"],
        ),
    ],
    ids=["removed first", "two versions", "not synced", "not durable"],
)  # fmt: skip
def test_the_usual_reasons_are_told(pytester, func, check, said):
    """In words for somebody who has never heard of fsync, with the usual repair."""
    result = run(
        pytester,
        f"""
import os

def test_it(atomic_tmp):
    top = atomic_tmp.path
    for name in "ab":
        (top / name).write_text("old")
    def func():
        {func}
    for crash in atomic_tmp.crashes(func, power_cuts=True):
        assert {check}
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([*said, "usual repair:*"])
    lines = result.stdout.lines
    section = next(number for number, line in enumerate(lines) if "--- atomic_tmp ---" in line)
    assert next(number for number, line in enumerate(lines[section + 1 :]) if line.startswith("=")) <= 10


def test_the_states_can_be_kept(pytester):
    """A folder for each test, and in it one for each crash, numbered, with what it left."""
    source = """
def test_it(atomic_tmp):
    (atomic_tmp / "a").write_text("old")
    (atomic_tmp / "link").symlink_to("a")
    list(atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("newer")))
"""
    for _ in range(2):
        run(pytester, source, "--atomik-crashes=kept").assert_outcomes(passed=1)

    (folder,) = (pytester.path / "kept").iterdir()
    assert folder.name == "test_it.py_test_it"
    assert sorted(os.listdir(folder)) == [
        "0001-kill-before-empty-a", "0002-kill-before-write-a", "0003-kill-before-the-end"
    ]  # fmt: skip
    assert [(state / "a").read_text() for state in sorted(folder.iterdir())] == ["old", "", "newer"]
    assert os.readlink(folder / "0001-kill-before-empty-a" / "link") == "a"


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "xdist"])
def test_what_was_not_seen_is_said_at_the_end_of_the_run(pytester, options):
    """Also of tests that pass, and by the workers of xdist."""
    result = run(
        pytester,
        """
import mmap

def test_passes(atomic_tmp):
    (atomic_tmp / "a").write_bytes(bytes(10))
    def func():
        with (atomic_tmp / "a").open("r+b") as f, mmap.mmap(f.fileno(), 0) as m:
            m[0:1] = b"x"
    list(atomic_tmp.crashes(func))

def test_uses_nothing(atomic_tmp): ...
""",
        *options,
    )

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*=== atomik ===*", "atomic_tmp.crashes: a is written through mmap: *(test_it.py::test_passes)"]
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("atomic_tmp.crashes(lambda: publish(atomic_tmp / 'a'))", "atomic_tmp.crashes(...) was never iterated over"),
        ("atomic_tmp.fail(at='sync')", "atomic_tmp.fail(at='sync') was never entered: with ..."),
        ("atomic_tmp.lose_race()", "atomic_tmp.lose_race() was never entered: with ..."),
        ("atomic_tmp.unchanged()", "atomic_tmp.unchanged() was never entered: with ..."),
    ],
)
@pytest.mark.parametrize(
    ("end", "outcome"),
    [("", {"passed": 1, "errors": 1}), ("assert 0", {"failed": 1}), ("pytest.skip()", {"skipped": 1})],
)
def test_a_proof_that_is_never_done_fails_the_test(pytester, statement, said, end, outcome):
    """A statement that only looks like a test must not pass; a test that has failed or was skipped has nothing to prove."""
    result = run(pytester, f"def test_it(atomic_tmp):\n    {statement}\n    {end}\n")

    result.assert_outcomes(**outcome)
    if "errors" in outcome:
        result.stdout.fnmatch_lines(["the test proves less than it seems to:", f"  {said}"])


def test_a_name_that_is_no_text_ends_no_run(pytester):
    """Under xdist a report is sent to the controller as text."""
    result = run(
        pytester,
        """
import os

def test_fails(atomic_tmp):
    open(os.fsencode(atomic_tmp) + b"/caf\\xe9.txt", "w").close()
    assert False

def test_fails_on_a_crash(atomic_tmp):
    for crash in atomic_tmp.crashes(lambda: open(os.fsencode(atomic_tmp) + b"/caf\\xe9.txt", "w").close()):
        assert crash.step != "the end"

def test_other(tmp_path): ...
""",
        "-p", "xdist", "-n", "2",
    )  # fmt: skip

    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*caf\\udce9.txt*"])


def test_a_test_may_remove_its_directory(pytester, tmp_path_factory):
    """As it may remove its `tmp_path`; and a failed one is told so."""
    pytester.makeini(f"[pytest]\natomik_dirs = {tmp_path_factory.mktemp('dirs')}\n")
    source = """
import shutil

def test_removed(atomic_tmp):
    shutil.rmtree(atomic_tmp)

def test_removed_and_failed(atomic_tmp):
    shutil.rmtree(atomic_tmp)
    assert 0
"""
    for options in ([], ["-o", "atomik_dirs="]):
        result = run(pytester, source, *options)
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["on disk in *: it is gone"])


def test_tests_that_pytest_does_not_parametrize_run_on_the_first_directory(pytester, tmp_path_factory):
    """Methods of a `TestCase`, and tests that ask by `getfixturevalue`."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    pytester.makeini(f"[pytest]\natomik_dirs =\n  {first}\n  {second}\n")
    result = run(
        pytester,
        f"""
import unittest

class TestIt(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take(self, atomic_tmp):
        self.top = atomic_tmp

    def test_it(self):
        assert str(self.top).startswith({str(first)!r})

def test_dynamic(request):
    assert str(request.getfixturevalue("atomic_tmp")).startswith({str(first)!r})
""",
    )

    result.assert_outcomes(passed=2)
    assert os.listdir(first) == []


def test_litter_is_there_to_be_looked_at(pytester):
    """Where pytest keeps the directories of tests that failed, it keeps this one, too."""
    pytester.makeini("[pytest]\ntmp_path_retention_policy = failed\n")

    run(
        pytester,
        "def test_litters(atomic_tmp):\n    leave_litter(atomic_tmp)",
        f"--basetemp={pytester.path / 'here'}",
    ).assert_outcomes(passed=1, errors=1)

    assert len(os.listdir(pytester.path / "here" / "test_litters0")) == 1


def test_a_pytest_that_is_killed_leaves_no_child(pytester):
    """Whichever the engine: the function must not go on writing."""
    pytester.makepyfile(
        test_it="""
import os, time, pytest

@pytest.mark.parametrize("engine", ["syscalls", "publications"])
def test_it(atomic_tmp, engine):
    parent = os.getpid()
    def func():
        (atomic_tmp / "a").mkdir()
        with open(f"child of {engine}", "w") as f:
            f.write(str(os.getpid()))
        os.kill(parent, 9)
        time.sleep(600)
    list(atomic_tmp.crashes(func, engine=engine))
"""
    )
    for engine in ("syscalls", "publications"):
        pytester.runpytest_subprocess("-k", engine)
        pid = (pytester.path / f"child of {engine}").read_text()
        deadline = time.monotonic() + 60
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
            if " Z " in Path(f"/proc/{pid}/stat").read_text():
                break
            time.sleep(0.01)
        else:
            assert not os.path.exists(f"/proc/{pid}")


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
