"""`atomic_tmp_factory` in real runs: one builder for all workers, whatever happens to it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time

import pytest

import atomik
from pytest_atomik._build_lock import BuildLock, wait
from support.pytest_runs import Project
from support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: Writes down each call of a builder, and builds slowly enough for all workers to come.
CONFTEST = """
import os, signal, sys, time
from pathlib import Path

import pytest

HERE = Path(__file__).parent

def log(name, line=""):
    with (HERE / name).open("a") as file:
        file.write(f"{line}\\n")

def make(folder):
    log("calls", os.getpid())
    (folder / "first").write_text("1")
    time.sleep(0.6)
    (folder / "below").mkdir()
    (folder / "below" / "last").write_text("2")

@pytest.fixture(scope="session")
def data(atomic_tmp_factory):
    return atomic_tmp_factory.folder("data", make)
"""


@pytest.fixture
def project(tmp_path):
    """A project whose conftest.py has `make`, `log` and the fixture `data`."""
    project = Project(tmp_path)
    project.write("conftest.py", CONFTEST)
    return project


def basetemp(project):
    """The option that puts a run's directory into the project."""
    return f"--basetemp={project.path / 'base'}"


MANY = """
import pytest

@pytest.mark.parametrize("number", range(8))
def test_it(number, data):
    assert (data / "first").read_text() + (data / "below" / "last").read_text() == "12"
    assert data.name == "data"
"""


@pytest.mark.parametrize("workers", ["0", "4"])
def test_a_session_fixture_made_of_it_is_built_once(project, workers):
    """One process builds, all others wait until it is complete; without -v nothing is said of it."""
    project.write("test_it.py", MANY)

    run = project.run("-n", workers, basetemp(project))

    assert (run.code, run.outcomes()) == (0, {"passed": 8}), run.out
    assert len(project.lines("calls")) == 1
    assert "atomic_tmp_factory" not in run.out
    assert project.run("-n", workers, basetemp(project)).code == 0
    assert len(project.lines("calls")) == 2, "without a key, a build is this run's"


def test_who_waits_is_told_for_whom_and_the_summary_says_who_built(project):
    """With -v: worker, pid and since when, while it waits; at the end who built what, in how long, and who used it."""
    project.write("test_it.py", MANY)

    run = project.run("-n", "3", "-v", basetemp(project))

    [builder] = project.lines("calls")
    told = [line for line in run.out.splitlines() if line.startswith("atomic_tmp_factory: gw")]
    assert len(told) == 2, run.out
    assert all(f"(pid {builder}) has been building since " in line and "waits for 'data'" in line for line in told)
    [summary] = [line for line in run.out.splitlines() if line.startswith("data: built by gw")]
    assert " in 0." in summary
    assert len(summary.partition("reused by ")[2].split(", ")) == 2


KILLED = """
import pytest, os, signal, time
from conftest import HERE, log, make

def make_and_die_once(folder):
    first = not (HERE / "calls").exists()
    (folder / "half").write_text("half")
    if first:
        log("calls", "killed")
        if os.fork() == 0:  # a child that outlives it, as a pool's would; xdist waits for the pipes
            for fd in [int(fd) for fd in os.listdir("/proc/self/fd")]:
                try:
                    if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
                        os.close(fd)
                except OSError:
                    pass
            begun = time.monotonic()
            while not (HERE / "over").exists() and time.monotonic() < begun + 200:
                time.sleep(0.1)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "half").unlink()
    make(folder)

@pytest.mark.parametrize("number", range(16))
def test_it(number, atomic_tmp_factory):
    data = atomic_tmp_factory.folder("data", make_and_die_once)
    assert sorted(os.listdir(data)) == ["below", "first"]
"""


