"""As a plain user among other users' files: what LocalTarget may do, AtomicLocalTarget may, and nothing is left half done."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.processes import NOBODY, run

pytestmark = pytest.mark.system

#: For each situation: what is there (name, mode, owner), and what is done with a target class T.
SITUATIONS = {
    "write in a directory that may not be listed": ([("d/", 0o733, 0)], 'put(T("d/f"))'),
    "write in a new directory in one": ([("d/", 0o733, 0)], 'put(T("d/new/f"))'),
    "make a directory in one": ([("d/", 0o733, 0)], 'T.fs.mkdir("d/new")'),
    "temporary path in one": ([("d/", 0o733, 0)], 'at_path(T("d/f"))'),
    "copy into one": ([("d/", 0o733, 0), ("s", 0o644, 0)], 'T("s").copy("d/t")'),
    "remove from one": ([("d/", 0o300, NOBODY), ("d/s", 0o644, NOBODY)], 'T("d/s").remove()'),
    "move in one": ([("d/", 0o300, NOBODY), ("d/s", 0o644, NOBODY)], 'T("d/s").move("d/t")'),
    "move a file that may not be read": ([("d/", 0o777, 0), ("d/s", 0o600, 0)], 'T("d/s").move("d/t")'),
    "move an own file that may not be read": ([("d/", 0o777, 0), ("d/s", 0o200, NOBODY)], 'T("d/s").move("d/t")'),
    "move a tree with a file that may not be read": (
        [("d/", 0o777, 0), ("d/s/", 0o777, 0), ("d/s/x", 0o600, 0)],
        'T("d/s").move("d/t")',
    ),
    "move a tree with a folder that may not be listed": (
        [("d/", 0o777, 0), ("d/s/", 0o777, NOBODY), ("d/s/x/", 0o700, 0)],
        'T("d/s").move("d/t")',
    ),
    "copy a file that may not be read": ([("d/", 0o777, 0), ("d/s", 0o600, 0)], 'T("d/s").copy("d/t")'),
    "copy a setuid file": ([("d/", 0o777, 0), ("s", 0o4755, 0)], 'T("s").copy("d/t")'),
    "replace a foreign file": ([("d/", 0o777, 0), ("d/f", 0o644, 0)], 'put(T("d/f"))'),
    "replace a foreign file that may not be read": ([("d/", 0o777, 0), ("d/f", 0o600, 0)], 'put(T("d/f"))'),
    "replace a foreign file that nobody may read": ([("d/", 0o777, 0), ("d/f", 0o000, 0)], 'put(T("d/f"))'),
    "replace a foreign file in a sticky directory": ([("d/", 0o1777, 0), ("d/f", 0o644, 0)], 'put(T("d/f"))'),
    "remove a tree with a foreign folder in it": (
        [("d/", 0o777, 0), ("d/s/", 0o777, NOBODY), ("d/s/x/", 0o755, 0), ("d/s/x/f", 0o644, 0)],
        'T("d/s").remove()',
    ),
    "remove an own tree in a sticky directory": ([("d/", 0o1777, 0), ("d/s/", 0o755, NOBODY)], 'T("d/s").remove()'),
    "remove an empty foreign folder": ([("d/", 0o777, 0), ("d/s/", 0o755, 0)], 'T("d/s").remove()'),
    "ask below a directory that may not be entered": ([("d/", 0o700, 0)], 'T("d/f").exists()'),
    "write below a directory that may not be entered": ([("d/", 0o700, 0)], 'put(T("d/f"))'),
    "write in a directory that may not be written to": ([("d/", 0o555, 0)], 'put(T("d/f"))'),
}

PROGRAM = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import luigi
from luigi_atomik import AtomicLocalTarget
from luigi.local_target import LocalTarget

def put(target):
    with target.open("w") as file:
        file.write("new")
    return os.path.exists(target.path)

def at_path(target):
    with target.temporary_path() as path:
        open(path, "w").close()
    return os.path.exists(target.path)

T = {"plain": LocalTarget, "atomic": AtomicLocalTarget}[sys.argv[1]]
top, answers = os.getcwd(), {}
for number, (name, source) in enumerate(json.loads(sys.argv[2]).items()):
    os.chdir(f"{top}/{number}")
    try:
        answers[name] = eval(source)
    except Exception as error:
        answers[name] = [base.__name__ for base in type(error).__mro__]
print(json.dumps(answers))
"""


def prepare(folder: Path, entries: list[tuple[str, int, int]]) -> None:
    """Make files and folders (with a slash) in FOLDER, each with its mode and owner."""
    folder.mkdir()
    folder.chmod(0o755)
    for name, _, _ in entries:
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_text("old")
    for name, mode, owner in reversed(entries):
        os.chown(folder / name, owner, owner)
        os.chmod(folder / name, mode)


def found(folder: Path) -> dict[str, str]:
    """What there is, and in files."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "/" for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module", params=["full", "off"])
def outcomes(request) -> Iterator[dict[str, dict[str, Any]]]:
    """What each situation comes to, with both kinds of target: what is returned, or the bases of the error, and what is there."""
    # Not in pytest's directory, which each session closes to other users.
    with tempfile.TemporaryDirectory(prefix="atomik-rights-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield compare(Path(name), request.param)


def compare(top: Path, sync: str) -> dict[str, dict[str, Any]]:
    """Go through all situations in TOP, with both kinds of target."""
    results: dict[str, dict[str, Any]] = {}
    for kind in ("plain", "atomic"):
        (top / kind).mkdir()
        (top / kind).chmod(0o755)
        for number, (entries, _) in enumerate(SITUATIONS.values()):
            prepare(top / kind / str(number), entries)
        sources = json.dumps({name: source for name, (_, source) in SITUATIONS.items()})
        done = run(PROGRAM, kind, sources, user=NOBODY, cwd=top / kind, env={"ATOMIK_SYNC": sync})
        assert 0 == done.code, done.err
        answers = json.loads(done.out)
        results[kind] = {
            name: (answers[name], found(top / kind / str(number))) for number, name in enumerate(SITUATIONS)
        }
    return results


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_plain_user_may_do_what_he_may_with_a_local_target(outcomes, name):
    """The same success with the same content, or the same kind of error."""
    (plain, there), (atomic, here) = outcomes["plain"][name], outcomes["atomic"][name]
    if isinstance(plain, list):
        assert isinstance(atomic, list)
        assert plain[0] in atomic or "OSError" in atomic, (plain[0], atomic)
    else:
        assert (plain, there) == (atomic, here)
