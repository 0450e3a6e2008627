"""`luigi_atomik.install()`, `python -m luigi_atomik` and `[atomik]` in luigi.cfg: a whole code base, without a change in it."""

from __future__ import annotations

import os
import subprocess
import sys

import luigi
import pytest

from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget
from support.processes import run

EARLY = """
import pickle, sys, warnings
warnings.simplefilter("ignore")
import luigi
from luigi import LocalTarget
from luigi.local_target import LocalTarget as Another

class Mine(LocalTarget):
    def open(self, mode="r"):
        return LocalTarget.open(self, mode)

class Later(Mine):
    def __init__(self, path):
        LocalTarget.__init__(self, path)

made = LocalTarget("made before")
mine = Mine("mine before")
stored = pickle.dumps(LocalTarget("pickled before"))
"""

CHECK = """
import luigi_atomik, os
from luigi_atomik import AtomicLocalTarget

class AfterIt(LocalTarget):
    pass

targets = [made, mine, pickle.loads(stored), luigi.LocalTarget("a"), Another("b"), Mine("c"), Later("d"), AfterIt("e")]
assert LocalTarget is luigi.LocalTarget is Another
for target in targets:
    assert isinstance(target, LocalTarget), target
    file = target.open("w")
    try:
        file.write("half")
        raise KeyError
    except KeyError:
        file.close()  # which publishes, if it is Luigi's own
    assert not target.exists(), target
    with target.open("w") as file:
        file.write("whole")
    with target.open() as file:
        assert "whole" == file.read()
    assert target.path == target.final_path
    target.copy(target.path + ".copy")
assert type(LocalTarget("x")) is LocalTarget
assert isinstance(AtomicLocalTarget("x"), LocalTarget)
temporary = LocalTarget(is_tmp=True)
open(temporary.path, "w").close()
path = temporary.path
del temporary
assert not os.path.exists(path)
try:
    luigi.LocalTarget("a", overwrite=False).open("w")
except luigi_atomik.TargetExists:
    print("done")
"""


@pytest.mark.system
def test_install_makes_every_local_target_atomic(tmp_path):
    """Those that exist, that are pickled, of subclasses, and by every name that a module has imported it as."""
    done = run(f"{EARLY}\nimport luigi_atomik\nluigi_atomik.install()\nluigi_atomik.install()\n{CHECK}", cwd=tmp_path)

    assert (0, "done\n") == (done.code, done.out), done.err


@pytest.mark.system
def test_the_section_in_luigi_cfg_makes_every_local_target_atomic(tmp_path):
    """With `install = true`, using anything of luigi_atomik is enough."""
    (tmp_path / "luigi.cfg").write_text("[atomik]\ninstall = true\n")
    done = run(f"{EARLY}\nfrom luigi_atomik import AtomicOutputs\n{CHECK}", cwd=tmp_path)

    assert (0, "done\n") == (done.code, done.out), done.err


@pytest.mark.system
def test_without_either_a_local_target_is_luigis_own(tmp_path):
    """Importing and using luigi_atomik changes nothing of Luigi."""
    source = f"""{EARLY}
before = dict(vars(LocalTarget))
from luigi_atomik import AtomicLocalTarget, AtomicOutputs
AtomicLocalTarget("x").exists()
print(before == dict(vars(LocalTarget)))
"""
    done = run(source, cwd=tmp_path)

    assert (0, "True\n") == (done.code, done.out), done.err


PIPELINE = """
import luigi

class Half(luigi.Task):
    fail = luigi.BoolParameter()

    def output(self):
        return luigi.LocalTarget("half.txt")

    def run(self):
        file = self.output().open("w")
        try:
            file.write("half")
            if self.fail:
                raise KeyError
        finally:
            file.close()
"""


@pytest.mark.system
@pytest.mark.parametrize(("module", "published"), [("luigi", True), ("luigi_atomik", False)])
def test_the_command_runs_a_pipeline_that_knows_nothing_of_it(tmp_path, module, published):
    """`python -m luigi_atomik --module pipeline Task` is `luigi ...`, in every process that it forks, too."""
    (tmp_path / "half_pipeline.py").write_text(PIPELINE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-W", "ignore", "-m", module, "--module", "half_pipeline", "Half"]
    options = ["--local-scheduler", "--no-lock", "--workers", "2", "--worker-force-multiprocessing"]
    failed = subprocess.run(
        [*command, "--fail", *options], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "KeyError" in failed.stderr
    assert published == (tmp_path / "half.txt").exists()
    subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, check=True)

    assert "half" == (tmp_path / "half.txt").read_text()


@pytest.fixture
def section():
    """Luigi's configuration, of which the section `[atomik]` is removed afterwards."""
    config = luigi.configuration.get_config()
    yield lambda option, value: config.set("atomik", option, value)
    config.remove_section("atomik")


def test_the_section_gives_the_defaults(tmp_path, section, monkeypatch):
    """`sync` and `overwrite` hold where nothing else is said: an argument, or ATOMIK_SYNC, comes first."""
    monkeypatch.delenv("ATOMIK_SYNC")
    section("sync", "normal")
    section("overwrite", "false")
    targets = [
        AtomicLocalTarget(tmp_path / "x"),
        AtomicLocalFolderTarget(tmp_path / "x"),
        AtomicLocalTarget(tmp_path / "x", sync="full", overwrite=True),
    ]
    monkeypatch.setenv("ATOMIK_SYNC", "off")
    targets.append(AtomicLocalTarget(tmp_path / "x"))

    expected = [("normal", False), ("normal", False), ("full", True), (None, False)]
    assert expected == [(target.sync, target.overwrite) for target in targets]
    assert ["normal", "normal", "full", None] == [target.fs.sync for target in targets]


@pytest.mark.parametrize(("option", "value"), [("sync", "always"), ("overwrite", "perhaps")])
def test_what_cannot_be_understood_in_the_section_is_an_error(section, monkeypatch, option, value):
    """A wrong value names the section, the option and what it takes."""
    monkeypatch.delenv("ATOMIK_SYNC")
    section(option, value)
    with pytest.raises(ValueError, match=rf"{option} = {value} in the section \[atomik\].* it takes "):
        AtomicLocalTarget("x")


WITHOUT_FORK = """
import os, warnings
warnings.simplefilter("ignore")
import luigi.worker, multiprocessing.util
del os.fork, os.register_at_fork
import luigi_atomik
try:
    from luigi_atomik import AtomicLocalTarget
except ImportError as error:
    print(error)
"""


@pytest.mark.system
def test_a_system_without_fork_is_told_so():
    """An ImportError that says what is missing, and not that there is no such name."""
    done = run(WITHOUT_FORK)

    assert 0 == done.code, done.err
    assert done.out.startswith("luigi_atomik needs a system with fork(), such as Linux")
