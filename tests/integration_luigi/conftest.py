"""What the tests of luigi-atomik share: the oldest Luigi that is promised, beside the one that is installed."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.needs import need_tool

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Luigi's own, at its import
    from luigi.format import UTF8, Bzip2, Format, Gzip, MixedUnicodeBytes, NewlineFormat, Nop, TextFormat

#: Formats that need no process, and those that do.
PLAIN = {
    "text": None,
    "utf8": UTF8,
    "nop": Nop,
    "newlines": NewlineFormat("\n"),
    "mixed": MixedUnicodeBytes,
    "text over newlines": TextFormat(encoding="utf8") >> NewlineFormat("\n"),
}
PIPED = {"gzip": Gzip, "bzip2": Bzip2, "text over gzip": UTF8 >> Gzip, "gzip over gzip": Gzip >> Gzip}


class TextAround(Format):
    """A format that is not Luigi's: the standard library's own text layer."""

    input = "unicode"

    def pipe_writer(self, output_pipe: io.BufferedWriter) -> io.TextIOWrapper:  # noqa: D102
        return io.TextIOWrapper(output_pipe, encoding="utf-8")


@pytest.fixture(scope="session")
def oldest_luigi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be put on `sys.path` before everything else: it holds the newest luigi 3.5."""
    folder = tmp_path_factory.mktemp("luigi-3.5")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "luigi==3.5.*"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the disk: what these tests are about is not power cuts, unless they say so."""
    monkeypatch.setenv("ATOMIK_SYNC", "off")


@pytest.fixture(autouse=True)
def luigis_log() -> Iterator[None]:
    """Leave Luigi's logger as it was: `luigi.build` sets its level for good."""
    logger = logging.getLogger("luigi-interface")
    before = logger.level, logger.propagate, logger.disabled, logger.handlers[:]
    yield
    logger.level, logger.propagate, logger.disabled, logger.handlers[:] = before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a target is."""
    return tmp_path / "result.tar.gz"


@pytest.fixture
def text_around() -> Format:
    """The format that is not Luigi's."""
    return TextAround()


@pytest.fixture(params=[*PLAIN, "io.TextIOWrapper"])
def format_(request: pytest.FixtureRequest) -> Format | None:
    """Each format without a process."""
    return TextAround() if request.param == "io.TextIOWrapper" else PLAIN[request.param]


@pytest.fixture(params=PIPED)
def piped(request: pytest.FixtureRequest) -> Format:
    """Each format with a process, or two."""
    need_tool("gzip", "bzip2")
    return PIPED[request.param]


@pytest.fixture(scope="session")
def line() -> Callable[[Format | None], str | bytes]:
    """What makes a line of the kind that a format takes."""

    def line(format_: Format | None) -> str | bytes:
        text = "one line\n"
        return text if format_ is None or getattr(format_, "input", "bytes") == "unicode" else text.encode()

    return line
