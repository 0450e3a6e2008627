"""Snakemake's own workflows, with every output atomic: none of them comes out otherwise than without."""

from __future__ import annotations

import os

import pytest

from integration_snakemake import run_upstream
from support.needs import require

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(1200)]


def test_snakemakes_own_workflows_pass_with_every_output_atomic(tmp_path):
    """Those that pass with plain outputs pass with atomic ones, but for the few that write an output's name into it.

    All of the tests, not only the quick ones, are run by ``run_upstream.py --all``.
    """
    try:
        tests = run_upstream.fetch(run_upstream.cache_folder())
    except run_upstream.CannotFetchError as error:
        require(False, f"needs the sdist of Snakemake, which cannot be fetched: {error}")
        raise

    result = run_upstream.compare(tests, tmp_path, run_upstream.quick(), os.cpu_count() or 1)

    assert {} == result.unexpected, str(result)
    assert len(result.run) >= 130, str(result)
    assert len(result.staged) >= 100, str(result)
