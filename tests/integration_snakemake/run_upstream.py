"""Run Snakemake's own workflows twice: as they are, and with every output of every rule atomic; say what differs.

    python tests/integration_snakemake/run_upstream.py [--all | TEST ...] [--workers N] [--cache DIR] [--out DIR]

The tests are those of the sdist of the Snakemake that this Python has, fetched with pip and kept in a cache. Every output is
made atomic as a user would do it without editing a Snakefile, by the environment; in modules and in the jobs' own processes,
too. A workflow is counted if its test passes with plain outputs. The exit status is 1 if one differs that is not listed in
upstream/expected.json. Without arguments: the tests of upstream/quick.txt. It takes two minutes on two cores, with --all six.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent / "upstream"

#: How often what differs is run again each way, unless it is seen before that it goes by the clock.
_ROUNDS = 6

#: Tests of what nobody has here: containers, conda, clouds, other languages, the network; and those that are slow.
SKIP = [
    "conda",
    "container",
    "singularity",
    "apptainer",
    "s3",
    "aws",
    "gs_",
    "gcloud",
    "azure",
    "kubernetes",
    "google",
    "zenodo",
    "irods",
    "sftp",
    "ftp",
    "r_wrapper",
    "remote_",
    "script_rs",
    "script_hy",
    "script_xsh",
    "test_tes",
    "env_modules",
    "cwl",
    "julia",
    "slurm_mpi",
    "cloud",
    "many_jobs",
    "long_shell",
    "xrootd",
    "meta_wrapper",
    "metawrapper",
    "github_module",
    "python_import",
    "peppy",
    "pep_",
    "notebook_nbconvert",
    "generate_unit_tests",
    "HighWorkload",
    "local_git",
    "run_directive_concurrency",
]


class CannotFetchError(Exception):
    """The sdist cannot be had."""


@dataclass
class Result:
    """What came of running the tests both ways."""

    run: list[str]
    staged: list[str]
    different: dict[str, str]
    expected: dict[str, str]
    #: Those that differed, and did not when both were run again: some of the tests go by the clock.
    unsteady: dict[str, str]

    @property
    def unexpected(self) -> dict[str, str]:
        """The tests that differ though they should not, with what they said."""
        return {name: message for name, message in self.different.items() if name not in self.expected}

    def __str__(self) -> str:
        lines = [f"DIFFERENT {name}: {self.expected.get(name, message)}" for name, message in self.different.items()]
        lines += [f"DIFFERENT, THEN NOT {name}: {message}" for name, message in self.unsteady.items()]
        lines.append(
            f"snakemake {version('snakemake')}: workflows run: {len(self.run)}; staged: {len(self.staged)}; "
            f"differences: {len(self.different)} (of which expected: {len(self.different) - len(self.unexpected)})"
        )
        return "\n".join(lines)


def fetch(cache: Path) -> Path:
    """Return the folder with the tests of the installed Snakemake; fetched if they are not in CACHE.

    Raises:
        CannotFetchError: pip cannot fetch them; the message says why.
    """
    name = f"snakemake-{version('snakemake')}"
    if not (cache / name / "tests" / "tests.py").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
            command += ["--no-binary", "snakemake", "--dest", scratch, name.replace("-", "==")]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise CannotFetchError(done.stderr[-500:])
            with tarfile.open(next(Path(scratch).glob("*.tar.gz"))) as archive:
                archive.extractall(scratch, filter="data")
            if not (Path(scratch) / name / "tests" / "tests.py").exists():
                msg = f"the sdist of {name} holds no tests"
                raise CannotFetchError(msg)
            if not (cache / name).exists():
                (Path(scratch) / name).rename(cache / name)
    return cache / name / "tests"


def compare(tests: Path, out: Path, only: Sequence[str] | None, workers: int) -> Result:
    """Run the tests in TESTS both ways, all of them or ONLY these, and compare; logs and temporary files go to OUT."""
    plain = _run(tests, out / "plain", list(only) if only is not None else _collect(tests), workers, atomic=False)
    good = sorted(name for name, (passed, _) in plain.items() if passed)
    atomic = _run(tests, out / "atomic", good, workers, atomic=True)
    notes = out / "atomic" / "notes"
    staged = (
        {line.split()[1] for line in notes.read_text().splitlines() if line.startswith("staged")}
        if notes.exists()
        else set()
    )
    expected = json.loads((HERE / "expected.json").read_text())
    different = {
        name: atomic.get(name, (False, "was not run"))[1] for name in good if not atomic.get(name, (False,))[0]
    }
    unsteady = _unsteady(tests, out / "again", [name for name in different if name not in expected])
    steady = {name: message for name, message in different.items() if name not in unsteady}
    return Result(
        good, sorted(staged.intersection(good)), steady, expected, {name: different[name] for name in unsteady}
    )


def _unsteady(tests: Path, out: Path, names: list[str]) -> list[str]:
    """Run tests again, one at a time and each way; return those that once fail as they are, or pass with atomic outputs.

    Snakemake's test_github_issue3687 is a toss of a coin both ways: it fails if two files get their times in one tick of the
    clock. Three tosses were once alike, on a loaded machine.
    """
    steady = set(names)
    for number, atomic in product(range(_ROUNDS), (False, True)):
        if steady:
            results = _run(tests, out / f"{number}-{'atomic' if atomic else 'plain'}", sorted(steady), 1, atomic=atomic)
            steady -= {name for name, (passed, _) in results.items() if passed is atomic}
    return sorted(set(names) - steady)


def _collect(tests: Path) -> list[str]:
    expression = " and ".join(f"not {word}" for word in SKIP)
    command = [sys.executable, "-m", "pytest", "--quiet", "--collect-only", "-p", "no:cacheprovider", "-W", "ignore"]
    done = subprocess.run(
        [*command, "--override-ini=addopts=", "-k", expression, "tests/tests.py"],
        cwd=tests.parent,
        capture_output=True,
        text=True,
    )
    return [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]


def _run(tests: Path, out: Path, names: list[str], workers: int, *, atomic: bool) -> dict[str, tuple[bool, str]]:
    """Run these tests, by several pytests at once; return whether each has passed, and what it said."""
    (out / "tmp").mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ATOMIK_", "PYTEST_"))}
    environment |= {
        "TMPDIR": str(out / "tmp"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    plugins: list[str] = []
    if atomic:
        environment |= {
            "ATOMIK_SNAKEMAKE_ALL_OUTPUTS": "1",
            "ATOMIK_TEST_NOTES": str(out / "notes"),
            "PYTHONPATH": str(HERE),
        }
        # These tests call Snakemake's API, which looks for no logger plugins; its command line does.
        plugins = ["-p", "snakemake_logger_plugin_atomik"]
    running = []
    for number in range(workers):
        mine = names[number::workers]
        if not mine:
            continue
        arguments = out / f"tests-{number}"
        arguments.write_text("\n".join(f"tests/tests.py::{name}" for name in mine))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *plugins,
            "-W",
            "ignore",
            "--timeout",
            "300",
        ]
        command += ["--override-ini=addopts=", "--quiet", f"--junitxml={out}/{number}.xml", f"@{arguments}"]
        with (out / f"{number}.log").open("w") as log:
            running.append(
                subprocess.Popen(
                    command, cwd=tests.parent, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )
    for process in running:
        process.wait()
    return {
        case.get("name", ""): _outcome(case)
        for report in sorted(out.glob("*.xml"))
        for case in ET.parse(report).iter("testcase")
    }


def _outcome(case: ET.Element) -> tuple[bool, str]:
    bad = [case.find(tag) for tag in ("failure", "error", "skipped")]
    said = next((each.get("message") or "" for each in bad if each is not None), None)
    return said is None, " ".join((said or "").split())[:300]


def quick() -> list[str]:
    """Return the names of the tests that take two minutes."""
    return (HERE / "quick.txt").read_text().split()


def cache_folder() -> Path:
    """Return the folder in which sdists are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atomik-tests"


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description="Run Snakemake's own workflows with plain and with atomic outputs.")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="the names of tests; those of upstream/quick.txt")
    parser.add_argument("--all", action="store_true", help="all tests that need nothing special")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many run at once")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where sdists are kept")
    parser.add_argument("--out", type=Path, help="where logs and temporary files go; a temporary directory")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="snakemake-suite-"))
    only = None if options.all else options.tests or quick()
    result = compare(fetch(options.cache), out, only, options.workers)
    sys.stdout.write(f"{result}\nlogs: {out}\n")
    sys.exit(bool(result.unexpected) or not result.staged)


if __name__ == "__main__":
    main()
