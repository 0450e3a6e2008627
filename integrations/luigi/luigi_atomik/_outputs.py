"""`AtomicOutputs`: all outputs of a task's `run()`, or none."""

from __future__ import annotations

import collections.abc
import functools
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any, ClassVar, Final

from ._context import executing, key_of_task, staged_for
from ._staged import StagedOutputs, StagedTargets

#: Where a pickled task keeps what is staged for it.
_STAGED: Final = "_atomik_staged"


class _Inherited:
    """A method that the classes after `owner` define, whatever they are for the task that it is called for.

    Args:
        wrap: makes of a method what it is to be in a task with atomic outputs.
        owner, name: given by the class statement, if it is made in one.
    """

    def __init__(self, wrap: Callable[[Any], Any], owner: type = object, name: str = "") -> None:
        self._wrap = wrap
        self._owner = owner
        self._name = name

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, task: object | None, kind: type) -> Any:
        method = getattr(super(self._owner, kind), self._name)
        if not callable(method):
            return method  # luigi.ExternalTask has None for run()
        wrapped = self._wrap(method)
        return wrapped if task is None else wrapped.__get__(task, kind)


def _publish_outputs(run: Callable[..., Any]) -> Any:
    """Wrap a `run()`: its outputs are staged when it begins, and published when it returns or its generator ends."""

    @functools.wraps(run)
    def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        if _staged(self):
            # Under super().run(), or in a pickled copy: who staged the outputs publishes them.
            return _bound(run, self)(*args, **options)
        staged = StagedOutputs(self.output(), with_old=self.start_from_old)
        with ExitStack() as stack:
            stack.enter_context(staged.published())
            with executing(self, staged):
                result = _bound(run, self)(*args, **options)
            if isinstance(result, collections.abc.Generator):
                return _driven(_Steps(result, self, staged), stack.pop_all())
        return result

    return wrapper


def _driven(steps: _Steps, stack: ExitStack) -> Generator[Any, Any, Any]:
    with stack:
        return (yield from steps)


class _Steps(Generator[Any, Any, Any]):
    """A `run()` with dynamic dependencies: while it waits for one, Luigi sees its real outputs."""

    def __init__(self, steps: Generator[Any, Any, Any], task: object, staged: StagedTargets) -> None:
        self._steps = steps
        self._task = task
        self._staged = staged

    def send(self, value: Any, /) -> Any:
        with executing(self._task, self._staged):
            return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        with executing(self._task, self._staged):
            return self._steps.throw(*error)


def _redirect_output(output: Callable[..., Any]) -> Any:
    """Wrap an `output()`: while `run()` is executing, its targets have staged paths."""

    @functools.wraps(output)
    def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        staged = _staged(self)
        if not staged or (key := key_of_task(self)) in _reentrancy.tasks:
            return _bound(output, self)(*args, **options)
        _reentrancy.tasks.append(key)  # for super().output(), which is wrapped, too
        try:
            outputs = _bound(output, self)(*args, **options)
        finally:
            _reentrancy.tasks.pop()
        return staged.of(outputs)

    return wrapper


class _Reentrancy(threading.local):
    """The tasks whose own outputs this thread is asking for."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, str, str]] = []


_reentrancy: Final = _Reentrancy()
_WRAPPERS: Final[dict[str, Callable[[Any], Any]]] = {"run": _publish_outputs, "output": _redirect_output}


class AtomicOutputs:
    """A mixin for tasks: the outputs of `run()` appear together when it has ended, or not at all.

    ::

        class Split(AtomicOutputs, luigi.Task):
            def output(self):
                return {"train": AtomicLocalTarget("train.csv"), "test": AtomicLocalTarget("test.csv")}

            def run(self):
                split(self.input().path, self.output()["train"].path, self.output()["test"].path)

    Inside `run()` (and in whatever it calls, in the threads, processes and jobs that it starts, and in copies that are
    pickled there) `output()` returns the same structure, in which each local target has a staged path. Every other thread
    sees the real outputs, even of the same instance. Make all outputs at their staged paths, by whatever means. When `run()`
    returns, they must all exist; then they are published as one :func:`atomik.group`. An exception discards all of them.
    So does Luigi when it drops a `run()` that has yielded a task that is not complete.

    An output that exists already is at its staged path, too, as a copy: `run()` may read it, append to it, or leave it.
    An output that it leaves stays, and one that it changes or makes anew is replaced. An output that exists and whose
    `overwrite` is False is an error before `run()` begins.

    Every luigi.LocalTarget takes part. Other targets are left alone, except that they, too, must exist before anything is
    published. An output that `run()` has written at its final path, since it kept the target, stays as it is, and the log
    says that it was not published atomically.

    Attributes:
        start_from_old: whether the old outputs are copied when `run()` begins (by reflink, where the filesystem has them).
            A task that makes everything anew can set it to False; `run()` then does not see the old outputs.
    """

    start_from_old: ClassVar[bool] = True

    run: Any = _Inherited(_publish_outputs)
    output: Any = _Inherited(_redirect_output)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, wrap in _WRAPPERS.items():
            definer = next(base for base in cls.__mro__ if name in vars(base))
            method = vars(definer)[name]
            if definer is cls:
                if method is not None:
                    setattr(cls, name, wrap(method))
            elif not issubclass(definer, AtomicOutputs):
                # A base class that stands before the mixin, and does not know of it.
                setattr(cls, name, _Inherited(wrap, cls, name))

    def __getstate__(self) -> Any:
        """Pickle what is staged, too, so that a copy which another process runs makes its outputs there."""
        state: Any = {**super().__getstate__()}  # type: ignore[dict-item]  # a task's is a dictionary
        state.pop(_STAGED, None)
        staged = _staged(self)
        return {**state, _STAGED: staged} if staged else state


def _bound(method: Any, task: object) -> Callable[..., Any]:
    """Return what the attribute `method` of a class is as an attribute of `task`."""
    bind = getattr(type(method), "__get__", None)
    bound: Callable[..., Any] = method if bind is None else bind(method, task, type(task))
    return bound


def _staged(task: Any) -> StagedTargets | None:
    """Return what is staged for `task`, as far as this code may know."""
    staged = staged_for(task)
    if staged is None:
        taken_along: StagedTargets | None = vars(task).get(_STAGED)
        if taken_along is not None and taken_along.is_live():
            return taken_along
    return staged
