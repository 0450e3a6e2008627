"""Plugins as their users have them: real wheels, in a fresh environment, in a process of their own."""

from __future__ import annotations

import json
import subprocess

import pytest

from support.environments import ROOT, environment, wheel, wheels

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: Publish a folder at argv[1] and report, as JSON, how that went and what had been imported by then.
PUBLISH = """
import json, sys
import atomik
raised = None
try:
    with atomik.folder(sys.argv[1]) as d:
        (d / "a.txt").write_text("a")
        if "fail" in sys.argv:
            raise ZeroDivisionError("the block's own")
except Exception as error:
    raised = [type(error).__name__, str(error), getattr(error, "__notes__", [])]
print(json.dumps({"raised": raised, "imported": sorted(sys.modules)}))
"""

LIST = """
import json, atomik
print(json.dumps([[*plugin[:6], plugin.integration and plugin.integration.summary] for plugin in atomik.plugins()]))
"""

HOOK = "import atomik\n@atomik.hookimpl\n"

#: What a third party may get wrong, each in a distribution of its own.
THEIRS = {
    "broken": "import no_such_module",
    "unknown": f"{HOOK}def atomik_befor_publish(publication): ...",
    "argument": f"""
{HOOK}def atomik_after_publish(publication):
    raise RuntimeError("called, though broken")
{HOOK}def atomik_before_publish(publication, path): ...
""",
    "veto": f"{HOOK}def atomik_before_publish(publication): raise PermissionError('not on a Friday')",
    "after": f"{HOOK}def atomik_after_publish(publication): raise RuntimeError('after')",
    "discarded": f"{HOOK}def atomik_discarded(publication, error): raise RuntimeError('discarded')",
    "witness": f"""
import os, sys
{HOOK}def atomik_before_publish(publication):
    print("before", publication.destination.name, publication.kind, os.path.exists(publication.destination), file=sys.stderr)
{HOOK}def atomik_after_publish(publication):
    print("after", publication.destination.name, publication.state, os.path.exists(publication.destination), file=sys.stderr)
{HOOK}def atomik_discarded(error, publication):
    left = os.listdir(publication.destination.parent)
    print("discarded", publication.destination.name, publication.state, left, repr(error), file=sys.stderr)
""",
    "publishes": f"""
{HOOK}def atomik_before_publish(publication):
    record(publication, "before")
{HOOK}def atomik_after_publish(publication):
    record(publication, "after")
{HOOK}def atomik_discarded(publication):
    record(publication, "discarded")
def record(publication, what):
    with atomik.file(f"{{publication.destination}}.{{what}}") as f:
        f.write(what)
""",
}


