"""`AtomicOutputs`: all outputs of a task's `run()`, or none."""

from __future__ import annotations

import collections.abc
import functools
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from ._staged import StagedOutputs, StandIns

#: What stands in for a task's outputs while its `run()` is executing, by the task's id().
_running: Final[dict[int, StandIns]] = {}
#: Where a pickled task keeps the staged paths.
_PATHS: Final = "_atomik_staged_paths"
#: What marks a method that has been wrapped.
_WRAPPED: Final = "_atomik_wrapped"


class AtomicOutputs:
    """A mixin for tasks: the outputs of `run()` appear together when it has ended, or not at all.

    ::

        class Split(AtomicOutputs, luigi.Task):
            def output(self):
                return {"train": AtomicLocalTarget("train.csv"), "test": AtomicLocalTarget("test.csv")}

            def run(self):
                split(self.input().path, self.output()["train"].path, self.output()["test"].path)

    Inside `run()` (and whatever it calls, in forked processes and pickled copies, too) `output()` returns the same
    structure, where each local target has a staged path. Make all of them there, by whatever means. When `run()` returns,
    they must all exist; then they are published as one :func:`atomik.group`. An exception discards all, and so does Luigi
    when it drops a `run()` that yielded a task that is not complete.

    Every luigi.LocalTarget takes part. Other targets are left alone, except that they must exist, too, before anything is
    published. What stands at an output already is replaced, unless its `overwrite` is False: then `run()` does not begin.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, wrap in (("run", _published), ("output", _stood_in)):
            method = getattr(cls, name, None)
            if callable(method) and not hasattr(method, _WRAPPED):
                setattr(cls, name, wrap(method))

    def __getstate__(self) -> Any:
        """Pickle the staged paths, too, so that a copy which another process runs makes its outputs there."""
        state: Any = super().__getstate__()
        stand_ins = _stand_ins_for(self)
        return {**state, _PATHS: dict(stand_ins.paths)} if stand_ins else state


def _published(run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a `run()`: its outputs are staged when it begins, and published when it returns or its generator ends."""

    @functools.wraps(run)
    def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        if _stand_ins_for(self):
            # Under super().run(), or in a pickled copy: who staged the outputs publishes them.
            return run(self, *args, **options)
        staged = StagedOutputs(self.output())
        with ExitStack() as stack:
            stack.enter_context(staged.published())
            with _executing(self, staged):
                result = run(self, *args, **options)
            if isinstance(result, collections.abc.Generator):
                return _driven(_Steps(result, self, staged), stack.pop_all())
        return result

    setattr(wrapper, _WRAPPED, True)
    return wrapper


def _driven(steps: _Steps, stack: ExitStack) -> Generator[Any, Any, Any]:
    with stack:
        return (yield from steps)


class _Steps(Generator[Any, Any, Any]):
    """A `run()` with dynamic dependencies: while it waits for one, Luigi sees its real outputs."""

    def __init__(self, steps: Generator[Any, Any, Any], task: object, stand_ins: StandIns) -> None:
        self._steps = steps
        self._task = task
        self._stand_ins = stand_ins

    def send(self, value: Any, /) -> Any:
        with _executing(self._task, self._stand_ins):
            return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        with _executing(self._task, self._stand_ins):
            return self._steps.throw(*error)


def _stood_in(output: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an `output()`: while `run()` is executing, its targets are staged ones."""

    @functools.wraps(output)
    def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        stand_ins = _stand_ins_for(self)
        if not stand_ins or id(self) in _asking.tasks:
            return output(self, *args, **options)
        _asking.tasks.append(id(self))  # for super().output(), which is wrapped, too
        try:
            outputs = output(self, *args, **options)
        finally:
            _asking.tasks.pop()
        return stand_ins.of(outputs)

    setattr(wrapper, _WRAPPED, True)
    return wrapper


class _Asking(threading.local):
    """The tasks, by their id(), whose own outputs this thread is asking for."""

    def __init__(self) -> None:
        self.tasks: list[int] = []


_asking: Final = _Asking()


@contextmanager
def _executing(task: object, stand_ins: StandIns) -> Iterator[None]:
    _running[id(task)] = stand_ins
    try:
        yield
    finally:
        del _running[id(task)]


def _stand_ins_for(task: object) -> StandIns | None:
    paths = vars(task).get(_PATHS)
    return _running.get(id(task)) if paths is None else StandIns(paths)
