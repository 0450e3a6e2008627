"""`atomic_tmp_factory` between runs: for how long a build is kept, who removes it, and pytest's own options."""

from __future__ import annotations

import json
import os
import re

import pytest

from pytest_atomik._build_lock import BuildLock
from support.pytest_runs import Project
from support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

TEST = """
import os, time
from pathlib import Path

import pytest

HERE = Path(__file__).parent

def log(name, line):
    with (HERE / name).open("a") as file:
        file.write(f"{line}\\n")

def make(folder):
    log("calls", os.getpid())
    (folder / "x").write_text("x")

@pytest.mark.parametrize("number", range(4))
def test_it(number, atomic_tmp_factory):
    key = eval((HERE / "key").read_text())
    built = atomic_tmp_factory.folder("data", make, key=key)
    assert os.listdir(built) == ["x"]
    log("paths", built)
"""


@pytest.fixture
def project(tmp_path):
    """A project with four tests that use a build, whose key is what stands in the file `key`."""
    project = Project(tmp_path)
    project.write("test_it.py", TEST)
    project.write("key", "1")
    return project


def built_by(project, *options, **environment):
    """How many times the builder was called in a run, whose tests all passed."""
    before = len(project.lines("calls"))
    run = project.run(f"--basetemp={project.path / 'base'}", *options, **environment)
    assert run.outcomes() == {"passed": 4}, run.out
    return len(project.lines("calls")) - before


def kept(project, name="data"):
    """The builds that are there."""
    folder = project.path / ".pytest_cache" / "atomik" / name
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_it_is_kept_for_as_long_as_key_and_source_are_equal(project):
    """Whatever else changes in the file; a new key, and a change of the builder, build again."""
    assert built_by(project) == 1
    assert built_by(project) == 0
    assert built_by(project, "-n", "2") == 0

    project.write("test_it.py", TEST.replace("import pytest", "import pytest\n\n# moved\n"))
    assert built_by(project) == 0
    project.write("test_it.py", TEST.replace('write_text("x")', 'write_text("y")'))
    assert built_by(project) == 1
    project.write("test_it.py", TEST)
    assert built_by(project) == 0, "what it was before is still there"
    project.write("key", "2")
    assert built_by(project) == 1


def test_a_path_in_the_key_counts_by_its_content(project):
    """Of a file, and of a folder; not where it is, nor when it was changed."""
    (project.path / "schema").mkdir()
    project.write("schema/a.sql", "one")
    project.write("key", "{'schema': [HERE / 'schema']}")
    assert built_by(project) == 1

    os.utime(project.path / "schema" / "a.sql", (1, 1))
    assert built_by(project) == 0
    (project.path / "schema").rename(project.path / "moved")
    project.write("key", "{'schema': [HERE / 'moved']}")
    assert built_by(project) == 0
    project.write("moved/a.sql", "two")
    assert built_by(project) == 1


def test_a_path_is_hashed_once_in_a_run(project):
    """A test that changes it meanwhile makes no two builds, in whatever worker the others are."""
    project.write("input", "one")
    project.write("key", "HERE / 'input'")
    first = """
    changed = HERE / "changed"
    while number > 0 and not changed.exists():
        time.sleep(0.01)
    key ="""
    last = """
    (HERE / "input").write_text("two")
    changed.touch()
    log("paths", built)"""
    project.write("test_it.py", TEST.replace("\n    key =", first).replace('\n    log("paths", built)', last))

    assert built_by(project, "-n", "2") == 1
    assert len({os.path.dirname(path) for path in project.lines("paths")}) == 1
    assert built_by(project) == 1, "another run sees the change"


def test_of_each_name_the_builds_that_were_used_last_are_kept(project):
    """As many as atomik_keep_builds says, three if it says nothing; lock files of removed ones go, too."""
    for key in "abcd":
        project.write("key", repr(key))
        assert built_by(project) == 1
    assert len(kept(project)) == 3
    project.write("key", "'b'")
    assert built_by(project) == 0
    project.write("key", "'a'")
    assert built_by(project) == 1, "it was the one used last longest ago"

    project.write("pytest.ini", "[pytest]\natomik_keep_builds = 1\n")
    project.write("key", "'b'")
    assert built_by(project, "-v") == 0

    [build] = kept(project)
    assert sorted(os.listdir(project.path / ".pytest_cache/atomik/data")) == [build, f"{build}.lock"]


def test_what_a_run_has_used_it_does_not_remove(project):
    """With atomik_keep_builds = 0, too, which the next run sees to."""
    project.write("pytest.ini", "[pytest]\natomik_keep_builds = 0\n")
    project.write("key", "number")
    assert built_by(project, "-n", "2") == 4
    assert len(kept(project)) == 4
    assert built_by(project) == 0

    project.write("key", "'another'")
    assert built_by(project) == 1
    assert len(kept(project)) == 1


READS = """
import os, time
from test_it import HERE, make

def test_slow(atomic_tmp_factory):
    built = atomic_tmp_factory.folder("data", make, key="read")
    (HERE / "reads").touch()
    while not (HERE / "enough").exists():
        time.sleep(0.01)
    assert os.listdir(built) == ["x"]
"""


@pytest.fixture
def reader(project):
    """Another run of the same project, in the middle of a test that reads a build."""
    project.write("slow.py", READS)
    run = project.start("slow.py", f"--basetemp={project.path / 'slow'}")
    wait_until((project.path / "reads").exists, "the reader's test")
    yield run
    (project.path / "enough").touch()
    assert run.finish().outcomes() == {"passed": 1}, run.out


