"""What every test here stands on: processes, and an empty working directory of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import cli


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here `system`: all of them start processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("system")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def script() -> Iterator[None]:
    """Remove the script at the end."""
    yield
    shutil.rmtree(cli.folder())
