"""What Snakemake would find wrong with the outputs of a job, found before they are published; in its own words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from snakemake.exceptions import (  # type: ignore[import-untyped]
    ImproperOutputException,
    MissingOutputException,
    WorkflowError,
)
from snakemake.io import IOFile, get_flag_value, is_flagged  # type: ignore[import-untyped]

import atomik

from ._stage import shown


def exists(stage: atomik.Stage, output: str) -> bool:
    """Say whether something stands at a staged path that will still be something when it is published."""
    return os.path.exists(stage.resolved(output))


def missing(stage: atomik.Stage, output: str) -> str:
    """Say of an output that does not exist what was found in its place."""
    path = stage[output]
    if path.is_symlink():
        return f"{output} (a link to {os.readlink(path)}, where nothing is)"
    return f"{output} (nothing was made at {shown(stage, output)})"


def refuse_missing(rule: Any, jobid: Any, missing: Sequence[str]) -> None:
    """Raise if outputs are missing.

    Raises:
        MissingOutputException: there are some; it lists them.
    """
    if missing:
        listed = "\n".join(missing)
        msg = f"None of its atomic() outputs has been published. Missing files:\n{listed}"
        raise MissingOutputException(msg, rule=rule, jobid=jobid)


def refuse_wrong_kind(rule: Any, wildcards: Any, stage: atomik.Stage, outputs: Mapping[str, Any]) -> None:
    """Raise if a directory was made where a file is declared, or the reverse.

    Args:
        rule: the rule.
        wildcards: the values of the job's wildcards.
        stage: where they were made.
        outputs: the flagged pattern of each output that was made, by the job's path.

    Raises:
        ImproperOutputException: so it is.
    """
    wrong = [
        output
        for output, pattern in outputs.items()
        if is_flagged(pattern, "directory") != os.path.isdir(stage.resolved(output))
    ]
    if wrong:
        # The exception looks for attributes that only Snakemake's own paths have.
        output, affected = _as_files(rule, outputs), _as_files(rule, wrong)
        raise ImproperOutputException(SimpleNamespace(rule=rule, output=output, wildcards=wildcards), affected)


def _as_files(rule: Any, outputs: Iterable[str]) -> list[Any]:
    return [IOFile(output, rule=rule) for output in outputs]


def refuse_not_ensured(rule: Any, wildcards: Any, stage: atomik.Stage, outputs: Mapping[str, Any]) -> None:
    """Raise if an output is not what ``ensure()`` says: not empty, or of this checksum.

    Args:
        rule: the rule.
        wildcards: the values of the job's wildcards, for a checksum that is a function of them.
        stage: where they were made.
        outputs: the flagged pattern of each output that was made, by the job's path.

    Raises:
        WorkflowError: so it is.
    """
    for output, pattern in outputs.items():
        if not is_flagged(pattern, "ensure"):
            continue
        ensured = get_flag_value(pattern, "ensure")
        path = os.fspath(stage.resolved(output))
        if ensured["non_empty"] and os.path.getsize(path) == 0:
            msg = (
                "Detected unexpected empty output files, which are not published. Something went wrong in the rule "
                f"without an error being reported:\n{output}"
            )
            raise WorkflowError(msg, rule=rule)
        # Snakemake before 9 knows only sha256, under that name.
        algorithm = ensured.get("checksum_algorithm") or "sha256"
        wanted = ensured.get("checksum") or ensured.get("sha256")
        if callable(wanted):
            wanted = wanted(wildcards)
        if wanted is not None and _checksum(path, algorithm) != wanted:
            msg = (
                "Output files have checksums that differ from the expected ones defined in the workflow, and are not "
                f"published:\n{output}"
            )
            raise WorkflowError(msg, rule=rule)


def _checksum(path: str, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
