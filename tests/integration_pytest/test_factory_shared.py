"""What `atomic_tmp_factory` has built is shared: nobody may change it, root neither; `copy` is for those who have to."""

from __future__ import annotations

import os

import pytest

from support.images import new_folder
from support.needs import need_root
from support.processes import NOBODY, run
from support.pytest_runs import Project

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: Runs pytest as a program that `support.processes` can start as somebody else.
RUN_PYTEST = "import sys, pytest; sys.exit(pytest.main(['-p', 'pytest_atomik.plugin', '-W', 'error', *sys.argv[1:]]))"

CHANGES = """
import os, shutil, subprocess
from pathlib import Path

import pytest

def make(folder):
    (folder / "below").mkdir()
    (folder / "below" / "x").write_text("x")

@pytest.fixture(scope="session")
def data(atomic_tmp_factory):
    return atomic_tmp_factory.folder("data", make, key=1)

def in_folder(path, name, *arguments, **options):
    fd = os.open(path, os.O_RDONLY)
    try:
        getattr(os, name)(*arguments, dir_fd=fd, **options)
    finally:
        os.close(fd)

@pytest.mark.parametrize("change", [
    lambda data: (data / "below" / "x").write_text("y"),
    lambda data: (data / "below" / "x").open("a"),
    lambda data: (data / "below" / "x").open("r+b"),
    lambda data: (data / "below" / "new").touch(),
    lambda data: (data / "below" / "new").mkdir(),
    lambda data: (data / "below" / "x").unlink(),
    lambda data: in_folder(data / "below", "unlink", "x"),
    lambda data: (data / "below" / "x").rename(data / "below" / "y"),
    lambda data: (data / "below").rename(data.parent / "else"),
    lambda data: os.link(__file__, data / "below" / "y"),
    lambda data: os.symlink("x", data / "below" / "y"),
    lambda data: os.truncate(data / "below" / "x", 0),
    lambda data: shutil.rmtree(data),
    lambda data: data.rename(data.with_name("else")),
])
def test_a_change_fails_where_it_is_made(data, change):
    with pytest.raises(PermissionError):
        change(data)
    assert (data / "below" / "x").read_text() == "x"
    assert [str(path.relative_to(data)) for path in sorted(data.rglob("*"))] == ["below", "below/x"]

def test_a_copy_can_be_changed(data, atomic_tmp_factory, tmp_path, atomic_tmp):
    copies = [atomic_tmp_factory.copy(data), atomic_tmp_factory.copy(str(data)), atomic_tmp_factory.copy(data / "below" / "x")]
    assert copies == [tmp_path / "data", tmp_path / "data-2", tmp_path / "x"]
    (copies[0] / "below" / "x").write_text("y")
    (copies[0] / "below" / "new").touch()
    (copies[0] / "new").mkdir()
    copies[2].write_text("y")
    shutil.rmtree(copies[1])
    assert (data / "below" / "x").read_text() == "x"
    assert atomic_tmp.published == []
"""


def test_a_change_fails_where_it_is_made_as_root(tmp_path):
    """Modes do not stop root, as which tests run in most containers: Python's own calls are stopped all the same."""
    need_root()
    project = Project(tmp_path)
    project.write("test_it.py", CHANGES)

    done = project.run(f"--basetemp={tmp_path / 'base'}")

    assert done.outcomes() == {"passed": 15}, done.out


@pytest.fixture
def nobodys():
    """A folder of the user nobody's, with pytest in it as a function of options."""
    need_root()
    folder = new_folder("nobody")
    os.chown(folder, NOBODY, NOBODY)

    def run_pytest(*options, **env):
        return run(
            RUN_PYTEST,
            *options,
            user=NOBODY,
            cwd=folder,
            env={
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "",
                "PYTEST_DEBUG_TEMPROOT": str(folder),
                **env,
            },
        )

    return folder, run_pytest


def test_a_change_fails_where_it_is_made_as_somebody(nobodys):
    """By the kernel, whichever program makes it."""
    folder, run_pytest = nobodys
    (folder / "test_it.py").write_text(
        CHANGES
        + """
def test_another_program_fails_where_it_changes_something(data):
    for command in ("echo y > below/x", "rm below/x", "touch new", "touch ../new"):
        assert subprocess.run(["sh", "-c", command], cwd=data, stderr=subprocess.DEVNULL).returncode != 0
"""
    )

    done = run_pytest()

    assert (done.code, done.err) == (0, ""), done.out
    assert "16 passed" in done.out


