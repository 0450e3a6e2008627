"""Run Luigi's own tests with Atomik's targets in the place of Luigi's, in a process of its own: they use fixed names.

    python run_upstream.py FOLDER

where FOLDER holds the tests. Say what Luigi it was, and how many tests there were.
"""

from __future__ import annotations

import sys
import types
import unittest
import unittest.mock
import warnings

warnings.simplefilter("ignore")

import luigi  # noqa: E402 - its warnings are not ours
import luigi.local_target  # noqa: E402

import luigi_atomik  # noqa: E402

luigi.LocalTarget = luigi_atomik.AtomicLocalTarget
luigi.local_target.LocalFileSystem = luigi_atomik.AtomicLocalFileSystem


def run_it_all_the_same(_reason: str) -> object:
    """Stand in for the decorators that skip a test on somebody's CI."""
    return lambda test: test


helpers = types.ModuleType("helpers")
helpers.unittest = unittest
helpers.skipOnTravisAndGithubActions = run_it_all_the_same
sys.modules.update(helpers=helpers, mock=unittest.mock)
sys.path.insert(0, sys.argv[1])

suite = unittest.defaultTestLoader.loadTestsFromNames(["local_target_test", "target_test"])
result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
failed = len(result.errors) + len(result.failures)
sys.stdout.write(f"luigi {luigi.__version__} ran {result.testsRun} failed {failed}\n")
