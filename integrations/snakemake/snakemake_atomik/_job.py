"""One job with staged outputs: stage, run the rule, check, publish; or leave everything as it was."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped]
from snakemake.io import IOFile, is_flagged  # type: ignore[import-untyped]
from snakemake.logging import logger  # type: ignore[import-untyped]

import atomik

from . import _beside, _checks, _direct, _settings
from ._flag import FLAG, is_atomic
from ._stage import is_special, lies_in, new_stage, shown, sweep
from ._whole import Whole

#: What Snakemake puts into a directory to keep the time of its making; here before it is published, not after.
_TIMESTAMP: Final = ".snakemake_timestamp"

#: What a database that somebody has not closed has beside it, by its suffix (sqlite.org, "Temporary Files Used By SQLite").
_JOURNALS: Final = ("-wal", "-journal")

#: By the number of a job: those of its outputs that were staged, or of which it was said that they were not.
accounted: dict[Any, frozenset[str]] = {}

#: The numbers of the jobs that have published all that they had to.
published: set[Any] = set()

#: How often it is looked whether an output is there at last, in seconds.
_POLL: Final = 0.1

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
        logs: the paths of its logs and benchmarks.
    """

    rule: Any
    outputs: Any
    wildcards: Any
    jobid: Any
    shadow_dir: str | None
    logs: tuple[str, ...]

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
    stage = new_stage(chosen, base)
    _Job(call, patterns, chosen, stage).run(rule, base)
    if not unstaged:
        published.add(call.jobid)