def test_a_builder_that_is_killed_harms_only_its_own_test(project):
    """Kill -9 in the middle: its test fails with its worker, another worker builds; a child of it holds the half while it lives."""
    project.write("test_it.py", KILLED)

    try:
        run = project.run("-n", "4", "-v", basetemp(project))
    finally:
        project.write("over", "")

    assert run.outcomes() == {"failed": 1, "passed": 15}, run.out
    assert project.lines("calls")[0] == "killed"
    assert len(project.lines("calls")) == 2
    assert "was killed while it built" in run.out
    base = project.path / "base"
    end = time.monotonic() + 60
    while any(left.live for left in atomik.leftovers(base, recursive=True)) and time.monotonic() < end:
        time.sleep(0.1)
    atomik.clean(base, recursive=True)
    assert atomik.leftovers(base, recursive=True) == []


RAISES = """
import pytest, time
from conftest import HERE, log

def build_badly(folder):
    log("calls")
    time.sleep(0.3)
    if len((HERE / "calls").read_text().split("\\n")) <= TIMES + 1:
        raise OSError("no such server")

@pytest.fixture(scope="session")
def bad(atomic_tmp_factory):
    return atomic_tmp_factory.folder("bad", build_badly)

@pytest.mark.parametrize("number", range(8))
def test_it(number, bad):
    pass
"""


@pytest.mark.parametrize("workers", ["0", "4"])
def test_a_builder_that_raises_shows_its_traceback_to_all_and_is_not_tried_again(project, workers):
    """Not by the tests that wait, not by those that come later."""
    project.write("test_it.py", RAISES.replace("TIMES", "99"))

    run = project.run("-n", workers, "-v", basetemp(project))

    assert run.outcomes() == {"errors": 8}, run.out
    assert len(project.lines("calls")) == 1
    shown = 1 if workers == "0" else 4  # pytest itself remembers it for the other tests of a worker
    assert run.out.count("is not tried again in this run:") >= shown - 1
    assert run.out.count("in build_badly\n") >= shown - 1
    assert "bad: failed in " in run.out
    assert "OSError: no such server" in run.out


def test_a_builder_that_raises_is_tried_again_once_for_each_rerun(project):
    """With rerunfailures: by whoever comes first, and the others use what came of it."""
    project.write("test_it.py", RAISES.replace("TIMES", "2"))

    run = project.run("-n", "4", "--reruns", "2", basetemp(project))

    assert run.code == 0, run.out
    assert run.outcomes()["passed"] == 8
    assert len(project.lines("calls")) == 3


def test_a_builder_that_never_succeeds_is_tried_as_often_as_there_are_reruns(project):
    """Not once for each test."""
    project.write("test_it.py", RAISES.replace("TIMES", "99"))

    run = project.run("-n", "4", "--reruns", "2", basetemp(project))

    assert run.code == 1
    assert len(project.lines("calls")) == 3, run.out


def test_a_builder_that_skips_skips_all(project):
    """What one test cannot have, none can."""
    project.write(
        "test_it.py",
        """
import pytest
from conftest import log

def build(folder):
    log("calls")
    pytest.skip("no server here")

@pytest.mark.parametrize("number", range(4))
def test_it(number, atomic_tmp_factory):
    atomic_tmp_factory.folder("data", build)
""",
    )

    run = project.run("-n", "2", "-rs", basetemp(project))

    assert run.outcomes() == {"skipped": 4}, run.out
    assert len(project.lines("calls")) == 1
    assert "no server here" in run.out


CIRCLE = """
import pytest, time
from conftest import HERE, log

def meet(name):
    (HERE / name).touch()
    while not ((HERE / "in_a").exists() and (HERE / "in_b").exists()):
        time.sleep(0.01)

@pytest.fixture
def needs(atomic_tmp_factory):
    def a(folder):
        meet("in_a")
        atomic_tmp_factory.folder("b", b)
    def b(folder):
        meet("in_b")
        atomic_tmp_factory.folder("a", a)
    return atomic_tmp_factory, a, b

def test_a(needs):
    factory, a, b = needs
    factory.folder("a", a)

def test_b(needs):
    factory, a, b = needs
    factory.folder("b", b)
"""


def test_builders_that_wait_for_each_other_in_a_circle_fail_and_say_so(project):
    """Two workers, each of which holds what the other one needs."""
    project.write("test_it.py", CIRCLE)

    run = project.run("-n", "2", basetemp(project))

    assert run.outcomes() == {"failed": 2}, run.out
    assert "builders wait for each other in a circle: 'a' in gw" in run.out or "circle: 'b' in gw" in run.out
    assert "let one of them build what both need" in run.out


