"""What holds for every test here: it is a system test, and no level of durability comes from outside."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here `system`: all of them mount, or need root."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("system")


@pytest.fixture(autouse=True)
def level_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a level of durability that is set outside away from the tests."""
    monkeypatch.delenv("ATOMIK_SYNC", raising=False)