class _Job:
    """A job whose outputs are staged.

    Args:
        call: what is known of it.
        patterns: the flagged pattern of each of its outputs.
        chosen: the same of those that are staged.
        stage: where.
    """

    def __init__(self, call: Call, patterns: dict[str, Any], chosen: dict[str, Any], stage: atomik.Stage) -> None:
        self._call = call
        self._patterns = patterns
        self._chosen = chosen
        self._stage = stage
        self._makers = _beside.Makers(call.rule.workflow.persistence)
        self._whole = Whole(call.rule.workflow.persistence)
        self._folders = [output for output, pattern in chosen.items() if is_flagged(pattern, "directory")]
        self._shown: dict[str, str] = {}

    def run(self, rule: Callable[[Callable[[str], str]], None], base: str) -> None:
        """Stage, run the rule, look at what it has made, publish; `base` is the directory that most is staged in."""
        call, stage = self._call, self._stage
        for folder, output in self._inner_folders(*call.logs, *self._patterns):
            _remove_empty(folder, output.rstrip("/"))
        stage.open()
        try:
            self._prepare()
            if call.shadow_dir is not None:
                _show_stage_in_shadow(call.shadow_dir, base, self._shown)
            try:
                self._execute(rule)
                self._judge()
            except BaseException as error:
                if isinstance(error, StrictError):
                    self._whole.note(self._chosen)  # it is left where it is
                else:
                    self._whole.forget(filter(self._is_written, self._chosen))
                    self._rescue_logs()
                if call.rule.workflow.execution_settings.keep_incomplete:
                    self._keep("--keep-incomplete")
                elif isinstance(error, OSError):  # no error of the rule's, which Snakemake has made one of its own
                    self._keep(f"it cannot be looked at: {error}")
                raise
            self._publish()
        finally:
            stage.discard()
        for twice, kept in stage.report.kept.items():
            _warn(
                f"Rule {call.rule.name} made {twice} twice, at its final path and at the staged one: what was staged is "
                f"published; the other is kept as {kept.absolute()}."
            )
        for path, kept in stage.report.kept_extras.items():
            _warn(f"What another job had made at {path} is kept as {kept}.")
        if call.shadow_dir is not None:
            for output in self._chosen:
                _show_in_shadow(call.shadow_dir, output)

    def _publish(self) -> None:
        """Publish; what other jobs have made beside their outputs is kept."""
        stage = self._stage
        try:
            if self._call.shadow_dir is not None:
                self._drop_hidden(self._call.shadow_dir)
            self._whole.note_next({output: os.fspath(stage[output]) for output in self._chosen})
            if stage.extras():
                with self._makers.turn():
                    stage.publish(warn=False, keep_replaced=self._find_shared())
                    self._makers.add(self._name, map(str, stage.report.extras))
            else:
                stage.publish(warn=False)
            self._whole.note(self._chosen)
        except StrictError:
            raise
        except Exception as error:
            self._keep("it could not be published")
            msg = f"The outputs of rule {self._call.rule.name} are complete, but could not be published."
            raise WorkflowError(msg, error, rule=self._call.rule) from error

    def _drop_hidden(self, shadow_dir: str) -> None:
        """Drop what is made beside the outputs and would have gone with the shadow directory: what no link there leads out of it."""
        top, here = os.path.realpath(shadow_dir), os.getcwd()
        absolute = {os.path.dirname(output) for output in self._chosen if os.path.isabs(output)}
        for path in map(os.fspath, self._stage.extras()):
            relative = os.path.relpath(path, here)
            is_hidden = os.path.realpath(os.path.join(top, relative)).startswith(f"{top}/")
            made = self._stage.find(path)
            if is_hidden and made is not None and os.path.dirname(path) not in absolute:
                atomik.remove(made, sync="off")

    def _inner_folders(self, *paths: str) -> Iterator[tuple[str, str]]:
        """Yield the folders of those paths that lie in outputs, and in which output each does."""
        for path in paths:
            for output in self._folders:
                if lies_in(path, output):
                    yield os.path.dirname(path), output

    def _prepare(self) -> None:
        """Lay in the stage what the rule will find."""
        stage = self._stage
        self._whole.note_old(self._chosen)
        for output, pattern in self._chosen.items():
            self._shown[output] = shown(stage, output)
            if is_flagged(pattern, "update") and stage.old(output) is not None and not self._is_nested(output):
                stage.copy_old(output)
                self._remove_nested(output)
        for folder, output in self._inner_folders(*self._call.logs):
            stage.make_folder(output, folder[len(output.rstrip("/")) :].lstrip("/"))

    def _remove_nested(self, folder: str) -> None:
        """Take out of the copy of a directory what Snakemake would have removed from it: other outputs, and logs."""
        others = [output for output, pattern in self._patterns.items() if not is_flagged(pattern, "update")]
        for path in (*others, *self._call.logs):
            if lies_in(path, folder):
                with contextlib.suppress(FileNotFoundError):
                    atomik.remove(self._stage[folder] / os.path.relpath(path, folder), sync="off")

    def _is_nested(self, output: str) -> bool:
        return any(lies_in(output, folder) for folder in self._folders)

    def _is_written(self, output: str) -> bool:
        """Say whether the job has written to the final path of an output; what cannot be looked at is taken to be whole."""
        with contextlib.suppress(OSError):
            return self._stage.is_written(output)
        return False

    def _execute(self, rule: Callable[[Callable[[str], str]], None]) -> None:
        try:
            rule(self._rename)
        except Exception:
            # The command that Snakemake prints has the final paths.
            given = ", ".join(f"{staged} for {output}" for output, staged in self._shown.items())
            old = [output for output in self._chosen if self._stage.old(output) is not None]
            left = "; what was there before is still there, but the code has not seen it beside its outputs"
            logger.error(
                f"Rule {self._call.rule.name} failed with staged outputs: its code was given {given}, whatever paths are "
                f"printed with the error. None of them has been published{left if old and all(map(self._whole.has, old)) else ''}."
            )
            raise

    def _rename(self, path: str) -> str:
        """Return what a path of the workflow is called while the job runs: an output, or what lies in a directory of one."""
        if path in self._shown:
            return self._shown[path]
        for folder in self._folders:
            if lies_in(path, folder):
                return self._shown[folder] + path[len(folder.rstrip("/")) :]
        return path

    def _judge(self) -> None:
        """See that the outputs are what Snakemake will want them to be, and give them the time that it will give them.

        Raises:
            MissingOutputException: an output of the job is missing, be it atomic or not.
            WorkflowError: one is not as it should be.
        """
        call, stage = self._call, self._stage
        self._wait()
        for output, pattern in self._chosen.items():
            if call.shadow_dir is not None:
                _adopt_from_shadow(call.shadow_dir, output, os.fspath(stage[output]))
            if is_flagged(pattern, "touch") and not (os.path.lexists(stage[output]) or stage.is_written(output)):
                _create(os.fspath(stage[output]), is_folder=output in self._folders)
        outcomes = stage.outcomes()
        direct = {output for output in self._chosen if outcomes[output] == "direct"}
        if written := [output for output in self._chosen if output in direct or stage.is_written(output)]:
            self._settle_direct(written)
        _direct.History(call.rule.workflow.persistence).add(call.rule, outcomes)
        there = direct | {output for output in self._chosen if outcomes[output] == "unchanged"}
        made = {output: pattern for output, pattern in self._chosen.items() if output not in there}
        missing = [_checks.missing(stage, output) for output in made if not _checks.exists(stage, output)]
        missing += [
            f"{output} (missing locally)"
            for output, pattern in self._patterns.items()
            if output not in self._chosen and not _is_there(call, output, pattern) and stage.find(output) is None
        ]
        _checks.refuse_missing(call.rule, call.jobid, missing)
        _checks.refuse_wrong_kind(call.rule, call.wildcards, stage, made)
        _checks.refuse_not_ensured(call.rule, call.wildcards, stage, made)
        for output in made:
            _touch(os.fspath(stage[output]))

    def _wait(self) -> None:
        """Wait for outputs that are not there yet, as long as Snakemake would (``--latency-wait``)."""
        give_up = time.monotonic() + self._call.rule.workflow.execution_settings.latency_wait
        while any(map(self._is_awaited, self._chosen)) and time.monotonic() < give_up:
            time.sleep(_POLL)

    def _is_awaited(self, output: str) -> bool:
        """Say whether nothing has been made yet of an output."""
        if is_flagged(self._chosen[output], "touch") or os.path.lexists(self._stage[output]):
            return False
        if self._call.shadow_dir is not None and os.path.lexists(os.path.join(self._call.shadow_dir, output)):
            return False
        return not self._stage.is_written(output)

    def _settle_direct(self, outputs: Sequence[str]) -> None:
        """Say which outputs the job wrote to directly.

        Raises:
            WorkflowError: the settings are strict; nothing is published, and what was staged is kept.
        """
        self._complain(
            "outputs were written to directly",
            f"Rule {self._call.rule.name} wrote directly to outputs that are flagged atomic(), so that a part of them could be seen: "
            f"{', '.join(outputs)}. A final path was probably taken from params or is written out in the rule. Repair: take it "
            'from {output} where the rule runs, such as "$(dirname {output[0]})" in the shell command; or do not flag it.',
        )

    def _complain(self, reason: str, message: str) -> None:
        """Say that something is not as atomic() promises.

        Raises:
            WorkflowError: the settings are strict; nothing is published, and what was staged is kept for this reason.
        """
        if _settings.strict():
            self._keep(reason)
        complain(message, self._call.rule)

    @property
    def _name(self) -> str:
        """What the job is called, in a later run, too."""
        return f"{self._call.rule.name}: {', '.join(self._patterns)}"

    def _find_shared(self) -> list[str]:
        """Return what the job has made beside its outputs, and another one before it, without seeing that.

        It is this job's turn: a folder that both have made is there by now, and only what is in it is looked at.

        Raises:
            WorkflowError: there is some, and the settings are strict; nothing is published, and what was staged is kept.
        """
        replaced = filter(os.path.lexists, map(os.fspath, self._stage.extras()))
        shared = list(filter(self._is_anothers, replaced))
        if shared:
            self._complain(
                "another job has made the same",
                f"Rule {self._call.rule.name} made files beside its outputs that another job has made, too: "
                f"{', '.join(map(os.path.relpath, shared))}. Each job sees only its own, so that nothing was added to what is there. "
                "Repair: let each job make a file of its own, or make it elsewhere than beside {output}; or do not flag the outputs.",
            )
        return shared

    def _is_anothers(self, path: str) -> bool:
        """Say whether another job is known to have made what is at a path: beside its outputs, or by Snakemake's record as one."""
        maker = self._makers.of(path)
        if maker is not None:
            return maker != self._name
        rule, path = self._call.rule, os.path.relpath(path)
        while path and path not in self._patterns and path != "/":
            if rule.workflow.persistence.rule(IOFile(path, rule=rule)) is not None:
                return True
            path = os.path.dirname(path)
        return False

    def _rescue_logs(self) -> None:
        """Put a log that the rule has made beside its outputs, and not where it was told, in its place: it says why the rule failed."""
        for log in self._call.logs:
            if any(self._inner_folders(log)):
                continue  # it goes with the directory
            with contextlib.suppress(OSError):
                made = self._stage.find(log)
                if made is not None and (not os.path.exists(log) or os.path.getsize(log) == 0):
                    shutil.copyfile(made, log)

    def _keep(self, reason: str) -> None:
        if kept := self._stage.keep():
            _warn(f"What rule {self._call.rule.name} has made is kept in {', '.join(map(str, kept))} ({reason}).")


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
        elif is_flagged(pattern, "update") and any(os.path.exists(output + each) for each in _JOURNALS):
            unstaged[output] = "a journal of SQLite's lies beside it, without which a copy of it is not whole"
        elif reason := _direct.reason(call.rule, pattern):
            unstaged[output] = reason
        else:
            chosen[output] = pattern
    return chosen, unstaged


