"""The functions of Snakemake that are private and yet wrapped: here, and nowhere else.

Snakemake has no official hook around a job. Every kind of rule runs through `run_wrapper`, in the process that runs the
job, on a cluster's node, too; the other functions wrapped here are those that would remove an old output before there is a
new one, or would take it for the new one. Each is looked at before it is wrapped: its parameters by name, and whether those
that call it still do. Seen alike in Snakemake 8.20 to 9.27.

Other packages wrap functions, too, so what is found there does not say whether ours is in place. After each job it is
looked at whether its outputs went through the stage.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from types import CodeType
from typing import Any, Final, TypeAlias

import snakemake  # type: ignore[import-untyped]
from snakemake import api as _api  # noqa: F401 - first: whatever else comes first ends in an import circle
from snakemake.dag import DAG  # type: ignore[import-untyped]
from snakemake.exceptions import RuleException, WorkflowError  # type: ignore[import-untyped]
from snakemake.executors import local  # type: ignore[import-untyped]
from snakemake.io import flag, is_flagged  # type: ignore[import-untyped]
from snakemake.jobs import GroupJob, Job  # type: ignore[import-untyped]
from snakemake.logging import logger  # type: ignore[import-untyped]
from snakemake.rules import Rule  # type: ignore[import-untyped]
from snakemake.spawn_jobs import SpawnedJobArgsFactory  # type: ignore[import-untyped]
from snakemake_interface_executor_plugins.executors.real import RealExecutor  # type: ignore[import-untyped]

from . import _direct, _job, _settings, _supported
from ._flag import FLAG, is_atomic
from ._stage import sweep
from ._whole import Whole

#: The parameters of `run_wrapper` that are used here.
_CALL: Final = ("job_rule", "output", "wildcards", "log", "benchmark", "shadow_dir", "jobid", "edit_notebook")

Wrapper: TypeAlias = "Callable[[Callable[..., Any], inspect.BoundArguments], Any]"

#: The jobs of this process that run in a Snakemake of their own, which looks at their outputs itself; by their numbers.
_spawned: set[Any] = set()

#: Outputs that a job of an earlier run has left, and that may be partial.
_partial: set[str] = set()

#: The jobs of this process that have been prepared and not yet postprocessed, by their numbers.
_running: dict[Any, Any] = {}

_installed = False


class Proxy:
    """Something of Snakemake's, seen with other values for some of its attributes."""

    def __init__(self, target: Any, **overrides: Any) -> None:
        self._target = target
        self.__dict__.update(overrides)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def __str__(self) -> str:
        return str(self._target)

    def __hash__(self) -> int:
        return hash(self._target)

    def __eq__(self, other: object) -> bool:
        return bool(self._target == (other._target if isinstance(other, Proxy) else other))


def install() -> None:
    """Wrap what has to be wrapped, once in a process; whatever others have wrapped stays wrapped by them.

    Raises:
        WorkflowError: this version of Snakemake is not supported, or something in it is not as expected.
    """
    global _installed  # noqa: PLW0603 - the functions of a process are wrapped once
    if _installed:
        return
    if not _supported.supports(snakemake.__version__):
        what = "this version has not been tried"
        raise _unknown(what)
    # What is wrapped; by what; the parameters that this needs; whether it is a coroutine; who has to call it.
    wrappings: list[tuple[Any, str, Wrapper, tuple[str, ...], bool, Callable[..., Any]]] = [
        (local, "run_wrapper", _run_wrapper, _CALL, False, local.Executor.run_single_job),
        (Job, "remove_existing_output", _remove_existing_output, ("self",), True, Job.prepare),
        (Job, "postprocess", _postprocess, ("self", "error"), True, GroupJob.postprocess),
        (DAG, "check_incomplete", _check_incomplete, ("self",), True, DAG.init),
        (Rule, "_set_inoutput_item", _set_inoutput_item, ("self", "item", "output"), False, Rule.set_output),
        (RealExecutor, "format_job_exec", _format_job_exec, ("self", "job"), False, local.Executor.spawn_job),
        (SpawnedJobArgsFactory, "general_args", _general_args, ("self",), False, RealExecutor.format_job_exec),
    ]
    for owner, name, _, parameters, is_coroutine, caller in wrappings:
        _check(owner, name, parameters, caller, is_coroutine=is_coroutine)
    _check(Job, "cleanup", ("self",), Job.postprocess, is_coroutine=True)
    for owner, name, wrapper, _, _, _ in wrappings:
        _wrap(owner, name, wrapper)
    # Without it, a job that ends after an interrupt is run once more, and nothing is lost.
    if inspect.isfunction(getattr(local.Executor, "cancel", None)):
        _wrap(local.Executor, "cancel", _cancel)
    _installed = True


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
    raise _unknown(what)


