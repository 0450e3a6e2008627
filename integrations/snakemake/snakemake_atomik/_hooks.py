"""The functions of Snakemake that are private and yet wrapped: here, and nowhere else.

Snakemake has no official hook around a job. Every kind of rule runs through `run_wrapper`, in the process that runs the
job, on a cluster's node, too; the other functions wrapped here are those that would remove an old output before there is a
new one, or would take it for the new one. Each is looked at before it is wrapped: its parameters by name, and whether those
that call it still do. Seen alike in Snakemake 8.20 to 9.27.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from itertools import chain
from types import CodeType
from typing import Any, Final, TypeAlias

import snakemake  # type: ignore[import-untyped]
from snakemake import api as _api  # noqa: F401 - first: whatever else comes first ends in an import circle
from snakemake import persistence
from snakemake.dag import DAG  # type: ignore[import-untyped]
from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped]
from snakemake.executors import local  # type: ignore[import-untyped]
from snakemake.io import is_flagged  # type: ignore[import-untyped]
from snakemake.jobs import GroupJob, Job  # type: ignore[import-untyped]
from snakemake.logging import logger  # type: ignore[import-untyped]

from . import _job
from ._flag import is_atomic
from ._settings import current
from ._sweep import sweep

KNOWN: Final = "8.20 to 9.27"

#: The parameters of `run_wrapper` that are used here.
_CALL: Final = ("job_rule", "output", "wildcards", "shadow_dir", "jobid", "edit_notebook")

Wrapper: TypeAlias = "Callable[[Callable[..., Any], inspect.BoundArguments], Any]"

#: Outputs of the job in hand that `update()` has not changed yet: Snakemake need not bring them back.
_unchanged: ContextVar[frozenset[str]] = ContextVar("_unchanged", default=frozenset())


class View:
    """Something of Snakemake's, seen with other values for some of its attributes."""

    def __init__(self, of: Any, **instead: Any) -> None:
        self._of = of
        self.__dict__.update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def __str__(self) -> str:
        return str(self._of)


def install() -> None:
    """Wrap what has to be wrapped, once in a process.

    Raises:
        WorkflowError: something is not as it is known here.
    """
    if hasattr(local.run_wrapper, "__wrapped__"):
        return
    # What is wrapped; by what; the parameters that this needs; whether it is a coroutine; who has to call it.
    wrappings: list[tuple[Any, str, Wrapper, tuple[str, ...], bool, Callable[..., Any]]] = [
        (local, "run_wrapper", _run_wrapper, _CALL, False, local.Executor.run_single_job),
        (Job, "remove_existing_output", _remove_existing_output, ("self",), True, Job.prepare),
        (Job, "cleanup", _cleanup, ("self",), True, Job.postprocess),
        (Job, "postprocess", _postprocess, ("self", "error"), True, GroupJob.postprocess),
        (DAG, "check_incomplete", _check_incomplete, ("self",), True, DAG.init),
    ]
    for owner, name, _, parameters, is_coroutine, caller in wrappings:
        _check(owner, name, parameters, caller, is_coroutine=is_coroutine)
    for owner, name, wrapper, _, _, _ in wrappings:
        _wrap(owner, name, wrapper)
    # Snakemake before 9.2 takes no copy of what is updated, and has nothing to bring back.
    for owner in vars(persistence).values():
        if inspect.isclass(owner) and "restore_output" in vars(owner):
            _wrap(owner, "restore_output", _restore_output)


def _check(owner: Any, name: str, parameters: Iterable[str], caller: Callable[..., Any], *, is_coroutine: bool) -> None:
    """Raise if `owner.name` is not the function that is known here."""
    place = f"{owner.__name__}.{name}"
    function = getattr(owner, name, None)
    if not inspect.isfunction(function):
        what = f"there is no {place}"
    elif missing := [each for each in parameters if each not in inspect.signature(function).parameters]:
        what = f"{place} has no parameter {' and no '.join(missing)}"
    elif inspect.iscoroutinefunction(function) != is_coroutine:
        what = f"{place} is {'not ' if is_coroutine else ''}a coroutine"
    elif name not in _names(caller.__code__):
        what = f"{caller.__qualname__} does not call {place} any more"
    else:
        return
    msg = (
        f"snakemake-atomik does not know this Snakemake, {snakemake.__version__}: {what}. atomic() would not keep its "
        f"promise. It knows {KNOWN}: install one of these, or a newer snakemake-atomik; or take atomic() out."
    )
    raise WorkflowError(msg)


