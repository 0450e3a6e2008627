"""`AtomicOutputs`: all outputs of a task's `run()`, or none."""

# ruff: noqa: D102 - the methods that Luigi calls are known

from __future__ import annotations

import collections
import contextlib
import gc
import os
import pickle
import signal
from pathlib import Path
from typing import ClassVar, NamedTuple

import luigi
import pytest
from luigi.contrib.external_program import ExternalProgramTask

import atomik
from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget, AtomicOutputs, TargetExists
from support.processes import Program, run
from support.watch import litter


class BrokenWorkError(Exception):
    """What a task's own code raises."""


class Remote(luigi.Target):
    """A target that is not local."""

    stored: ClassVar[set[str]] = set()

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def exists(self):
        return self.name in self.stored


class Base(AtomicOutputs, luigi.Task):
    """A task whose outputs are in `base`."""

    base = luigi.Parameter()

    def at(self, name: str, **options: object) -> AtomicLocalTarget:
        """A target in `base`."""
        return AtomicLocalTarget(os.path.join(self.base, name), **options)


class Two(Base):
    """Makes two files, by different means."""

    def output(self):
        return {"first": self.at("first.txt"), "second": self.at("sub/second.csv")}

    def run(self):
        with self.output()["first"].open("w") as file:
            file.write("first")
        self.between()
        Path(self.output()["second"].path).write_text("second")

    def between(self):
        """What a subclass wants to look at."""


@pytest.fixture(autouse=True)
def no_tasks_of_before():
    """Let each test have tasks of its own: Luigi keeps instances by class and parameters."""
    luigi.task_register.Register.clear_instance_cache()


def written(base: Path) -> dict[str, str]:
    """All files below BASE, and what is in them."""
    return {str(path.relative_to(base)): path.read_text() for path in sorted(base.rglob("*")) if path.is_file()}


BOTH = {"first.txt": "first", "sub/second.csv": "second"}


# --- All or none.


def test_the_outputs_appear_together_when_run_has_ended(tmp_path):
    """During `run()` none of them is there; afterwards all are."""
    seen = []

    class Looking(Two):
        def between(self):
            seen.append([path.name for path in tmp_path.rglob("[!.]*.*")])
            assert not self.output()["second"].exists()

    Looking(str(tmp_path)).run()

    assert (BOTH, [["first.txt"]]) == (written(tmp_path), seen)
    assert [] == litter(tmp_path)


def test_a_run_that_fails_publishes_none(tmp_path):
    """After an exception there is no output, and nothing staged; it is raised unchanged."""
    error = BrokenWorkError()

    class Failing(Two):
        def between(self):
            raise error

    with pytest.raises(BrokenWorkError) as caught:
        Failing(str(tmp_path)).run()

    assert (error, {}, []) == (caught.value, written(tmp_path), litter(tmp_path))


@pytest.mark.leaves_litter  # what was made is kept
def test_a_run_that_forgets_an_output_publishes_none(tmp_path):
    """If an output is not there when `run()` returns, an error names it; none is published, and what was made is kept."""

    class Forgetful(Two):
        def run(self):
            Path(self.output()["first"].path).write_text("first")

    with pytest.raises(atomik.NothingStagedError, match=r"without making [^ ]*second\.csv\.") as caught:
        Forgetful(str(tmp_path)).run()

    (kept,) = tmp_path.glob("atomik-kept-*")
    assert {f"{kept.name}/first.txt": "first"} == written(tmp_path)
    assert str(kept) in str(caught.value)


def test_an_incomplete_set_is_made_whole_again(tmp_path):
    """If somebody has deleted one of the outputs, all are made anew, and belong together."""
    task = Two(str(tmp_path))
    task.run()
    (tmp_path / "first.txt").unlink()
    (tmp_path / "sub/second.csv").write_text("of another time")
    assert not task.complete()
    task.run()

    assert BOTH == written(tmp_path)


def test_an_output_that_may_not_be_replaced_stops_run_before_it_begins(tmp_path):
    """`overwrite=False` of an output that exists is an error at the start."""
    (tmp_path / "kept").write_text("before")

    class Careful(Base):
        def output(self):
            return [self.at("new"), self.at("kept", overwrite=False)]

        def run(self):
            raise BrokenWorkError

    with pytest.raises(TargetExists):
        Careful(str(tmp_path)).run()

    assert {"kept": "before"} == written(tmp_path)