WAITS = """
import sys
from pathlib import Path
from pytest_atomik._build_lock import BuildLock, wait

ours, theirs = map(BuildLock, map(Path, sys.argv[1:]))
assert ours.try_exclusive("gw1", "ours")
wait(lambda: None if theirs.try_exclusive("gw1", "theirs") else theirs.path, print)
"""


def test_a_builder_that_was_killed_while_it_waited_is_in_no_circle(tmp_path):
    """Who has its lock now has not yet written over what it said of itself."""
    mine, its = BuildLock(tmp_path / "mine"), BuildLock(tmp_path / "its")
    assert mine.try_exclusive("gw0", "mine")
    with subprocess.Popen([sys.executable, "-c", WAITS, its.path, mine.path], stdout=subprocess.DEVNULL) as killed:
        wait_until(lambda: its.path.exists() and str(mine.path) in its.path.read_text(), "the wait")
        killed.kill()
    with its.path.open() as successor:
        fcntl.flock(successor, fcntl.LOCK_EX)
        tries = iter(range(3))

        def attempt():
            if next(tries) == 2:
                fcntl.flock(successor, fcntl.LOCK_UN)
            return None if its.try_exclusive("gw0", "its") else its.path

        wait(attempt, lambda _: None)

    its.release()
    mine.release()


def test_a_builder_that_asks_for_what_it_builds_fails_and_says_so(project):
    """A circle of one."""
    project.write(
        "test_it.py",
        """
def test_it(atomic_tmp_factory):
    def build(folder):
        atomic_tmp_factory.folder("data", build)
    atomic_tmp_factory.folder("data", build)
""",
    )

    run = project.run(basetemp(project))

    assert run.outcomes() == {"failed": 1}, run.out
    assert "the builder of 'data' asks for 'data' itself" in run.out