def _unknown(what: str) -> Exception:
    msg = (
        f"snakemake-atomik does not know this Snakemake, {snakemake.__version__}: {what}. atomic() would not keep its "
        f"promise. It knows {_supported.requirement()}: install such a version, or a newer snakemake-atomik; or take "
        "atomic() out."
    )
    error: Exception = WorkflowError(msg)
    return error


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
        logs=tuple(str(path) for path in (*arguments["log"], arguments["benchmark"]) if path is not None),
    )

    def rule(rename: Callable[[str], str]) -> None:
        for name in ("output", "log"):
            paths = arguments[name]
            arguments[name] = type(paths)(toclone=paths, custom_map=lambda path: rename(str(path)))
        if arguments["benchmark"] is not None:
            arguments["benchmark"] = rename(arguments["benchmark"])
        original(*bound.args, **bound.kwargs)

    _job.run(call, rule)


async def _remove_existing_output(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Leave old versions where they are until there are new ones, unless these could not take their place."""
    job = bound.arguments["self"]
    _running[job.jobid] = job
    pairs = [
        (output, pattern)
        for output, pattern in zip(job.output, job.rule.output, strict=True)
        if not _is_replaced(job, output, pattern)
    ]
    rule = Proxy(job.rule, output=[pattern for _, pattern in pairs])
    removed = [output for output, _ in pairs]
    # Before Snakemake marks them as incomplete, which it does at once, and perhaps long before the job begins.
    _whole(job).note_old([output for output in job.output if output not in removed])
    folders = tuple(f"{output}/" for output in job.output if is_flagged(output, "directory") and output not in removed)
    logs = [log for log in job.log if not log.startswith(folders)]  # an old one belongs to the old directory
    bound.arguments["self"] = Proxy(job, rule=rule, output=removed, log=logs)
    await original(*bound.args, **bound.kwargs)


def _is_replaced(job: Any, output: Any, pattern: Any) -> bool:
    """Say whether what stands at an output is whole, and will be replaced by what its job publishes."""
    workflow = job.dag.workflow
    if not is_atomic(output) or _is_cached(job) or workflow.execution_settings.edit_notebook:
        return False
    if not workflow.is_main_process:
        if not _whole(job).is_known(output):  # the main process has noted it if it is so
            return False
    elif str(output) in _partial or not _direct.spares(
        job.rule, pattern, _direct.History(workflow.persistence), str(output)
    ):
        return False
    if is_flagged(output, "directory"):
        return os.path.isdir(output) and not os.path.islink(output)
    return os.path.islink(output) or not os.path.isdir(output)


def _is_cached(job: Any) -> bool:
    """Say whether Snakemake puts a link at the output itself, to its cache between workflows, which needs a free name."""
    rules = job.dag.workflow.workflow_settings.cache
    return rules is not None and (job.rule.name in rules or bool(getattr(job.rule.ruleinfo, "cache", False)))


async def _postprocess(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """After a success, look whether the outputs were staged. After a failure, leave those that are whole as they are.

    They stay marked as incomplete, and what Snakemake has recorded of them stays that of the job that made them.
    """
    job = bound.arguments["self"]
    _running.pop(job.jobid, None)
    whole, workflow = _whole(job), job.dag.workflow
    outputs = [output for output in job.output if is_atomic(output)]
    if bound.arguments["error"]:
        await _leave(original, bound, [output for output in outputs if whole.has(output)])
        return
    _verify(job)
    await original(*bound.args, **bound.kwargs)
    if workflow.is_main_process and not workflow.remote_execution_settings.immediate_submit:
        whole.forget(outputs)


async def _leave(original: Callable[..., Any], bound: inspect.BoundArguments, left: list[Any]) -> None:
    job = bound.arguments["self"]
    persistence = job.dag.workflow.persistence
    for output in left:
        if is_flagged(output, "update") and hasattr(persistence, "cleanup_backup"):  # from Snakemake 9.2 on
            persistence.cleanup_backup(Path(output))
    rest: Any = Proxy(job, output=[output for output in job.output if output not in left])
    rest.cleanup = functools.partial(Job.cleanup, rest)  # not that of the job itself, which has all outputs
    bound.arguments["self"] = rest
    try:
        await original(*bound.args, **bound.kwargs)
    finally:
        if left:
            # Marked anew, the job is not taken for one that a cluster still runs.
            persistence.started(Proxy(job, output=left))


def _whole(job: Any) -> Whole:
    return Whole(job.dag.workflow.persistence)


def _verify(job: Any) -> None:
    """Name the outputs of a job that are flagged, and that went past the stage without a word.

    Raises:
        WorkflowError: there are some, and the settings are strict.
    """
    accounted = _job.accounted.pop(job.jobid, frozenset())
    _job.published.discard(job.jobid)
    if job.jobid in _spawned:
        _spawned.discard(job.jobid)
        return
    workflow = job.dag.workflow
    if (
        job.is_norun
        or workflow.dryrun
        or workflow.touch
        or _is_cached(job)
        or workflow.execution_settings.edit_notebook
    ):
        return
    past = [str(output) for output in job.output if is_atomic(output) and str(output) not in accounted]
    if past:
        _whole(job).note(past)  # an error leaves them where they are
        _job.complain(
            f"Outputs of rule {job.rule.name} are to be atomic, but were made without being staged: {', '.join(past)}. Its "
            "job was not run by snakemake.executors.local.run_wrapper as snakemake_atomik has wrapped it: another package "
            "has replaced that function, or took hold of it before. Import snakemake_atomik before that package.",
            job.rule,
        )


async def _check_incomplete(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Sweep at the start of a run; and run the jobs again whose outputs were left by one that failed or was killed.

    Snakemake asks the user about files that may be partial, or is told to ignore that. These are whole, but may be old.
    """
    dag = bound.arguments["self"]
    persistence = dag.workflow.persistence
    if not dag.workflow.is_main_process:  # its job runs in any case
        await original(*bound.args, **bound.kwargs)
        return
    if not dag.workflow.dryrun:
        sweep(_settings.tmp_dir() or os.path.join(os.fspath(persistence.path), "atomik"))
    whole = Whole(persistence)
    incomplete = await dag.incomplete_files()
    ours = {output for output in incomplete if is_atomic(output) and whole.has(output)}
    others = [output for output in incomplete if output not in ours]
    if ours:
        logger.info(f"Old but whole, so that their jobs run again: {', '.join(sorted(ours))}")
        dag.forcefiles.update(ours)
    _partial.update(map(str, others))
    if not dag.workflow.dryrun:
        whole.forget_many(output for job in dag.jobs for output in job.output if output not in ours)

    async def incomplete_files() -> list[Any]:
        return others

    bound.arguments["self"] = Proxy(dag, incomplete_files=incomplete_files)
    await original(*bound.args, **bound.kwargs)


def _cancel(original: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """After an interrupt, finish the jobs that went on to their end and have published: they are not incomplete."""
    original(*bound.args, **bound.kwargs)
    for job in list(_running.values()):
        if job.jobid in _job.published:
            with contextlib.suppress(RuleException, WorkflowError):
                job.dag.workflow.async_run(job.postprocess())


def _set_inoutput_item(original: Callable[..., Any], bound: inspect.BoundArguments) -> Any:
    """Flag an output where all are to be flagged: by the settings, or by `outputflags` of a workflow that uses this one.

    `use rule` and modules have modifiers of their own, on a stack, whose flags are none but their own.
    """
    arguments = bound.arguments
    if (
        arguments["output"]
        and isinstance(arguments["item"], str | Path)
        and _are_all_flagged(arguments["self"].workflow)
    ):
        arguments["item"] = flag(arguments["item"], FLAG)
    return original(*bound.args, **bound.kwargs)


def _are_all_flagged(workflow: Any) -> bool:
    return _settings.all_outputs() or any(
        FLAG in keys
        for modifier in workflow.modifier_stack
        # Snakemake before 9.1 has none.
        if (flags := getattr(modifier, "default_output_flags", None)) is not None
        for keys in flags.flags_to_store_keys.values()
    )


def _format_job_exec(original: Callable[..., Any], bound: inspect.BoundArguments) -> Any:
    """Note that a job, or each of a group, is about to run in a Snakemake of its own, and which outputs are whole until then."""
    job = bound.arguments["job"]
    for each in job.jobs if job.is_group() else [job]:
        _spawned.add(each.jobid)
        pairs = zip(each.output, each.rule.output, strict=True)
        _whole(each).note_old([output for output, pattern in pairs if _is_replaced(each, output, pattern)])
    return original(*bound.args, **bound.kwargs)


def _general_args(original: Callable[..., Any], bound: inspect.BoundArguments) -> str:
    """Tell the Snakemake of a job what this one was told; where Atomik is missing, it fails.

    Snakemake itself does not hand ``--omit-flags`` on.
    """
    workflow = bound.arguments["self"].workflow
    omitted = FLAG in getattr(workflow.storage_settings, "omit_flags", ())
    ours = ["--omit-flags", FLAG] if omitted else _settings.for_jobs()
    return " ".join([original(*bound.args, **bound.kwargs), *ours])