def project(folder, name):
    """The sources of the distribution `their-NAME`, whose plugin is NAME."""
    folder /= name
    folder.mkdir(parents=True)
    (folder / f"their_{name}.py").write_text(THEIRS[name])
    (folder / "pyproject.toml").write_text(f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "their-{name}"
version = "0.1"
[project.entry-points.atomik]
{name} = "their_{name}"
[tool.hatch.build.targets.wheel]
include = ["their_{name}.py"]
""")
    return folder


@pytest.fixture(scope="module")
def ours():
    """An environment with Atomik, pytest-atomik and the example, installed as their READMEs say."""
    return environment(*(wheel(ROOT / path) for path in (".", "integrations/pytest", "examples/atomik-checksums")))


@pytest.fixture(scope="module", params=["", "pluggy==1.2.*"], ids=["newest pluggy", "oldest pluggy"])
def theirs(request, their_wheels):
    """An environment with Atomik and every plugin of `THEIRS`."""
    return environment(wheel(ROOT), *their_wheels, *filter(None, [request.param]))


@pytest.fixture(scope="module")
def their_wheels(tmp_path_factory):
    """The distributions of `THEIRS`, built."""
    folder = tmp_path_factory.mktemp("projects")
    return wheels(*(project(folder, name) for name in THEIRS))


def only(*names):
    """The environment variable that leaves these plugins."""
    return {"ATOMIK_DISABLE_PLUGINS": ",".join(sorted(THEIRS.keys() - set(names)))}


def publish(environment, destination, *how, **env):
    """Publish a folder in a fresh process; what it says, and what it complains of."""
    done = environment.run("-W", "error", "-c", PUBLISH, destination, *how, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def listed(environment, **env):
    """What `atomik.plugins()` says in a fresh process, by name."""
    done = environment.run("-W", "error", "-c", LIST, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return {plugin[0]: plugin[1:] for plugin in json.loads(done.stdout)}


def test_the_example_writes_checksums_that_sha256sum_takes(ours, tmp_path):
    """Names that sha256sum escapes, that are no UTF-8, links and folders in folders: all as it would write them."""
    program = """
import os, sys
import atomik
with atomik.folder(sys.argv[1]) as d:
    (d / "below").mkdir()
    for name in (b"a.txt", b"below/b", b"with space", b"new\\nline", b"back\\\\slash", b"car\\rriage", b"\\xff\\xfe", b"-"):
        with open(os.path.join(os.fsencode(d), name), "wb") as f:
            f.write(name)
    (d / "link").symlink_to("a.txt")
    (d / "dangling").symlink_to("nowhere")
with atomik.file(sys.argv[1] + ".file") as f:
    f.write("a file has none")
"""
    done = ours.run("-c", program, tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")

    lines = (tmp_path / "data" / "SHA256SUMS").read_bytes().splitlines()
    assert len(lines) == 8
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / "data", check=True)
    assert {"data", "data.file"} == {entry.name for entry in tmp_path.iterdir()}


def test_what_a_plugin_adds_is_sealed_synced_and_seen_with_the_rest(ours, tmp_path):
    """It is added after the block, before the sync, and is there in the instant in which the folder is."""
    program = """
import os, sys
import atomik
from atomik_core import testing
there = {}
def watch(publication, step):
    folder = publication.destination if publication.state == "published" or step == "published" else publication.staged
    there[step] = os.path.exists(folder / "SHA256SUMS")
with testing.watching(watch), atomik.folder(sys.argv[1]) as d:
    (d / "a.txt").write_text("a")
assert there == {"opened": False, "sealed": False, "synced": True, "published": True, "durable": True, "tidied": True}, there
"""
    done = ours.run("-c", program, tmp_path / "data")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_nobody_may_write_to_is_added_to(ours, tmp_path):
    """The mode comes after the plugins: 0o555 is no hindrance, and what is published has it."""
    program = """
import sys, atomik
with atomik.folder(sys.argv[1], permissions=0o555) as d:
    (d / "a.txt").write_text("a")
"""
    done = ours.run("-c", program, tmp_path / "data")

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "data" / "SHA256SUMS").exists()
    assert (tmp_path / "data").stat().st_mode & 0o7777 == 0o555


def test_installed_plugins_are_listed(ours):
    """With distribution, version, hooks and what they say of themselves; pytest itself is not imported for that."""
    summary = "The fixture atomic_tmp, with which tests prove that code is crash-safe."
    version = ours.run("-c", "import atomik; print(atomik.__version__)").stdout.strip()

    assert listed(ours) == {
        "checksums": ["active", "atomik-checksums", "1.0", ["atomik_before_publish", "atomik_integration"], None, "Writes SHA256SUMS into every published folder."],
        "pytest": ["active", "pytest-atomik", version, ["atomik_integration"], None, summary],
    }  # fmt: skip
    imported = ours.run("-c", "import atomik, sys; atomik.plugins(); print(*sys.modules)").stdout.split()
    assert "pytest" not in imported
    assert "_pytest" not in imported


def test_a_publication_imports_nothing_where_nobody_wants_to_be_called(ours, tmp_path):
    """Neither pluggy nor importlib.metadata, nor an integration that only describes itself, nor a disabled plugin."""
    done, complaints = publish(ours, tmp_path / "data", ATOMIK_DISABLE_PLUGINS="checksums")

    assert (done["raised"], complaints) == (None, "")
    unwanted = {"pluggy", "importlib.metadata", "pytest_atomik", "pytest", "atomik_checksums", "logging"}
    assert not unwanted & set(done["imported"])
    assert ["a.txt"] == [entry.name for entry in (tmp_path / "data").iterdir()]


def test_importing_atomik_loads_no_plugin(ours):
    """Plugins are for publications: neither `import atomik` nor a publication that is only made looks for them."""
    program = "import atomik, sys; atomik.file('x'); print(*sys.modules)"

    imported = ours.run("-c", program).stdout.split()

    assert "atomik_core._plugins" in imported
    assert not {"pluggy", "atomik_core._plugins.registry", "atomik_core._plugins.discovery", "atomik_checksums"} & set(
        imported
    )


def test_every_state_is_listed(theirs):
    """One that is broken is told with its reason; nothing is printed, and nothing raised."""
    listing = listed(theirs, ATOMIK_DISABLE_PLUGINS="veto,their-after")

    states = {name: state for name, (state, *_) in listing.items()}
    assert states == {
        **dict.fromkeys(THEIRS, "active"),
        **dict.fromkeys(["broken", "unknown", "argument"], "broken"),
        **dict.fromkeys(["veto", "after"], "disabled"),
    }
    assert listing["broken"][1:5] == [
        "their-broken",
        "0.1",
        [],
        "ModuleNotFoundError: No module named 'no_such_module'",
    ]
    assert "there is no hook 'atomik_befor_publish'" in listing["unknown"][4]
    assert "Argument(s) {'path'}" in listing["argument"][4]


@pytest.mark.parametrize("name", ["broken", "unknown", "argument"])
def test_a_broken_plugin_is_told_once_and_does_not_hinder(theirs, tmp_path, name):
    """The log names plugin, distribution and reason; the publication takes place, and so do the hooks of the others."""
    done, complaints = publish(theirs, tmp_path / "data", **only(name, "witness"))

    assert done["raised"] is None
    assert (tmp_path / "data" / "a.txt").exists()
    assert "called" not in complaints
    assert complaints.count(f"the plugin '{name}' of their-{name} 0.1 is broken and not used: ") == 1
    assert "before data folder False\nafter data published True\n" in complaints


@pytest.mark.parametrize("name", ["broken", "unknown", "argument"])
def test_a_broken_plugin_ends_a_strict_publication_before_any_work(theirs, tmp_path, name):
    """ATOMIK_STRICT_PLUGINS raises what would be logged, each time, and nothing is staged."""
    program = """
import os, sys, atomik
for _ in range(2):
    try:
        atomik.folder(sys.argv[1]).open()
    except ImportError as error:
        print(error)
    print(os.listdir(os.path.dirname(sys.argv[1])))
"""
    done = theirs.run("-c", program, tmp_path / "data", env={"ATOMIK_STRICT_PLUGINS": "1", **only(name)})

    error, nothing, again, still_nothing = done.stdout.splitlines()
    assert done.stderr == ""
    assert error.startswith(f"the plugin '{name}' of their-{name} 0.1 is broken and not used: ")
    assert error.endswith("ATOMIK_STRICT_PLUGINS forbids to go on without it: repair it, remove it, or disable it")
    assert (again, nothing, still_nothing) == (error, "[]", "[]")


def test_a_veto_is_raised_unchanged_and_discards(theirs, tmp_path):
    """Nothing is published, nothing is left, and the observers hear of it when that is so."""
    done, complaints = publish(theirs, tmp_path / "data", **only("veto", "witness"))

    assert done["raised"] == ["PermissionError", "not on a Friday", []]
    assert list(tmp_path.iterdir()) == []
    assert "discarded data discarded [] PermissionError('not on a Friday')\n" in complaints
    assert "after" not in complaints


def test_an_exception_of_the_block_reaches_the_observers_and_the_caller(theirs, tmp_path):
    """Nobody is asked before: there is nothing to publish."""
    done, complaints = publish(theirs, tmp_path / "data", "fail", **only("witness"))

    assert done["raised"] == ["ZeroDivisionError", "the block's own", []]
    assert complaints == 'discarded data discarded [] ZeroDivisionError("the block\'s own")\n'


def test_an_observer_that_raises_changes_nothing(theirs, tmp_path):
    """What it raises is logged, with its name; what was published stays, and the others are told."""
    done, complaints = publish(theirs, tmp_path / "data", **only("after", "witness"))

    assert done["raised"] is None
    assert (tmp_path / "data" / "a.txt").exists()
    assert "the plugin 'after' raised in atomik_after_publish, which changes nothing\nTraceback" in complaints
    assert "after data published True\n" in complaints


def test_an_observer_that_raises_is_not_hidden_from_a_strict_caller(theirs, tmp_path):
    """The folder is published, all the same."""
    done, complaints = publish(theirs, tmp_path / "data", ATOMIK_STRICT_PLUGINS="1", **only("after", "witness"))

    assert done["raised"] == ["RuntimeError", "after", []]
    assert (tmp_path / "data" / "a.txt").exists()
    assert complaints == "before data folder False\nafter data published True\n"


@pytest.mark.parametrize("strict", ["", "0", "1"])
def test_an_observer_never_takes_the_place_of_the_error_that_it_is_told_of(theirs, tmp_path, strict):
    """It is logged; for a strict caller it becomes a note."""
    env = {"ATOMIK_STRICT_PLUGINS": strict, **only("discarded")}
    done, complaints = publish(theirs, tmp_path / "data", "fail", **env)

    note = "atomik: a plugin's atomik_discarded raised RuntimeError('discarded')"
    assert done["raised"] == ["ZeroDivisionError", "the block's own", [note] if strict == "1" else []]
    assert ("the plugin 'discarded' raised in atomik_discarded" in complaints) == (strict != "1")
    assert list(tmp_path.iterdir()) == []


def test_a_strict_caller_of_discard_gets_what_an_observer_raises(theirs, tmp_path):
    """There is no other error that it could be a note of."""
    program = "import sys, atomik; p = atomik.folder(sys.argv[1]); p.open(); p.discard()"

    done = theirs.run("-c", program, tmp_path / "data", env={"ATOMIK_STRICT_PLUGINS": "1", **only("discarded")})

    assert done.stderr.splitlines()[-1] == "RuntimeError: discarded"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("how", "left"), [([], ["", ".after", ".before"]), (["fail"], [".discarded"])])
def test_a_publication_inside_a_hook_calls_no_hooks(theirs, tmp_path, how, left):
    """A plugin may keep a record with Atomik, without end."""
    _, complaints = publish(theirs, tmp_path / "data", *how, **only("publishes"))

    assert complaints == ""
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"data{end}" for end in left]


GROUP = """
import sys, atomik
from pathlib import Path
folder = Path(sys.argv[1])
with atomik.group() as group:
    with group.file(folder / "a") as f:
        f.write("a")
    with group.folder(folder / "b") as d:
        (d / "c").write_text("c")
"""


def test_each_member_of_a_group_has_its_hooks(theirs, tmp_path):
    """Before anything of the group is visible, and when all of it is."""
    done = theirs.run("-c", GROUP, tmp_path, env=only("witness"))

    assert done.stderr.splitlines() == [
        "before a file False",
        "before b folder False",
        "after a published True",
        "after b published True",
    ]


def test_a_veto_for_one_member_of_a_group_holds_for_all(theirs, tmp_path):
    """All or none; each is told."""
    done = theirs.run("-c", GROUP, tmp_path, env=only("witness", "veto"))

    told = [line for line in done.stderr.splitlines() if line.startswith(("discarded", "after"))]
    assert len(told) == 1
    assert told[0].startswith("discarded a discarded ")
    assert done.stderr.splitlines()[-1] == "PermissionError: not on a Friday"
    assert list(tmp_path.iterdir()) == []