def _remove_empty(folder: str, output: str) -> None:
    """Take away the folder of a log or another output that Snakemake has made at the final path of an output."""
    with contextlib.suppress(OSError):
        while len(folder) >= len(output):
            os.rmdir(folder)
            folder = os.path.dirname(folder)


def _is_there(call: Call, output: str, pattern: Any) -> bool:
    """Say whether an output that is not staged needs nothing more, or is there."""
    if pattern.is_storage or any(is_flagged(pattern, flag) for flag in ("touch", "pipe", "service")):
        return True
    return os.path.exists(os.path.join(call.shadow_dir or "", output))


def _create(path: str, *, is_folder: bool) -> None:
    """Make what ``touch()`` makes."""
    if is_folder:
        os.makedirs(path)
    else:
        with open(path, "xb"):
            pass


def _touch(path: str) -> None:
    """Give an output the time of now, as Snakemake will: what was unpacked or copied may be older than the job's input.

    A directory that the job has made read-only, or what is not its user's, has the time that it has.
    """
    with contextlib.suppress(PermissionError):
        if os.path.isdir(path) and not os.path.islink(path):
            path = os.path.join(path, _TIMESTAMP)
            with open(path, "a", encoding="ascii"):
                pass
        os.utime(path, follow_symlinks=False)


