"""It takes LocalTarget's place: Luigi's own tests, the same interface, pickles, and nothing imported too early."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import luigi
import pytest
from luigi.local_target import LocalFileSystem, LocalTarget

import luigi_atomik
from luigi_atomik import AtomicLocalFileSystem, AtomicLocalFolderTarget, AtomicLocalTarget
from support.needs import need_tool
from support.processes import run

HERE = Path(__file__).parent


def run_upstream(cwd: Path, *first: Path) -> str:
    """Run Luigi's own tests with what is in FIRST at the head of `sys.path`; what they came to."""
    need_tool("gzip", "bzip2")
    python_path = os.pathsep.join([*map(str, first), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, HERE / "run_upstream.py", HERE / "upstream"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": python_path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] + ("" if done.stdout.endswith("failed 0\n") else done.stderr)


@pytest.mark.system
def test_luigis_own_tests_pass_with_the_luigi_that_is_installed(tmp_path):
    """Luigi's tests of LocalTarget, its filesystem and its formats pass with ours in their place."""
    assert f"luigi {luigi.__version__} ran 101 failed 0" == run_upstream(tmp_path)


@pytest.mark.system
def test_luigis_own_tests_pass_with_the_oldest_luigi(tmp_path, oldest_luigi):
    """They pass with luigi 3.5, too."""
    assert "luigi 3.5.2 ran 101 failed 0" == run_upstream(tmp_path, oldest_luigi)


def test_it_is_a_local_target_in_every_position(tmp_path):
    """Positional arguments mean what they mean to LocalTarget, and isinstance holds."""
    ours = list(inspect.signature(AtomicLocalTarget).parameters)

    assert list(inspect.signature(LocalTarget).parameters) == ours[:3]
    assert issubclass(AtomicLocalTarget, LocalTarget)
    assert isinstance(AtomicLocalTarget.fs, LocalFileSystem)
    assert luigi.format.Nop is AtomicLocalTarget(str(tmp_path / "x"), luigi.format.Nop, False).format


@pytest.mark.parametrize("name", [name for name in vars(LocalFileSystem) if not name.startswith("_")])
def test_the_filesystem_takes_the_same_arguments(name):
    """Each method of LocalFileSystem is there, with the same parameters."""
    theirs, ours = getattr(LocalFileSystem, name), getattr(AtomicLocalFileSystem, name)

    assert list(inspect.signature(theirs).parameters) == list(inspect.signature(ours).parameters)


@pytest.mark.parametrize(
    "target",
    [
        AtomicLocalTarget("a/b", luigi.format.Gzip, overwrite=False, sync="normal"),
        AtomicLocalFolderTarget("c", overwrite=True),
    ],
)
def test_targets_survive_pickling(target):
    """A target that was pickled says the same as before."""
    again = pickle.loads(pickle.dumps(target))

    assert (target.path, target.overwrite, target.sync) == (again.path, again.overwrite, again.sync)
    assert type(target) is type(again)
    assert type(target.format) is type(again.format)


def test_a_path_may_be_any_kind_of_path(tmp_path):
    """A pathlib.Path is taken, also one that a subclass sets later, as d6tflow does."""
    target = AtomicLocalTarget(tmp_path / "first")
    target.path = tmp_path / "later"
    with target.open("w") as file:
        file.write("x")
    with AtomicLocalTarget(tmp_path / "third").temporary_path() as path:
        Path(path).write_text("y")

    assert ["later", "third"] == sorted(os.listdir(tmp_path))


def test_a_word_that_is_no_level_of_sync_is_refused():
    """A wrong `sync` is an error at once, not when the work is done."""
    with pytest.raises(ValueError, match="'full', 'normal', 'off'"):
        AtomicLocalTarget("x", sync="always")


def test_neither_path_nor_is_tmp_is_refused():
    """A target needs a path, as LocalTarget says."""
    with pytest.raises(Exception, match="path or is_tmp must be set"):
        AtomicLocalTarget()


def test_all_public_names_are_there():
    """What the package lists can be had, and nothing else can."""
    for name in luigi_atomik.__all__:
        assert getattr(luigi_atomik, name).__name__ == name
    assert luigi_atomik.__all__ == dir(luigi_atomik)
    with pytest.raises(AttributeError, match="no attribute 'LocalTarget'"):
        luigi_atomik.LocalTarget  # noqa: B018 - that is the test


@pytest.mark.system
@pytest.mark.parametrize("module", ["luigi_atomik", "luigi_atomik.integration"])
def test_luigi_is_not_imported_before_a_target_is_used(module):
    """Importing the package, or what Atomik looks at to list its integrations, costs nothing of Luigi's 200 ms."""
    done = run(f"import sys, {module}; print('luigi' in sys.modules, luigi_atomik.AtomicLocalTarget.__name__)")

    assert (0, "False AtomicLocalTarget\n") == (done.code, done.out), done.err


@pytest.mark.system
def test_a_forked_task_process_has_nothing_left_to_import(tmp_path):
    """What a first publication needs is loaded before Luigi forks, so that not every task pays for it."""
    source = """
import os, sys, warnings
warnings.simplefilter("ignore")
from luigi_atomik import AtomicLocalTarget, AtomicOutputs
import luigi
class Task(AtomicOutputs, luigi.Task):
    def output(self):
        return [AtomicLocalTarget(f"{sys.argv[1]}/{name}") for name in "ad"]
    def run(self):
        for target in self.output():
            with target.temporary_path() as path, open(path, "w") as file:
                file.write("x")
AtomicLocalTarget(sys.argv[1] + "/x").exists()
if os.fork() == 0:
    before = set(sys.modules)
    for name in "ab":
        with AtomicLocalTarget(f"{sys.argv[1]}/{name}").open("w") as file:
            file.write("x")
    with AtomicLocalTarget(sys.argv[1] + "/c").folder():
        pass
    Task().run()
    sys.stdout.write(f"{sorted(set(sys.modules) - before)}")
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    done = run(source, tmp_path)

    assert (0, "[]") == (done.code, done.out), done.err