def _names(code: CodeType) -> set[str]:
    """Return the names that a function uses, and those inside of it."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_names, *chain.from_iterable(inner)}


def _wrap(owner: Any, name: str, wrapper: Wrapper) -> None:
    original = getattr(owner, name)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return wrapper(original, bound)

    setattr(owner, name, wrapped)


# What the functions do instead. Each is given the original and its arguments, bound by name.


def _run_wrapper(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Run a job with staged outputs; a notebook that is being edited makes none."""
    arguments = bound.arguments
    if arguments["edit_notebook"]:
        original(*bound.args, **bound.kwargs)
        return
    call = _job.Call(
        rule=arguments["job_rule"],
        outputs=arguments["output"],
        wildcards=arguments["wildcards"],
        jobid=arguments["jobid"],
        shadow_dir=arguments["shadow_dir"],
    )

    def rule(outputs: Any) -> None:
        arguments["output"] = outputs
        original(*bound.args, **bound.kwargs)

    _job.run(call, rule)


async def _remove_existing_output(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Leave old versions where they are until there are new ones, unless these could not take their place."""
    job = bound.arguments["self"]
    pairs = [
        (output, pattern)
        for output, pattern in zip(job.output, job.rule.output, strict=True)
        if not _is_replaced(job, output)
    ]
    rule = View(job.rule, output=[pattern for _, pattern in pairs])
    bound.arguments["self"] = View(job, rule=rule, output=[output for output, _ in pairs])
    await original(*bound.args, **bound.kwargs)


def _is_replaced(job: Any, output: Any) -> bool:
    """Say whether what stands at an output will be replaced by what its job publishes."""
    if not is_atomic(output) or _is_cached(job) or job.dag.workflow.execution_settings.edit_notebook:
        return False
    if is_flagged(output, "directory"):
        return os.path.isdir(output) and not os.path.islink(output)
    return os.path.islink(output) or not os.path.isdir(output)


def _is_cached(job: Any) -> bool:
    """Say whether Snakemake puts a link at the output itself, to its cache between workflows, which needs a free name."""
    rules = job.dag.workflow.workflow_settings.cache
    return rules is not None and (job.rule.name in rules or bool(getattr(job.rule.ruleinfo, "cache", False)))


async def _cleanup(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """After a failure, leave what was there before: it is whole. What the job wrote to directly is not."""
    job = bound.arguments["self"]
    bound.arguments["self"] = View(job, output=[output for output in job.output if not _is_whole(output)])
    await original(*bound.args, **bound.kwargs)


def _is_whole(output: Any) -> bool:
    return is_atomic(output) and os.path.abspath(output) not in _job.tainted


async def _postprocess(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """After a failure, mark the outputs that were left as incomplete: their job has to run again."""
    if not bound.arguments["error"]:
        await original(*bound.args, **bound.kwargs)
        return
    job = bound.arguments["self"]
    ours = [output for output in job.output if _is_whole(output)]
    token = _unchanged.set(frozenset(map(str, ours)))
    try:
        await original(*bound.args, **bound.kwargs)
    finally:
        _unchanged.reset(token)
        _mark_incomplete(job, ours)


def _mark_incomplete(job: Any, outputs: Iterable[Any]) -> None:
    left = [output for output in outputs if os.path.lexists(output)]
    if left:
        job.dag.workflow.persistence.started(View(job, output=left))


async def _check_incomplete(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Sweep at the start of a run; and run the jobs again whose outputs were left by one that failed or was killed.

    Snakemake asks the user about files that may be partial. These are whole, but may be old.
    """
    dag = bound.arguments["self"]
    if dag.workflow.is_main_process and not dag.workflow.dryrun:
        sweep(current().tmp_dir or os.path.join(os.fspath(dag.workflow.persistence.path), "atomik"))
    if dag.ignore_incomplete:
        return
    incomplete = await dag.incomplete_files()
    ours = [output for output in incomplete if is_atomic(output)]
    if ours:
        logger.info(f"Old but whole, so that their jobs run again: {', '.join(ours)}")
        dag.forcefiles.update(ours)

    async def others() -> list[Any]:
        return [output for output in incomplete if output not in ours]

    bound.arguments["self"] = View(dag, incomplete_files=others)
    await original(*bound.args, **bound.kwargs)


def _restore_output(original: Callable[..., Any], bound: inspect.BoundArguments) -> bool:
    """Bring nothing back to where nothing was changed: a reader would see it being written."""
    store, path = bound.arguments["self"], bound.arguments["path"]
    if str(path) in _unchanged.get():
        store.cleanup_backup(path)
        return True
    return bool(original(*bound.args, **bound.kwargs))
