"""Which staged outputs the code that is executing now may see: those of the runs that it belongs to.

A task belongs to all threads, since Luigi keeps one instance for the same parameters. So what is staged is never kept with
the task, but in the context of the thread that executes `run()`. Threads that are started there inherit it, and so do jobs
that are submitted to an executor; forked processes have it as they have all memory; a pickled task takes it along
(`_outputs`). Every other thread sees the real outputs.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from ._staged import StagedTargets

#: What a task is known by, names only: what is pickled with it must not fail for a class that cannot be imported.
Key: TypeAlias = tuple[str, str, str]
Runs: TypeAlias = Mapping[Key, StagedTargets]

_NONE: Final[Runs] = {}
_runs: Final[ContextVar[Runs | None]] = ContextVar("luigi_atomik_runs", default=None)
#: What threads have inherited that were started inside a run.
_inherited: Final[weakref.WeakKeyDictionary[threading.Thread, Runs]] = weakref.WeakKeyDictionary()


def key_of_task(task: Any) -> Key:
    """Return what a task is known by: its copies, pickled or cloned, are the same task."""
    kind = type(task)
    return kind.__module__, kind.__qualname__, getattr(task, "task_id", "")


def staged_for(task: object) -> StagedTargets | None:
    """Return what is staged for `task`, if this code is executed by its `run()`, directly or in a thread started there."""
    runs = _current()
    staged = runs.get(key_of_task(task)) if runs else None
    return staged if staged is not None and staged.is_live() else None


@contextmanager
def executing(task: object, staged: StagedTargets) -> Iterator[None]:
    """In this block, this thread executes the `run()` of `task`."""
    _watch_threads()
    token = _runs.set({**_current(), key_of_task(task): staged})
    try:
        yield
    finally:
        _runs.reset(token)


def _current() -> Runs:
    runs = _runs.get()
    return _inherited.get(threading.current_thread(), _NONE) if runs is None else runs


class _Job:
    """A job of an executor, done in the context in which it was submitted. It can be pickled if its function can."""

    def __init__(self, function: Callable[..., Any], runs: Runs) -> None:
        self._function = function
        self._context = runs

    def __call__(self, *args: Any, **options: Any) -> Any:
        token = _runs.set(self._context)
        try:
            return self._function(*args, **options)
        finally:
            _runs.reset(token)


@functools.cache
def _watch_threads() -> None:
    """Let threads and jobs inherit, from now on. Python's own do so from 3.14 on, and only if they are asked to."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_with_context(self: threading.Thread) -> None:
        if runs := _current():
            _inherited[self] = runs
        start(self)

    threading.Thread.start = start_with_context  # type: ignore[method-assign]
    for kind in (ThreadPoolExecutor, ProcessPoolExecutor):
        _watch_executor(kind)


def _watch_executor(kind: Any) -> None:
    submit = kind.submit

    @functools.wraps(submit)
    def submit_with_context(self: Any, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        runs = _current()
        # A worker may have been started inside a run that this job does not belong to.
        return submit(self, _Job(fn, runs) if runs or _inherited else fn, *args, **options)

    kind.submit = submit_with_context
