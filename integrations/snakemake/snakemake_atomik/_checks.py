"""What Snakemake would find wrong with the outputs of a job, found before they are published; in its own words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from snakemake.exceptions import (  # type: ignore[import-untyped]
    ImproperOutputException,
    MissingOutputException,
    WorkflowError,
)
from snakemake.io import IOFile, get_flag_value, is_flagged  # type: ignore[import-untyped]

from . import _links
from ._staging import Staged


def exists(staged: Staged, others: Sequence[Staged]) -> bool:
    """Say whether something stands at a staged path that will still be something when it is published."""
    return os.path.exists(_links.seen_at_destination(staged, others))


def missing(staged: Staged) -> str:
    """Say of an output that does not exist what was found in its place."""
    if os.path.islink(staged.path):
        return f"{staged.output} (a link to {os.readlink(staged.path)}, where nothing is)"
    return f"{staged.output} (nothing was made at {staged.shown})"


def refuse_missing(rule: Any, jobid: Any, missing: Sequence[str]) -> None:
    """Raise if outputs are missing.

    Raises:
        MissingOutputException: there are some; it lists them.
    """
    if missing:
        listed = "\n".join(missing)
        msg = f"None of its atomic() outputs has been published. Missing files:\n{listed}"
        raise MissingOutputException(msg, rule=rule, jobid=jobid)


def refuse_wrong_kind(rule: Any, wildcards: Any, outputs: Sequence[Staged]) -> None:
    """Raise if a directory was made where a file is declared, or the reverse.

    Raises:
        ImproperOutputException: so it is.
    """
    wrong = [
        staged for staged in outputs if staged.folder != os.path.isdir(_links.seen_at_destination(staged, outputs))
    ]
    if wrong:
        # The exception looks for attributes that only Snakemake's own paths have.
        output, affected = ([IOFile(staged.output, rule=rule) for staged in some] for some in (outputs, wrong))
        raise ImproperOutputException(SimpleNamespace(rule=rule, output=output, wildcards=wildcards), affected)


def refuse_not_ensured(rule: Any, wildcards: Any, patterns: Mapping[str, Any], outputs: Sequence[Staged]) -> None:
    """Raise if an output is not what ``ensure()`` says: not empty, or of this checksum.

    Args:
        rule: the rule.
        wildcards: the values of the job's wildcards, for a checksum that is a function of them.
        patterns: the flagged output of the rule, by the job's path.
        outputs: what was made.

    Raises:
        WorkflowError: so it is.
    """
    for staged in outputs:
        pattern = patterns[staged.output]
        if not is_flagged(pattern, "ensure"):
            continue
        ensured = get_flag_value(pattern, "ensure")
        path = _links.seen_at_destination(staged, outputs)
        if ensured["non_empty"] and os.path.getsize(path) == 0:
            msg = (
                "Detected unexpected empty output files, which are not published. Something went wrong in the rule "
                f"without an error being reported:\n{staged.output}"
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
                f"published:\n{staged.output}"
            )
            raise WorkflowError(msg, rule=rule)


def _checksum(path: str, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