def test_a_rival_with_all_outputs_is_as_good_as_we_are(tmp_path, caplog):
    """If another process has published the same outputs meanwhile, ours are discarded, and the task is done."""

    class Overtaken(Two):
        def between(self):
            (tmp_path / "first.txt").write_text("rival's")
            (tmp_path / "sub").mkdir(exist_ok=True)
            (tmp_path / "sub/second.csv").write_text("rival's")

    caplog.set_level("INFO", logger="luigi-interface")
    Overtaken(str(tmp_path)).run()

    assert {"first.txt": "rival's", "sub/second.csv": "rival's"} == written(tmp_path)
    assert "another process has published the same outputs" in caplog.text


@pytest.mark.parametrize("name", ["first.txt", "sub/second.csv"])
def test_a_rival_with_some_outputs_is_an_error(tmp_path, name):
    """If somebody has made only some of the outputs, ours are not mixed with those: none of ours is published."""

    class Disturbed(Two):
        def between(self):
            (tmp_path / "sub").mkdir(exist_ok=True)
            (tmp_path / name).write_text("rival's")

    with pytest.raises(TargetExists):
        Disturbed(str(tmp_path)).run()

    assert {name: "rival's"} == written(tmp_path)
    assert [] == litter(tmp_path)


# --- Whatever a task is.


class Pair(NamedTuple):
    """A named tuple of outputs."""

    left: object
    right: object


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda one, two: one, id="single"),
        pytest.param(lambda one, two: [one, two], id="list"),
        pytest.param(lambda one, two: (one, two), id="tuple"),
        pytest.param(lambda one, two: {"a": one, "b": {"c": [two]}}, id="nested"),
        pytest.param(lambda one, two: collections.OrderedDict(b=two, a=one), id="ordered"),
        pytest.param(lambda one, two: Pair(one, [two]), id="named tuple"),
        pytest.param(lambda one, two: (target for target in (one, two)), id="generator"),
        pytest.param(lambda one, two: [one, one, {"again": one}], id="repeated"),
    ],
)
def test_inside_run_output_has_the_same_structure(tmp_path, shape):
    """Inside `run()`, `output()` returns the same structure of the same kinds of targets, with staged paths."""

    def outline(structure):
        if isinstance(structure, luigi.Target):
            return type(structure), os.path.basename(structure.path)
        if isinstance(structure, dict):
            return type(structure), [(key, outline(value)) for key, value in structure.items()]
        return type(structure), [outline(value) for value in structure]

    class Shaped(Base):
        def output(self):
            return shape(self.at("one.txt"), self.at("two.txt"))

        def run(self):
            self.inside = outline(self.output())
            for target in luigi.task.flatten(self.output()):
                assert tmp_path not in (Path(target.path), Path(target.path).parent)
                Path(target.path).write_text(target.path)

    task = Shaped(str(tmp_path))
    outside = outline(shape(task.at("one.txt"), task.at("two.txt")))
    task.run()

    if outside[0] is not type(_ for _ in ()):
        assert outside == task.inside
    assert task.complete()


def test_a_task_with_one_output_may_use_any_way_to_make_it(tmp_path):
    """`open`, `temporary_path` and `folder` of a staged target make the staged output."""

    class Ways(Base):
        def output(self):
            return {name: self.at(name) for name in ("opened", "at a path", "as a folder", "linked")}

        def run(self):
            with self.output()["opened"].open("w") as file:
                file.write("x")
            with self.output()["at a path"].temporary_path() as staged:
                Path(staged).write_text("x")
            with self.output()["as a folder"].folder() as folder:
                (folder / "part").write_text("x")
            self.output()["opened"].copy(self.output()["linked"].path)

    Ways(str(tmp_path)).run()

    assert dict.fromkeys(["opened", "at a path", "as a folder/part", "linked"], "x") == written(tmp_path)


def test_an_output_inside_another_comes_with_it(tmp_path):
    """A folder and a file in it may both be outputs, in any order."""

    class Flagged(Base):
        def output(self):
            return [self.at("data/_SUCCESS"), AtomicLocalFolderTarget(os.path.join(self.base, "data"))]

        def run(self):
            os.mkdir(self.output()[1].path)
            Path(self.output()[0].path).touch()

    Flagged(str(tmp_path)).run()

    assert {"data/_SUCCESS": ""} == written(tmp_path)


def test_a_relative_path_may_be_used_from_another_directory(tmp_path, monkeypatch):
    """Staged paths are absolute: `run()` may change to another directory."""
    monkeypatch.chdir(tmp_path)

    class Relative(AtomicOutputs, luigi.Task):
        def output(self):
            return AtomicLocalTarget("relative")

        def run(self):
            with contextlib.chdir("/"):
                Path(self.output().path).write_text("x")

    Relative().run()

    assert {"relative": "x"} == written(tmp_path)