def test_what_is_read_only_can_be_removed_by_its_owner(nobodys):
    """By pytest, which removes the directories of old runs, by pruning, and by clearing."""
    folder, run_pytest = nobodys
    (folder / "pytest.ini").write_text("[pytest]\ntmp_path_retention_count = 1\natomik_keep_builds = 0\n")
    (folder / "test_it.py").write_text(
        """
import os
def make(folder):
    (folder / "below").mkdir()
    (folder / "below" / "x").write_text("x")

def test_it(atomic_tmp_factory):
    atomic_tmp_factory.folder("here", make)
    atomic_tmp_factory.folder("kept", make, key=os.environ["KEY"])
"""
    )

    for key in "abc":
        done = run_pytest(KEY=key)
        assert done.code == 0, done.out + done.err

    assert len(list(folder.glob("pytest-of-*/pytest-*/atomic_tmp_factory"))) <= 2  # and a link to it
    assert len([path for path in (folder / ".pytest_cache/atomik/kept").iterdir() if path.is_dir()]) == 1
    assert run_pytest("--cache-clear", "--collect-only", KEY="").code == 0
    assert os.listdir(folder / ".pytest_cache/atomik") == []


def test_a_cache_of_somebody_else_is_no_cache(nobodys):
    """Root's, say, after a run in a container: pytest's own warning, and a build of this run."""
    folder, run_pytest = nobodys
    (folder / "test_it.py").write_text(CHANGES)
    (folder / ".pytest_cache").mkdir()
    os.chown(folder / ".pytest_cache", NOBODY, NOBODY)
    (folder / ".pytest_cache" / "atomik").mkdir()

    done = run_pytest("-W", "default::pytest.PytestCacheWarning", "-k", "copy")

    assert done.code == 0, done.out
    assert "atomic_tmp_factory keeps nothing for the next run: [Errno 13]" in done.out


UNSEEN = """
import subprocess, pytest

def make(folder):
    (folder / "x").write_text("x")
    print("built")

@pytest.fixture(scope="session")
def data(atomic_tmp_factory):
    return atomic_tmp_factory.folder("data", make, key=1)

def test_first(data):
    assert (data / "x").read_text()

def test_other(): ...

def test_that_changes(data):
    subprocess.run(["sh", "-c", f"echo y > {data}/x; touch {data}/new"], check=True)

def test_last(data): ...
"""


def test_a_change_that_nobody_could_stop_fails_its_test(tmp_path):
    """As root, by another program: the test fails when it ends, and the next run builds again, for nothing is known of it now."""
    need_root()
    project = Project(tmp_path)
    project.write("test_it.py", UNSEEN)

    done = project.run("-v", f"--basetemp={tmp_path / 'base'}")

    assert done.outcomes() == {"passed": 3, "failed": 1}, done.out
    assert "test_that_changes FAILED" in done.out
    assert "'data' is shared by all tests, and was changed:" in done.out
    assert "/data/x has changed" in done.out
    assert "/data/new is new" in done.out
    assert "data: was changed by a test in main" in done.out
    project.write("test_it.py", UNSEEN.replace("echo y", "cat").replace("> {data}/x; touch {data}/new", "{data}/x"))
    done = project.run("-v", "-s", f"--basetemp={tmp_path / 'base'}")
    assert done.outcomes() == {"passed": 4}, done.out
    assert "data: built by main" in done.out
    assert len(list((tmp_path / ".pytest_cache/atomik/data").iterdir())) == 2, "the changed one is removed"


def test_a_change_at_the_very_end_is_an_error_too(tmp_path):
    """In the teardown of a fixture, after the last test."""
    need_root()
    project = Project(tmp_path)
    project.write(
        "test_it.py",
        UNSEEN.partition("def test_other")[0]
        + """
@pytest.fixture
def changes(data):
    yield
    subprocess.run(["sh", "-c", f"echo y > {data}/x"], check=True)

def test_it(changes): ...
""",
    )

    done = project.run(f"--basetemp={tmp_path / 'base'}")

    assert done.outcomes() == {"passed": 2, "error": 1}, done.out


def test_a_file_that_has_another_name_elsewhere_keeps_its_permissions_there(tmp_path):
    """A builder may link instead of copying: what it links is somebody else's, and stays writable."""
    project = Project(tmp_path)
    project.write("input", "x")
    project.write(
        "test_it.py",
        """
import os
from pathlib import Path
INPUT = Path(__file__).with_name("input")
INPUT.chmod(0o664)

def make(folder):
    os.link(INPUT, folder / "a")
    os.link(INPUT, folder / "b")
    (folder / "c").write_text("c")
    os.link(folder / "c", folder / "d")
    os.symlink(INPUT, folder / "link")

def test_it(atomic_tmp_factory):
    data = atomic_tmp_factory.folder("data", make)
    assert INPUT.stat().st_mode & 0o777 == 0o664
    assert [oct((data / name).stat().st_mode & 0o777) for name in "abcd"] == ["0o444"] * 4
    assert (data / "a").samefile(data / "b") and not (data / "a").samefile(INPUT)
    assert (data / "c").samefile(data / "d")
    assert (data / "link").readlink() == INPUT
""",
    )

    done = project.run(f"--basetemp={tmp_path / 'base'}")

    assert done.outcomes() == {"passed": 1}, done.out
