"""Given to pytest in Luigi's own suite (`-p upstream_plugin`): writes down the outcome of each test.

The environment variable UPSTREAM_OUTCOMES says where to; with UPSTREAM_ATOMIC every luigi.LocalTarget is atomic, and
those that were made are counted, so that a suite that never met one is not taken for a proof.
"""

from __future__ import annotations

import json
import os
import sys
import unittest.mock
from pathlib import Path
from typing import Any

sys.modules["mock"] = unittest.mock  # what Luigi's tests ask for is in the standard library now

import luigi  # noqa: E402

OUTCOMES: dict[str, str] = {}
MADE = {"targets": 0, "writers": 0}


def _count(owner: Any, name: str, what: str) -> None:
    function = getattr(owner, name)

    def counting(*args: Any, **options: Any) -> Any:
        MADE[what] += 1
        return function(*args, **options)

    setattr(owner, name, counting)


if os.environ.get("UPSTREAM_ATOMIC"):
    import luigi_atomik
    from luigi_atomik import _writer

    luigi_atomik.install()
    _count(_writer.AtomicWriter, "__init__", "writers")
_count(luigi.LocalTarget, "__init__", "targets")


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst of what is said about a test."""
    if report.when == "call" or report.outcome != "passed":
        OUTCOMES[report.nodeid] = report.outcome


def pytest_collectreport(report: Any) -> None:
    """Keep what could not be collected."""
    if report.outcome != "passed":
        OUTCOMES[report.nodeid] = "not collected"


def pytest_sessionfinish() -> None:
    """Write all of it down."""
    path = Path(os.environ["UPSTREAM_OUTCOMES"])
    path.write_text(json.dumps({"luigi": luigi.__version__, "outcomes": OUTCOMES, "made": MADE}))