def test_a_plain_local_target_takes_part_and_others_are_left_alone(tmp_path):
    """luigi.LocalTarget is staged, too; a target that is not local is itself, and has to exist before all is published."""

    class Mixed(Base):
        upload = luigi.BoolParameter()

        def output(self):
            return [luigi.LocalTarget(os.path.join(self.base, "plain")), Remote("remote")]

        def run(self):
            plain, remote = self.output()
            with plain.open("w") as file:
                file.write("x")
            assert not (tmp_path / "plain").exists()
            if self.upload:
                remote.stored.add(remote.name)

    with pytest.raises(atomik.NothingStagedError, match="without making remote"):
        Mixed(str(tmp_path), upload=False).run()
    assert {} == written(tmp_path)
    Mixed(str(tmp_path), upload=True).run()

    assert {"plain": "x"} == written(tmp_path)


def test_run_and_output_may_call_those_of_their_base_class(tmp_path):
    """Under `super().run()` and `super().output()` there is one set of staged outputs, published once, at the end."""

    class More(Two):
        def output(self):
            return {**super().output(), "third": self.at("third")}

        def run(self):
            super().run()
            assert not (tmp_path / "first.txt").exists()
            assert "first" == Path(self.output()["first"].path).read_text()
            Path(self.output()["third"].path).write_text("third")

    More(str(tmp_path)).run()

    assert {**BOTH, "third": "third"} == written(tmp_path)


@pytest.mark.system
@pytest.mark.parametrize("first", [True, False], ids=["mixin first", "mixin last"])
def test_an_external_program_makes_its_outputs(tmp_path, first):
    """`program_args()` gets staged paths, wherever the mixin stands among the base classes."""
    bases = (AtomicOutputs, ExternalProgramTask) if first else (ExternalProgramTask, AtomicOutputs)

    class Shell(*bases):
        base = luigi.Parameter()
        status = luigi.IntParameter()

        def output(self):
            return [AtomicLocalTarget(f"{self.base}/{name}") for name in "ab"]

        def program_args(self):
            a, b = (target.path for target in self.output())
            return ["sh", "-c", 'echo a > "$1"; echo b > "$2"; exit "$3"', "sh", a, b, self.status]

    with pytest.raises(RuntimeError, match="Program failed with return code=3"):
        Shell(str(tmp_path), 3).run()
    assert {} == written(tmp_path)
    Shell(str(tmp_path), 0).run()

    assert {"a": "a\n", "b": "b\n"} == written(tmp_path)


def test_a_custom_complete_is_honoured(tmp_path):
    """A task that says itself when it is complete replaces its outputs when it runs again."""

    class Custom(Two):
        def complete(self):
            return super().complete() and "today" == Path(self.output()["first"].path).read_text()

    task = Custom(str(tmp_path))
    task.run()
    assert not task.complete()
    (tmp_path / "first.txt").write_text("today")
    assert task.complete()
    task.run()

    assert BOTH == written(tmp_path)


def test_a_task_without_outputs_runs(tmp_path):
    """There is nothing to publish, and nothing happens."""

    class Wrapper(Base, luigi.WrapperTask):
        def run(self):
            return "done"

    assert "done" == Wrapper(str(tmp_path)).run()


def test_an_external_task_stays_one(tmp_path):
    """A task without `run` is still what Luigi calls external."""

    class External(AtomicOutputs, luigi.ExternalTask):
        def output(self):
            return AtomicLocalTarget(tmp_path / "x")

    assert External().run is None


# --- Dynamic dependencies.


class Part(luigi.Task):
    """A dependency that is found during the run."""

    base = luigi.Parameter()

    def output(self):
        return AtomicLocalTarget(os.path.join(self.base, "part"))

    def run(self):
        with self.output().open("w") as file:
            file.write("part")


class Dynamic(Two):
    """Needs a part, and says so in the middle."""

    def run(self):
        Path(self.output()["first"].path).write_text("first")
        part = yield Part(self.base)
        Path(self.output()["second"].path).write_text(Path(part.path).read_text())


def test_a_run_that_luigi_drops_leaves_nothing(tmp_path):
    """A generator whose dependency is not complete is dropped; what it had staged goes, and it begins anew."""
    steps = Dynamic(str(tmp_path)).run()
    assert Part(str(tmp_path)) == next(steps)
    assert 2 == len(litter(tmp_path))
    del steps
    gc.collect()
    assert [] == litter(tmp_path)
    Part(str(tmp_path)).run()
    steps = Dynamic(str(tmp_path)).run()
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(Part(str(tmp_path)).output())

    assert {"first.txt": "first", "part": "part", "sub/second.csv": "part"} == written(tmp_path)


