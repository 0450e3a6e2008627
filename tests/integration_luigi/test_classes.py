"""`AtomicOutputs` among other base classes: what a class defines is wrapped, everything else goes by `super()`."""

# ruff: noqa: D101, D102 - the classes are what the tests say, and the methods that Luigi calls are known

from __future__ import annotations

import functools
import inspect
import unittest.mock
from pathlib import Path

import luigi
import pytest
from luigi.contrib.external_program import ExternalProgramTask
from luigi.util import inherits, requires

from luigi_atomik import AtomicLocalTarget, AtomicOutputs


@pytest.fixture(autouse=True)
def no_tasks_of_before():
    """Let each test have tasks of its own: Luigi keeps instances by class and parameters."""
    luigi.task_register.Register.clear_instance_cache()


class Company(AtomicOutputs, luigi.Task):
    """A base class for all tasks of a code base, in which the mixin is."""

    base = luigi.Parameter()

    def path(self, name: str) -> str:
        """A path in `base`."""
        return f"{self.base}/{name}"


class HasOutput(luigi.Task):
    def output(self):
        return AtomicLocalTarget(self.path("x"))


class Writes(luigi.Task):
    def run(self):
        assert not Path(self.path("x")).exists()
        path = self.output().path
        assert path != self.path("x")
        Path(path).write_text("x")
        assert not Path(self.path("x")).exists()


class OutputLater(Company, HasOutput):
    """Defines `run` itself; its output is from a base that comes after the mixin."""

    def run(self):
        return Writes.run(self)


class RunLater(Company, Writes):
    """The other way round."""

    def output(self):
        return HasOutput.output(self)


class BothLater(Company, HasOutput, Writes):
    pass


class BothBefore(HasOutput, Writes, Company):
    pass


class Between(HasOutput, Company, Writes):
    pass


class OfABothBefore(BothBefore):
    def output(self):
        return super().output()


class LaterStill(BothBefore, Writes):
    def run(self):
        super().run()


class Partial(Company):
    """Methods that are no functions."""

    output = functools.partialmethod(lambda self, name: AtomicLocalTarget(self.path(name)), "x")
    run = functools.partialmethod(Writes.run)


@pytest.mark.parametrize(
    "kind", [OutputLater, RunLater, BothLater, BothBefore, Between, OfABothBefore, LaterStill, Partial]
)
def test_wherever_the_methods_come_from_outputs_are_staged_and_published(tmp_path, kind):
    """A `run` and an `output` from any base, before or after the mixin, are those of the task, and are atomic."""
    task = kind(str(tmp_path))
    task.run()

    assert "x" == (tmp_path / "x").read_text()
    assert task.complete()


def test_a_static_output_is_one(tmp_path):
    """A static method is called without the task."""

    class Static(Company):
        @staticmethod
        def output():
            return AtomicLocalTarget(tmp_path / "x")

        def run(self):
            Writes.run(self)

    Static(str(tmp_path)).run()

    assert "x" == (tmp_path / "x").read_text()


@pytest.mark.system
def test_an_external_program_after_the_base_class_runs(tmp_path):
    """`class Program(Company, ExternalProgramTask)` runs the program, and not `luigi.Task.run`."""

    class Program(Company, ExternalProgramTask):
        def program_args(self):
            return ["touch", self.output().path]

        def output(self):
            return AtomicLocalTarget(self.path("x"))

    Program(str(tmp_path)).run()

    assert ["x"] == [path.name for path in tmp_path.iterdir()]


def test_an_external_task_after_the_base_class_is_external(tmp_path):
    """`class Input(Company, luigi.ExternalTask)` has no `run`, as Luigi wants to see it."""

    class Input(Company, luigi.ExternalTask):
        def output(self):
            return AtomicLocalTarget(self.path("x"))

    class Given(luigi.ExternalTask, Company):
        pass

    assert (None, None) == (Input(str(tmp_path)).run, Given(str(tmp_path)).run)


def test_a_base_without_the_mixin_is_not_changed(tmp_path):
    """What other classes define stays theirs: only tasks that have the mixin are atomic."""
    run, output = Writes.run, HasOutput.output

    class Mixed(Company, HasOutput, Writes):
        pass

    Mixed(str(tmp_path)).run()
    assert (run, output) == (Writes.run, HasOutput.output)


def test_what_a_method_is_can_still_be_seen():
    """The wrapped methods keep their name, documentation and signature."""

    class Documented(Company):
        def run(self, speed: int = 1):
            """Run fast."""

    assert ("run", "Run fast.") == (Documented.run.__name__, Documented.run.__doc__)
    assert ["self", "speed"] == list(inspect.signature(Documented.run).parameters)
    assert ExternalProgramTask.run.__doc__ == type("P", (Company, ExternalProgramTask), {}).run.__doc__


def test_a_patched_output_is_what_it_is_patched_to(tmp_path):
    """`mock.patch.object(T, "output")` works, in a class that defines it and in one that does not, and is undone."""
    target = AtomicLocalTarget(tmp_path / "x")
    for kind in (RunLater, OutputLater, BothBefore):
        with unittest.mock.patch.object(kind, "output", return_value=target):
            assert kind(str(tmp_path)).output() is target
        assert str(tmp_path / "x") == kind(str(tmp_path)).output().path
        kind(str(tmp_path)).run()
        (tmp_path / "x").unlink()


def test_luigis_own_decorators_make_tasks_of_it(tmp_path):
    """`luigi.util.requires` and `inherits` work on tasks with the mixin."""

    @inherits(RunLater)
    class Inheriting(Company):
        def output(self):
            return AtomicLocalTarget(self.path("inherited"))

        def run(self):
            Path(self.output().path).write_text("x")

    @requires(RunLater)
    class Requiring(Company):
        def output(self):
            return AtomicLocalTarget(self.path("required"))

        def run(self):
            with self.input().open() as file:
                Path(self.output().path).write_text(file.read())

    assert luigi.build(
        [Inheriting(base=str(tmp_path)), Requiring(base=str(tmp_path))], local_scheduler=True, log_level="CRITICAL"
    )

    assert ["inherited", "required", "x"] == sorted(path.name for path in tmp_path.iterdir())
