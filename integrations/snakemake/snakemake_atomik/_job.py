"""One job with staged outputs: stage, run the rule, check, publish; or leave everything as it was."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped]
from snakemake.io import is_flagged  # type: ignore[import-untyped]
from snakemake.logging import logger  # type: ignore[import-untyped]

import atomik

from . import _checks, _direct, _links, _settings
from ._flag import FLAG, is_atomic
from ._publish import publish
from ._staging import Staged, Staging, is_special
from ._sweep import sweep

#: Destinations that a failed job of this process has written to directly: Snakemake removes these, as ever.
tainted: set[str] = set()

#: By the number of a job: those of its outputs that were staged, or of which it was said that they were not.
accounted: dict[Any, frozenset[str]] = {}

#: The numbers of the jobs that have published all that they had to.
published: set[Any] = set()

#: What has been said of a rule in this process: once is enough.
_said: set[tuple[str, str]] = set()


class StrictError(WorkflowError):  # type: ignore[misc]
    """A promise was not kept, and the settings are strict: the work is left where it is."""


@dataclass(frozen=True, slots=True)
class Call:
    """A job of Snakemake, as far as it is known where its rule is run.

    Attributes:
        rule: its rule, with the flagged patterns of its outputs.
        outputs: the paths of its outputs, in the same order.
        wildcards: the values of its wildcards.
        jobid: its number.
        shadow_dir: the shadow directory that it runs in, if it does.
    """

    rule: Any
    outputs: Any
    wildcards: Any
    jobid: Any
    shadow_dir: str | None

    def patterns(self) -> dict[str, Any]:
        """Return the flagged pattern of the rule for each output."""
        return {str(output): pattern for pattern, output in zip(self.rule.output, self.outputs, strict=True)}


def run(call: Call, rule: Callable[[Callable[[str], str]], None]) -> None:
    """Run a job: ``rule(rename)`` does its work, with each path that `rename` gives for one of the workflow's.

    Raises:
        WorkflowError: an output is missing or not as it should be, or could not be published; or, if the settings are
            strict, it cannot be staged.
        BaseException: whatever the rule raises.
    """
    patterns = call.patterns()
    chosen, unstaged = _choose(call, patterns)
    for reason in sorted(set(unstaged.values())):
        outputs = ", ".join(output for output, why in unstaged.items() if why == reason)
        complain(f"Outputs of rule {call.rule.name} are not staged, and so not atomic: {outputs}: {reason}.", call.rule)
    accounted[call.jobid] = frozenset(chosen) | frozenset(unstaged)
    if not chosen:
        rule(lambda path: path)
        return
    chosen_dir = _settings.tmp_dir()
    base = chosen_dir or os.path.join(os.fspath(call.rule.workflow.persistence.path), "atomik")
    if chosen_dir:
        sweep(base)  # may be a disk of this node, which only its own jobs see
    with Staging(base, chosen=chosen_dir is not None) as staging:
        # Directories first: what lies in one is staged in it.
        for output in sorted(chosen, key=lambda output: not is_flagged(chosen[output], "directory")):
            folder = is_flagged(chosen[output], "directory")
            staged = staging.add(output, folder=folder, absolute=call.shadow_dir is not None)
            tainted.discard(staged.destination)
            if is_flagged(chosen[output], "update") and staged.before and not staged.nested:
                staging.copy_old(staged)
        try:
            try:
                rule(_renaming(staging))
            except Exception:
                _explain_failure(call, staging)
                raise
            made = _made(call, patterns, staging)
            # What lies in a shadow directory and is no output goes with that, as without us.
            extras = [] if call.shadow_dir is not None else staging.extras()
            _links.repair([*made, *extras])
            _checks.refuse_wrong_kind(call.rule, call.wildcards, made)
            _checks.refuse_not_ensured(call.rule, call.wildcards, patterns, made)
        except BaseException as error:
            if not isinstance(error, StrictError):
                tainted.update(staged.destination for staged in staging.outputs.values() if staged.has_changed())
            if call.rule.workflow.execution_settings.keep_incomplete:
                _keep(call, staging, "--keep-incomplete")
            raise
        try:
            publish(made, extras=extras)
        except Exception as error:
            _keep(call, staging, "its outputs could not be published")
            msg = f"The outputs of rule {call.rule.name} are complete, but could not be published."
            raise WorkflowError(msg, error, rule=call.rule) from error
        if call.shadow_dir is not None:
            for staged in staging.outputs.values():
                _show_in_shadow(call.shadow_dir, staged)
    if not unstaged:
        published.add(call.jobid)


def complain(message: str, rule: Any) -> None:
    """Say that something is not as atomic() promises: a warning, once for each rule.

    Raises:
        WorkflowError: the settings are strict.
    """
    if _settings.strict():
        msg = f"{message} This is an error, since the settings of snakemake_atomik are strict."
        raise StrictError(msg, rule=rule)
    if (rule.name, message) not in _said:
        _said.add((rule.name, message))
        _warn(message)


def _warn(message: str) -> None:
    """Say something that is to be read; a job's own Snakemake is made to say only what is an error."""
    logger.log(max(logging.WARNING, logger.getEffectiveLevel()), message)