def test_a_builder_may_ask_for_what_others_build(project):
    """Each of the three is built once, whichever worker begins with which."""
    project.write(
        "test_it.py",
        """
import pytest, time
from conftest import log

@pytest.mark.parametrize("number", range(6))
def test_it(number, atomic_tmp_factory):
    def base(file):
        log("calls", "base")
        time.sleep(0.3)
        file.write("base")
    def middle(folder):
        log("calls", "middle")
        (folder / "x").write_text(atomic_tmp_factory.file("base", base).read_text())
    def top():
        log("calls", "top")
        return (atomic_tmp_factory.folder("middle", middle) / "x").read_text()
    if number % 3 == 0:
        atomic_tmp_factory.folder("middle", middle)
    assert atomic_tmp_factory.value("top", top) == "base"
""",
    )

    run = project.run("-n", "3", basetemp(project))

    assert run.outcomes() == {"passed": 6}, run.out
    assert sorted(project.lines("calls")) == ["base", "middle", "top"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_one_name_with_two_builders_is_an_error(project, workers):
    """In one process or in two; the message names both."""
    project.write(
        "test_it.py",
        """
def one(folder): ...
def other(folder): ...

def test_one(atomic_tmp_factory):
    atomic_tmp_factory.folder("data", one)

def test_other(atomic_tmp_factory):
    atomic_tmp_factory.folder("data", other)
""",
    )

    run = project.run("-n", workers, basetemp(project))

    assert run.outcomes() == {"failed": 1, "passed": 1}, run.out
    assert "'data' has two builders in this run: the folder is built by test_it." in run.out
    assert "test_it.py:2" in run.out
    assert "test_it.py:3" in run.out


def test_several_runs_at_once_build_once_with_a_key(project):
    """Three runs of two workers each; a run that is killed meanwhile takes only itself along."""
    project.write(
        "test_it.py", MANY.replace("data):", "kept):").replace("(data /", "(kept /").replace("data.name", "kept.name")
    )
    project.write(
        "conftest.py",
        f"{CONFTEST}\n@pytest.fixture(scope='session')\ndef kept(atomic_tmp_factory):\n"
        "    return atomic_tmp_factory.folder('data', make, key=1)\n",
    )

    runs = [project.start("-n", "2", f"--basetemp={project.path / f'base{number}'}") for number in range(3)]
    for run in runs:
        run.finish()

    assert [run.outcomes() for run in runs] == [{"passed": 8}] * 3, runs[0].out
    assert len(project.lines("calls")) == 1


def test_a_run_that_is_killed_while_it_builds_leaves_the_others_to_build(project):
    """Kill -9 of the whole run that has the lock; the run that waits for it goes on at once."""
    project.write(
        "test_it.py",
        """
import os, time
from conftest import HERE, log

def build(folder):
    log("calls", os.getpid())
    (folder / "half").write_text("half")
    if len((HERE / "calls").read_text().split()) == 1:
        time.sleep(100)

def test_it(atomic_tmp_factory):
    assert os.listdir(atomic_tmp_factory.folder("data", build, key="x")) == ["half"]
""",
    )
    first = project.start(f"--basetemp={project.path / 'base1'}")
    wait_until(lambda: project.lines("calls"), "the first build")
    second = project.start("-v", f"--basetemp={project.path / 'base2'}")
    wait_until((project.path / "base2" / "atomic_tmp_factory" / "names").exists, "the second run's wait")

    os.kill(first.pid, 9)
    first.finish()

    assert second.finish().outcomes() == {"passed": 1}, second.out
    assert project.lines("calls") == [str(first.pid), str(second.pid)]
    assert atomik.leftovers(project.path / ".pytest_cache", recursive=True) == []


@pytest.mark.parametrize("options", [[], ["-n", "2"], ["--cache-clear"]], ids=" ".join)
def test_unused_it_imports_and_makes_nothing(project, options):
    """In the controller neither: each run in the environment would pay for it."""
    project.write("test_it.py", "def test_it(): ...\n")
    project.write(
        "conftest.py",
        """
import sys
from pathlib import Path

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        ours = sorted(name for name in sys.modules if name.startswith(("atomik", "pytest_atomik")))
        Path(__file__).with_name("imported").write_text("\\n".join(ours))
""",
    )

    assert project.run(*options, basetemp(project)).outcomes() == {"passed": 1}

    known = {"pytest_atomik", "pytest_atomik.plugin", "pytest_atomik._places", "pytest_atomik._stash"}
    assert set(project.lines("imported")) <= known
    assert not (project.path / "base" / "atomic_tmp_factory").exists()
    assert not (project.path / ".pytest_cache" / "atomik").exists()


def test_what_a_killed_run_has_staged_is_removed_by_the_next_run(project):
    """Whatever that builds: it may be much, and nobody may ask for the same again."""
    project.write(
        "test_it.py",
        """
import time
from conftest import log

def build(folder):
    (folder / "half").write_text("half")
    log("calls")
    time.sleep(100)

def test_it(atomic_tmp_factory):
    atomic_tmp_factory.folder("data", build, key="x")
""",
    )
    killed = project.start(basetemp(project))
    wait_until(lambda: project.lines("calls"), "the build")
    os.kill(killed.pid, 9)
    killed.finish()
    cache = project.path / ".pytest_cache"
    assert len(atomik.leftovers(cache, recursive=True)) == 1

    project.write(
        "test_it.py", "def test_it(atomic_tmp_factory):\n    atomic_tmp_factory.value('x', lambda: 1, key=1)\n"
    )
    assert project.run(basetemp(project)).outcomes() == {"passed": 1}

    assert atomik.leftovers(cache, recursive=True) == []
    assert os.listdir(cache / "atomik" / "data") == []


def test_a_worker_is_known_by_its_configuration_not_by_the_environment(project):
    """A run that is started by a test in a worker inherits its variables, and is a run of its own."""
    project.write("test_it.py", MANY)

    run = project.run("-v", basetemp(project), env={"PYTEST_XDIST_WORKER": "gw7", "PYTEST_XDIST_TESTRUNUID": "x"})

    assert run.outcomes() == {"passed": 8}, run.out
    assert "data: built by main in " in run.out
