"""The settings: what `configure` was told, else what the profile says, else what the environment says."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from atomik import Sync

#: The environment variables; `sync` has the core's own, ATOMIK_SYNC.
TMP_DIR: Final = "ATOMIK_SNAKEMAKE_TMP_DIR"
ALL_OUTPUTS: Final = "ATOMIK_SNAKEMAKE_ALL_OUTPUTS"
STRICT: Final = "ATOMIK_SNAKEMAKE_STRICT"

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Settings:
    """One source of settings; None where it says nothing.

    Attributes:
        sync: as for :func:`atomik.file`.
        tmp_dir: the directory to stage in.
        all_outputs: every output is atomic, flagged or not.
        strict: an output that is not staged is an error.
    """

    sync: Sync | None = None
    tmp_dir: str | None = None
    all_outputs: bool | None = None
    strict: bool | None = None


_configured = Settings()
_profile = Settings()


def sync() -> Sync | None:
    """Say how durable publications are; None: what ATOMIK_SYNC says, else ``"full"``."""
    return _configured.sync or _profile.sync


def tmp_dir() -> str | None:
    """Return the directory that the user wants things staged in, absolute; None for the workflow's own."""
    chosen = _configured.tmp_dir or _profile.tmp_dir or os.environ.get(TMP_DIR)
    return os.path.abspath(chosen) if chosen else None


def all_outputs() -> bool:
    """Say whether every output is atomic, flagged or not."""
    return _first(_configured.all_outputs, _profile.all_outputs, ALL_OUTPUTS)


def strict() -> bool:
    """Say whether an output that is not staged is an error."""
    return _first(_configured.strict, _profile.strict, STRICT)


def _first(configured: bool | None, profile: bool | None, variable: str) -> bool:
    if configured is not None:
        return configured
    return profile if profile is not None else is_set(variable)


def is_set(variable: str) -> bool:
    """Read an environment variable that means yes or no.

    Raises:
        ValueError: it says neither.
    """
    value = os.environ.get(variable, "").strip().lower()
    if value not in _YES | _NO:
        msg = f"{variable} is {os.environ[variable]!r}; it takes 1 and 0"
        raise ValueError(msg)
    return value in _YES


def for_jobs() -> list[str]:
    """Return the arguments by which the Snakemake of a job is told what no Snakefile says."""
    if not (_profile.all_outputs or is_set(ALL_OUTPUTS)):
        return []
    arguments = ["--logger", "atomik"]
    if _profile.strict or is_set(STRICT):
        arguments.append("--logger-atomik-strict")
    if chosen := _profile.sync or os.environ.get("ATOMIK_SYNC"):
        arguments += ["--logger-atomik-sync", shlex.quote(chosen)]
    if directory := _profile.tmp_dir or os.environ.get(TMP_DIR):
        arguments += ["--logger-atomik-tmp-dir", shlex.quote(directory)]
    return arguments


def apply_profile(settings: Settings) -> None:
    """Take the settings of ``--logger atomik``, from a profile or the command line."""
    _refuse_unknown_sync(settings.sync)
    global _profile  # noqa: PLW0603 - one source is one value, replaced as a whole
    _profile = settings


def apply_configured(settings: Settings) -> None:
    """Take the settings of `configure`."""
    _refuse_unknown_sync(settings.sync)
    global _configured  # noqa: PLW0603 - one source is one value, replaced as a whole
    _configured = settings


def _refuse_unknown_sync(sync: str | None) -> None:
    if sync not in {None, "full", "normal", "off"}:
        msg = f"sync is {sync!r}; it takes 'full', 'normal' and 'off'"
        raise ValueError(msg)