def _adopt_from_shadow(shadow_dir: str, output: str, path: str) -> None:
    """Take what the rule made in its shadow directory under the final name, which is no less hidden than our path."""
    shadow = os.path.join(shadow_dir, output)
    if (
        not os.path.lexists(path)
        and os.path.lexists(shadow)
        and os.path.realpath(shadow) != os.path.realpath(os.path.abspath(output))
    ):
        shutil.move(shadow, path)
    if os.path.islink(path):
        # As Snakemake does: an absolute link into the shadow directory leads to the same place outside of it.
        target = os.readlink(path)
        for root in {os.path.abspath(shadow_dir), os.path.realpath(shadow_dir)}:
            if target.startswith(f"{root}/"):
                final = os.path.abspath(target[len(root) + 1 :])
                os.unlink(path)
                os.symlink(os.path.relpath(final, os.path.dirname(os.path.abspath(output))), path)
                break


def _show_stage_in_shadow(shadow_dir: str, base: str, shown: Mapping[str, str]) -> None:
    """Have the relative paths of the staged outputs lead to them from the shadow directory, too."""
    here = os.path.relpath(base)
    for path in sorted(shown.values(), key=len):
        folder = here if path.startswith(f"{here}/") else os.path.dirname(path)
        link = os.path.join(shadow_dir, folder)
        if not os.path.isabs(path) and not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(os.path.abspath(folder), link)


def _show_in_shadow(shadow_dir: str, output: str) -> None:
    """Let Snakemake find in the shadow directory what is published already: as a link, which it then leaves alone.

    A relative one: of an absolute link, such as a full shadow has to the old version, it makes a relative one that leads
    elsewhere, and moves that to the output (Snakemake 9.27, DAG.unshadow_output).
    """
    shadow, destination = os.path.join(shadow_dir, output), os.path.abspath(output)
    folder = os.path.dirname(shadow)
    os.makedirs(folder, exist_ok=True)
    if os.path.samefile(folder, os.path.dirname(destination)):
        return  # a shallow shadow links to the directory: there is one of it
    if os.path.lexists(shadow):
        atomik.remove(shadow, sync="off")
    os.symlink(os.path.relpath(destination, os.path.realpath(folder)), shadow)