def _choose(call: Call, patterns: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Sort the outputs that are to be atomic into those that are staged, and the others with the reason."""
    chosen: dict[str, Any] = {}
    unstaged: dict[str, str] = {}
    for output, pattern in patterns.items():
        if is_flagged(pattern, FLAG) and pattern.is_storage:
            unstaged[output] = "a storage plugin has it, and uploads it when the job has succeeded"
        elif not is_atomic(pattern):
            continue
        elif is_special(output):
            unstaged[output] = "a device, FIFO or socket is there, which is written to, never replaced"
        elif is_flagged(pattern, "update") and os.path.islink(output):
            unstaged[output] = "update() changes what a symbolic link leads to where that is"
        elif reason := _direct.reason(call.rule, pattern):
            unstaged[output] = reason
        else:
            chosen[output] = pattern
    return chosen, unstaged


def _renaming(staging: Staging) -> Callable[[str], str]:
    """Return what a path of the workflow is called while the job runs: an output, or what lies in a directory of one."""
    shown = {output: staged.shown for output, staged in staging.outputs.items()}
    folders = [staged for staged in staging.outputs.values() if staged.folder]

    def rename(path: str) -> str:
        if path in shown:
            return shown[path]
        for staged in folders:
            output = staged.output.rstrip("/")
            if path.startswith(f"{output}/"):
                _move_empty_folder(os.path.dirname(path), output, staged, staging)
                return staged.shown + path[len(output) :]
        return path

    return rename


def _move_empty_folder(folder: str, output: str, staged: Staged, staging: Staging) -> None:
    """Make the folder of a log in the staged output, and take away what Snakemake has made for it at the final path."""
    staging.make_folder(staged.path + folder[len(output) :])
    with contextlib.suppress(OSError):
        while len(folder) >= len(output):
            os.rmdir(folder)
            folder = os.path.dirname(folder)


def _explain_failure(call: Call, staging: Staging) -> None:
    """Say which paths the job was given: the command that Snakemake prints has the final ones."""
    given = ", ".join(f"{staged.shown} for {output}" for output, staged in staging.outputs.items())
    logger.error(
        f"Rule {call.rule.name} failed with staged outputs: its code was given {given}, whatever paths are printed with the "
        "error. None of them has been published; what was there before is still there."
    )


def _made(call: Call, patterns: dict[str, Any], staging: Staging) -> list[Staged]:
    """Return what there is to be published.

    Raises:
        MissingOutputException: an output of the job is missing, be it atomic or not.
    """
    outputs = list(staging.outputs.values())
    for staged in outputs:
        if call.shadow_dir is not None:
            _adopt_from_shadow(call.shadow_dir, staged)
        if is_flagged(patterns[staged.output], "touch") and not os.path.lexists(staged.path):
            _create(staged)
    _links.repair(outputs)
    written_directly = [staged for staged in outputs if staged.has_changed()]
    made = [
        staged
        for staged in outputs
        if _checks.exists(staged, outputs) and (staged not in written_directly or staging.is_work(staged))
    ]
    if written_directly:
        _settle_direct(call, staging, written_directly, made)
    notes = _direct.Notes(call.rule.workflow.persistence)
    for staged in outputs:
        if staged in written_directly and staged not in made:
            notes.add(call.rule, staged.output)
        else:
            notes.remove(call.rule, staged.output)
    missing = [_checks.missing(staged) for staged in outputs if staged not in made and staged not in written_directly]
    missing += [
        f"{output} (missing locally)"
        for output, pattern in patterns.items()
        if output not in staging.outputs and not _is_there(call, output, pattern)
    ]
    _checks.refuse_missing(call.rule, call.jobid, missing)
    return made


def _is_there(call: Call, output: str, pattern: Any) -> bool:
    """Say whether an output that is not staged needs nothing more, or is there."""
    if pattern.is_storage or any(is_flagged(pattern, flag) for flag in ("touch", "pipe", "service")):
        return True
    return os.path.exists(os.path.join(call.shadow_dir or "", output))


def _create(staged: Staged) -> None:
    """Make what ``touch()`` makes."""
    if staged.folder:
        os.makedirs(staged.path)
    else:
        with open(staged.path, "xb"):
            pass


def _settle_direct(call: Call, staging: Staging, outputs: Sequence[Staged], made: Sequence[Staged]) -> None:
    """Say which outputs the job wrote to directly. Where it has made something at the staged path, too, keep both.

    Raises:
        WorkflowError: the settings are strict; nothing is published, and what was staged is kept.
    """
    if _settings.strict():
        _keep(call, staging, "outputs were written to directly")
    complain(
        f"Rule {call.rule.name} wrote directly to outputs that are flagged atomic(), so that a part of them could be seen: "
        f"{', '.join(staged.output for staged in outputs)}. A final path was probably taken from params or is written out in "
        'the rule. Repair: take it from {output} where the rule runs, such as "$(dirname {output[0]})" in the shell command; '
        "or do not flag it.",
        call.rule,
    )
    for staged in outputs:
        if staged in made and not staged.nested and os.path.lexists(staged.destination):
            place = os.path.join(os.path.dirname(staged.destination), f"atomik-kept-{os.urandom(4).hex()}")
            atomik.copy(staged.destination, place, sync="off")
            _warn(
                f"Rule {call.rule.name} made {staged.output} twice, at its final path and at the staged one: what was staged is "
                f"published; the other is kept as {place}."
            )


def _keep(call: Call, staging: Staging, reason: str) -> None:
    kept = staging.keep()
    if kept:
        _warn(f"What rule {call.rule.name} has made is kept in {', '.join(kept)} ({reason}).")


def _adopt_from_shadow(shadow_dir: str, staged: Staged) -> None:
    """Take what the rule made in its shadow directory under the final name, which is no less hidden than our path."""
    shadow = os.path.join(shadow_dir, staged.output)
    is_elsewhere = os.path.realpath(shadow) != os.path.realpath(staged.destination)
    if not os.path.lexists(staged.path) and os.path.lexists(shadow) and is_elsewhere:
        shutil.move(shadow, staged.path)
    if os.path.islink(staged.path):
        # As Snakemake does: an absolute link into the shadow directory leads to the same place outside of it.
        target = os.readlink(staged.path)
        for root in {os.path.abspath(shadow_dir), os.path.realpath(shadow_dir)}:
            if target.startswith(f"{root}/"):
                final = os.path.abspath(target[len(root) + 1 :])
                os.unlink(staged.path)
                os.symlink(os.path.relpath(final, os.path.dirname(staged.destination)), staged.path)
                break


def _show_in_shadow(shadow_dir: str, staged: Staged) -> None:
    """Let Snakemake find in the shadow directory what is published already: as a link, which it then leaves alone."""
    shadow = os.path.join(shadow_dir, staged.output)
    if os.path.realpath(shadow) == os.path.realpath(staged.destination):
        return
    if os.path.lexists(shadow):
        atomik.remove(shadow, sync="off")
    folder = os.path.dirname(shadow)
    os.makedirs(folder, exist_ok=True)
    os.symlink(os.path.relpath(staged.destination, os.path.realpath(folder)), shadow)