@pytest.mark.usefixtures("reader")
def test_nothing_is_removed_while_another_run_reads_it(project):
    """Neither by pruning nor by clearing; what was cleared is not used again, and goes when nobody reads it any more."""
    project.write("pytest.ini", "[pytest]\natomik_keep_builds = 0\n")
    assert built_by(project) == 1
    assert len(kept(project)) == 2

    project.write("key", "'read'")
    assert built_by(project) == 0, "it is there, and shared"
    assert built_by(project, "--cache-clear") == 1, "it is cleared"
    assert built_by(project) == 0
    assert len(kept(project)) == 2
    (project.path / "enough").touch()
    wait_until(lambda: built_by(project) == 0 and len(kept(project)) == 1, "the removal")


def test_a_lock_whose_file_was_removed_and_made_again_is_not_held(tmp_path):
    """Who has opened the old one would build beside who has the new one."""
    lock, other = BuildLock(tmp_path / "x.lock"), BuildLock(tmp_path / "x.lock")
    assert lock.try_exclusive("one", "x")
    lock.path.unlink()
    assert other.try_exclusive("another", "x")

    assert not lock.share()

    assert not lock.try_exclusive("one", "x")
    other.release()


def test_no_power_cut_leaves_a_part_of_what_the_next_run_uses(project, atomic_tmp, tmp_path_factory):
    """Of a whole run of pytest: what is there under its name is complete, contents too."""
    project.write("test_it.py", TEST)
    options = ("-k", "0", f"--basetemp={tmp_path_factory.mktemp('base') / 'base'}")
    seen = set()
    for _ in atomic_tmp.crashes(lambda: project.run(*options), power_cuts=True, timeout=240):
        builds = [path for path in (atomic_tmp / ".pytest_cache/atomik/data").glob("*") if path.is_dir()]
        for build in (path for path in builds if not path.name.startswith(".")):
            assert (build / "data" / "x").read_text() == "x"
            assert json.loads((build / ".build.json").read_text())[0] == "folder"
        seen.add(len(builds))
    assert 1 in seen


def test_cache_clear_clears(project):
    """Once, by the controller, before anything runs; not by a worker that takes the place of a killed one."""
    assert built_by(project) == 1
    assert built_by(project, "--cache-clear") == 1
    project.write(
        "test_it.py",
        TEST.replace(
            "    log(", "    if number == 2:\n        time.sleep(1)\n        os.kill(os.getpid(), 9)\n    log(", 2
        ).replace(
            "    if number == 2:\n        time.sleep(1)\n        os.kill(os.getpid(), 9)\n    log(", "    log(", 1
        ),
    )
    before = len(project.lines("calls"))

    run = project.run("-n", "2", "--cache-clear", f"--basetemp={project.path / 'base'}")

    assert run.outcomes() == {"failed": 1, "passed": 3}, run.out
    assert len(project.lines("calls")) == before + 1
    assert len(kept(project)) == 1
    (project.path / "empty").mkdir()
    assert project.run("--cache-clear", "--collect-only").code == 0
    assert os.listdir(project.path / ".pytest_cache" / "atomik") == []


@pytest.mark.parametrize("workers", ["0", "2"])
def test_without_the_cache_nothing_is_kept(project, workers):
    """`-p no:cacheprovider`: built once for the run, as without a key."""
    assert built_by(project, "-p", "no:cacheprovider", "-n", workers) == 1
    assert built_by(project, "-p", "no:cacheprovider", "-n", workers) == 1
    assert not (project.path / ".pytest_cache").exists()


def test_the_cache_directory_is_where_pytest_is_told_to_have_it(project):
    """`cache_dir`, made as pytest makes it, with what keeps it out of version control; --basetemp has nothing to do with it."""
    assert built_by(project, "-n", "2", "-o", "cache_dir=elsewhere/cache") == 1

    cache = project.path / "elsewhere" / "cache"
    assert {".gitignore", "CACHEDIR.TAG", "atomik"} <= set(os.listdir(cache))
    assert {path.parent.parent.parent for path in map(type(cache), project.lines("paths"))} == {cache / "atomik"}
    assert built_by(project, "-o", "cache_dir=elsewhere/cache", f"--basetemp={project.path / 'another'}") == 0


def test_a_cache_that_cannot_be_written_is_no_cache(project):
    """A checkout that is read-only: pytest's own warning, and a build of this run."""
    run = project.run("-W", "default", "-o", "cache_dir=/proc/cache", f"--basetemp={project.path / 'base'}")

    assert run.outcomes().get("passed") == 4, run.out
    assert "atomic_tmp_factory keeps nothing for the next run" in run.out
    assert len(project.lines("calls")) == 1


@pytest.mark.parametrize("value", ["-1", "many"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_number_of_builds_that_is_none_is_an_error_at_once(project, value, workers):
    """Before anything is built."""
    project.write("pytest.ini", f"[pytest]\natomik_keep_builds = {value}\n")

    run = project.run("-n", workers, f"--basetemp={project.path / 'base'}")

    assert run.code != 0
    assert "ERROR: the ini option atomik_keep_builds" in run.out
    assert project.lines("calls") == []


def test_the_directory_of_a_run_that_pytest_removes_at_its_end(project):
    """`tmp_path_retention_policy = failed`: the summary is still complete, and nothing is left."""
    project.write("pytest.ini", "[pytest]\ntmp_path_retention_policy = failed\n")
    project.write("key", "None")
    temporary = project.path / "tmp"
    temporary.mkdir()

    run = project.run("-n", "2", "-v", env={"PYTEST_DEBUG_TEMPROOT": str(temporary)})

    assert run.outcomes() == {"passed": 4}, run.out
    assert re.search(r"data: built by gw\d in", run.out)
    assert [path for path in temporary.rglob("*") if "atomic_tmp_factory" in path.name] == []