def test_while_run_waits_luigi_sees_the_real_outputs(tmp_path):
    """Between the steps of `run()`, `output()` is that of everybody else; in them, staged again."""
    task = Dynamic(str(tmp_path))
    steps = task.run()
    next(steps)

    assert str(tmp_path / "first.txt") == task.output()["first"].path
    steps.close()
    assert [] == litter(tmp_path)


def test_an_exception_sent_into_run_discards(tmp_path):
    """What is thrown into the generator arrives in it, and ends it as any exception does."""
    steps = Dynamic(str(tmp_path)).run()
    next(steps)
    with pytest.raises(BrokenWorkError):
        steps.throw(BrokenWorkError())

    assert ({}, []) == (written(tmp_path), litter(tmp_path))


def test_dynamic_dependencies_under_super_run(tmp_path):
    """`yield from super().run()` and `return super().run()` both work."""

    class Yielding(Dynamic):
        def run(self):
            yield from super().run()

    class Returning(Dynamic):
        def run(self):
            return super().run()

    for kind in (Yielding, Returning):
        (tmp_path / kind.__name__).mkdir()
        assert luigi.build([kind(str(tmp_path / kind.__name__))], local_scheduler=True, log_level="CRITICAL")

        assert {"first.txt", "part", "sub/second.csv"} == set(written(tmp_path / kind.__name__))


# --- Copies and other processes.


def test_a_copy_that_was_pickled_in_run_makes_the_staged_outputs(tmp_path):
    """A task that is pickled in `run()`, for a process elsewhere, takes the staged paths along; it publishes nothing."""

    class Shipped(Two):
        def run(self):
            copy = pickle.loads(pickle.dumps(self))
            luigi.task_register.Register.clear_instance_cache()
            assert self.output()["first"].path == copy.output()["first"].path
            copy.work()
            assert {} == {name: text for name, text in written(tmp_path).items() if ".atomik-" not in name}

        def work(self):
            """What is done elsewhere."""
            super().run()

    globals()["Shipped"] = Shipped
    Shipped.__qualname__ = "Shipped"
    Shipped(str(tmp_path)).run()

    assert BOTH == written(tmp_path)


def test_a_task_that_is_pickled_before_it_runs_is_as_it_was(tmp_path):
    """What multiprocessing does with a task before it runs it changes nothing."""
    task = pickle.loads(pickle.dumps(Two(str(tmp_path))))
    task.run()

    assert BOTH == written(tmp_path)


HALF_DONE = """
import sys, time, luigi
from luigi_atomik import AtomicLocalTarget, AtomicOutputs
class Half(AtomicOutputs, luigi.Task):
    def output(self):
        return [AtomicLocalTarget(f"{sys.argv[1]}/{name}") for name in "ab"]
    def run(self):
        open(self.output()[0].path, "w").close()
        if len(sys.argv) > 2:
            print("half done", flush=True)
            time.sleep(600)
        open(self.output()[1].path, "w").close()
Half().run()
"""


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_publishes_none_and_the_next_tidies_up(tmp_path, number):
    """After SIGTERM nothing is left, after kill -9 nothing is published; the next run leaves its outputs only."""
    with Program(HALF_DONE, tmp_path, "stop") as program:
        assert "half done" == program.line()
        assert -number == program.kill(number)
    left = os.listdir(tmp_path)
    assert sorted(left) == ([] if number == signal.SIGTERM else sorted(path.name for path in litter(tmp_path)))
    done = run(HALF_DONE, tmp_path)

    assert (0, ["a", "b"]) == (done.code, sorted(os.listdir(tmp_path))), done.err


class Many(Base):
    """Makes 1,200 files in 1,200 directories, and something beside each; if it is run again, it adds a line to each."""

    rounds = luigi.IntParameter()

    def output(self):
        return [self.at(f"{number}/part.csv") for number in range(1200)]

    def complete(self):
        return all(
            target.exists() and len(Path(target.path).read_text()) >= 2 * self.rounds for target in self.output()
        )

    def run(self):
        for target in self.output():
            with open(target.path, "a") as file:
                file.write("x\n")
            Path(target.path).with_suffix(".idx").touch()


MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
import luigi
from integration_luigi.test_outputs import Many
for rounds in (1, 2):
    assert luigi.build([Many(base=sys.argv[1], rounds=rounds)], local_scheduler=True, log_level="WARNING")
"""


@pytest.mark.system
def test_1200_outputs_in_1200_directories(tmp_path):
    """They are published together with 1,024 descriptors, what is beside them, too; and once more over what is there."""
    assert run(MANY, tmp_path).code == 0

    assert {path.read_text() for path in tmp_path.glob("*/part.csv")} == {"x\nx\n"}
    assert len(list(tmp_path.glob("*/part.idx"))) == 1200
    assert litter(tmp_path) == []
