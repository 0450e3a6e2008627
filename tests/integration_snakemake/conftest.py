"""Folders for workflows, by the version of Snakemake that runs them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_snakemake.workflows import NEWEST, OLDEST, OUTPUTFLAGS, Workflow, python_of


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    """The Python of each version of Snakemake that has been asked for."""
    return {NEWEST: Path(sys.executable)}


@pytest.fixture
def workflow(tmp_path: Path) -> Iterator[Workflow]:
    """An empty folder for a workflow, run by the newest Snakemake."""
    flow = Workflow(tmp_path, Path(sys.executable), NEWEST)
    yield flow
    flow.close()


@pytest.fixture(params=[NEWEST, OUTPUTFLAGS, OLDEST])
def any_workflow(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    pythons: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Workflow]:
    """An empty folder for a workflow, run by each version of Snakemake in turn."""
    flow = Workflow(tmp_path, python_of(request.param, pythons, tmp_path_factory), request.param)
    yield flow
    flow.close()
