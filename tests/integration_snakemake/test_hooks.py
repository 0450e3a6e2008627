"""The functions of Snakemake's that are wrapped: a version in which one is not as it is known is refused, loudly."""

from __future__ import annotations

import pytest

from snakemake_atomik._supported import requirement
from support.processes import run

pytestmark = pytest.mark.system

CHANGES = {
    "a version is too new": (
        "import snakemake\nsnakemake.__version__ = '10.0.0'",
        "10.0.0: this version has not been tried",
    ),
    "a parameter is gone": (
        "original = local.run_wrapper\ndef run_wrapper(job_rule, outputs): pass\nlocal.run_wrapper = run_wrapper",
        "snakemake.executors.local.run_wrapper has no parameter output and no wildcards",
    ),
    "a function is gone": ("del Job.cleanup", "there is no Job.cleanup"),
    "a function is no coroutine any more": (
        "def check_incomplete(self): pass\nDAG.check_incomplete = check_incomplete",
        "DAG.check_incomplete is not a coroutine",
    ),
    "a function is not called any more": (
        "async def prepare(self): pass\nJob.prepare = prepare",
        "prepare does not call Job.remove_existing_output any more",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_snakemake_that_has_changed_is_refused(change):
    """The error says what is not as it was, which versions are known, and what to do; nothing is wrapped."""
    source, words = CHANGES[change]
    done = run(f"""
import snakemake.api
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.executors import local
from snakemake.jobs import Job
{source}
from snakemake_atomik import atomic
before = [local.run_wrapper, Job.postprocess, DAG.init]
try:
    atomic("x")
except WorkflowError as error:
    print(error)
assert before == [local.run_wrapper, Job.postprocess, DAG.init]
""")
    assert done.code == 0, done.err
    assert words in done.out
    assert f"It knows {requirement()}: install such a version, or a newer snakemake-atomik; or take" in done.out


def test_looking_for_integrations_imports_nothing_of_snakemake():
    """The entry point's module, its package and the settings come without Snakemake; wrong names are still errors."""
    done = run("""
import snakemake_atomik.integration
from snakemake_atomik import configure, outputs
print(snakemake_atomik.integration.atomik_integration())
print([name for name in sys.modules if name == "snakemake" or name.startswith("snakemake.")])
try:
    snakemake_atomik.atomik
except AttributeError as error:
    print(error)
""")
    assert done.code == 0, done.err
    assert f"requires={requirement()!r}" in done.out
    assert "\n[]\n" in done.out
    assert "module 'snakemake_atomik' has no attribute 'atomik'" in done.out


@pytest.mark.slow
def test_flags_work_around_and_inside_of_snakemakes_own():
    """`atomic` flags a path, a list, and what other flags give, whichever comes first; the functions are wrapped once."""
    done = run("""
from snakemake.executors import local
from snakemake.io import directory, is_flagged, multiext, temp
from snakemake_atomik import atomic
wrapped = local.run_wrapper
for value in (atomic("x"), atomic(temp("x")), temp(atomic("x")), *atomic(["a", "b"]), *atomic(multiext("x", ".1", ".2"))):
    print(is_flagged(value, "atomik"), is_flagged(value, "temp"))
atomic(directory("y"))
assert local.run_wrapper.__wrapped__ is wrapped
""")
    assert done.code == 0, done.err
    assert ["True False", "True True", "True True", *["True False"] * 4] == done.out.splitlines()
