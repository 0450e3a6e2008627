"""``--logger atomik``: every output of a workflow is atomic, without a change to its Snakefiles; from a profile, too.

Snakemake has no kind of plugin that could stage outputs. A logger plugin is the one kind that a profile can name, that has
options of its own, and that each Snakemake process looks for, on a cluster's node as well; this one logs nothing. It also
reads ATOMIK_SNAKEMAKE_ALL_OUTPUTS, for who can set the environment and not the command line.
"""

# Annotations are what Snakemake makes command-line options of: they have to be types, not text.
from dataclasses import dataclass, field
from logging import LogRecord
from typing import TYPE_CHECKING

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_atomik import _settings

if TYPE_CHECKING:
    from atomik import Sync


def _enable() -> None:
    from snakemake_atomik import _hooks

    _hooks.install()


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The options, ``--logger-atomik-...``. That there are settings means that ``--logger atomik`` was given."""

    strict: bool = field(
        default=False,
        metadata={"help": "An output that cannot be staged, or is written to directly, is an error, not a warning."},
    )
    sync: str | None = field(
        default=None,
        metadata={
            "help": "What a power cut may take: nothing, the newest version, or anything.",
            "choices": ["full", "normal", "off"],
            "type": str,
        },
    )
    tmp_dir: str | None = field(
        default=None,
        metadata={"help": "A directory to stage outputs in, such as a fast disk of the node.", "type": str},
    )

    def __post_init__(self) -> None:
        """Switch it on: here, since jobs of a cluster read the options, but start no logger."""
        sync: Sync | None = self.sync  # type: ignore[assignment]
        _settings.apply_profile(_settings.Settings(sync, self.tmp_dir, all_outputs=True, strict=self.strict or None))
        _enable()


class LogHandler(LogHandlerBase):
    """A log handler that logs nothing."""

    def emit(self, record: LogRecord) -> None:
        """Leave the record to the others."""

    @property
    def writes_to_stream(self) -> bool:
        """It writes nowhere."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """It writes nowhere."""
        return False

    @property
    def has_filter(self) -> bool:
        """It needs none."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It needs none."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """It needs none."""
        return False


if _settings.is_set(_settings.ALL_OUTPUTS):
    _enable()
