"""What the distributions offer, and what holds their source together: names, one version, floors, cheap imports."""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import atomik
import atomik_core
import atomik_core.errors

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {
    "atomik": ROOT / "pyproject.toml",
    "luigi-atomik": ROOT / "integrations" / "luigi" / "pyproject.toml",
    "pytest-atomik": ROOT / "integrations" / "pytest" / "pyproject.toml",
    "snakemake-atomik": ROOT / "integrations" / "snakemake" / "pyproject.toml",
}
PACKAGES = [
    ROOT / "atomik",
    ROOT / "atomik_core",
    *(ROOT / "integrations" / name / f"{name}_atomik" for name in ("luigi", "pytest", "snakemake")),
]
MODULES = sorted(module for package in PACKAGES for module in package.rglob("*.py"))

#: What the issues of the foundation promise; more comes with theirs.
PROMISED = {
    "AtomikError",
    "DirectWriteError",
    "ExtrasError",
    "FileAlreadyExistsError",
    "Integration",
    "InvalidCrossDeviceError",
    "LeftoverError",
    "Mode",
    "NotDurableError",
    "NothingStagedError",
    "Publication",
    "Stage",
    "StageReport",
    "Sync",
    "UnsupportedFilesystemError",
    "__version__",
    "exchange",
    "file",
    "folder",
    "hookimpl",
    "path",
    "remove",
    "rename",
    "stage",
    "symlink",
}
ERRORS = {
    "AtomikError": Exception,
    "DirectWriteError": OSError,
    "ExtrasError": OSError,
    "FileAlreadyExistsError": FileExistsError,
    "InvalidCrossDeviceError": OSError,
    "LeftoverError": OSError,
    "NotDurableError": OSError,
    "NothingStagedError": FileNotFoundError,
    "UnsupportedFilesystemError": OSError,
}


def test_names():
    """Both packages offer the promised names, the same objects, and list them."""
    assert set(atomik.__all__) >= PROMISED
    assert set(atomik_core.__all__) >= PROMISED
    for name in atomik.__all__:
        assert getattr(atomik, name) is getattr(atomik_core, name)
        assert name in dir(atomik)
        assert name in dir(atomik_core)


@pytest.mark.parametrize("package", [atomik, atomik_core])
def test_the_checker_sees_what_the_interpreter_sees(package):
    """The names that a type checker reads are the ones that the interpreter resolves, and no more."""
    tree = ast.parse(Path(package.__file__).read_text())
    [branch] = [node for node in tree.body if isinstance(node, ast.If)]
    imported = [node for node in ast.walk(ast.Module(branch.body, [])) if isinstance(node, ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imported for alias in node.names}

    assert names - {"errors", "hookspecs", "testing"} == set(package.__all__)
    assert all(alias.asname == alias.name for node in imported for alias in node.names)


def test_no_other_name():
    """Any other name is an AttributeError, as ever, that names it and the package."""
    for package in (atomik, atomik_core):
        with pytest.raises(AttributeError, match=f"{package.__name__}.*no_such"):
            _ = package.no_such


def test_star():
    """`from atomik import *` gives exactly the public names."""
    namespace = {}
    exec("from atomik import *", namespace)

    assert set(namespace) - {"__builtins__"} == set(atomik.__all__)


def test_public_things_are_documented():
    """Everything public has a docstring of its own."""
    for name in set(atomik.__all__) - {"__version__", "Sync", "hookimpl"}:
        assert getattr(atomik, name).__doc__, name


def test_errors():
    """`atomik.errors` is a real module; each error is AtomikError and the built-in one that a caller would expect."""
    errors = importlib.import_module("atomik.errors")

    assert atomik.errors is errors
    assert set(errors.__all__) >= set(ERRORS)
    for name, built_in in ERRORS.items():
        error = getattr(errors, name)
        assert getattr(atomik, name) is error
        assert getattr(atomik_core.errors, name) is error
        assert issubclass(error, atomik.AtomikError)
        assert issubclass(error, built_in)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_travel(name):
    """An error goes to another process and back as it is: its errno, its message, the destination, the notes."""
    error = getattr(atomik, name)(17, "why, and what to do", "/destination")
    error.add_note("a note")

    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(copied) is type(error)
        assert copied.args == error.args
        assert copied.destination == error.destination
        assert str(copied) == str(error)
        assert copied.__notes__ == ["a note"]
    if name != "AtomikError":
        assert error.errno == 17
        assert error.destination == "/destination"
        assert str(error) == "[Errno 17] why, and what to do: '/destination'"


def test_one_version():
    """The four distributions have one version number, from one place, and pin each other to it."""
    for name, path in DISTRIBUTIONS.items():
        project = tomllib.loads(path.read_text())
        assert project["project"]["name"] == name
        assert project["project"]["dynamic"] == ["version"]
        source = path.parent / project["tool"]["hatch"]["version"]["path"]
        assert source.resolve() == ROOT / "atomik_core" / "_version.py"
        requirements = [
            *project["project"]["dependencies"],
            *(each for extra in project["project"].get("optional-dependencies", {}).values() for each in extra),
        ]
        ours = [each for each in requirements if "atomik" in each]
        assert ours
        assert all(each.partition("==")[2] == atomik.__version__ for each in ours), ours
        extras = project["project"].get("optional-dependencies", {})
        if name == "atomik":
            assert set(extras["all"]) == {f"{each}=={atomik.__version__}" for each in set(DISTRIBUTIONS) - {name}}


def test_atomik_brings_no_integration():
    """What `pip install atomik` brings is pluggy, and click for the command; each integration brings its host."""
    dependencies = tomllib.loads(DISTRIBUTIONS["atomik"].read_text())["project"]["dependencies"]

    assert {each.partition(">")[0] for each in dependencies} <= {"pluggy", "click"}


@functools.cache
def imports_of(module):
    """Give the modules that a module imports, wherever in it, but not for type checkers only."""
    tree = ast.parse(module.read_text())
    found = set()
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(id(each) for below in node.body for each in ast.walk(below))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found.update(
                {f"{base}.{alias.name}".replace("..", ".") if not node.module else base for alias in node.names}
            )
    return found


CORE = {module.stem: module for module in (ROOT / "atomik_core").glob("*.py") if module.stem != "__init__"}

#: The floors of the design, top first; the modules that it does not name only may not make a circle. `_probe` is one
#: higher than there: it proves what it says on staged files.
FLOORS = [
    {"_group", "_copy"},
    {"_file", "_folder", "_path"},
    {"_publication"},
    {"_probe"},
    {"_staging", "_leftovers", "_snapshot"},
    {"_rename", "_sync", "_metadata", "_remove"},
    {"_syscalls"},
]


def below(name):
    """Give the modules of the core that a module of the core imports itself."""
    return {each.removeprefix(".") for each in imports_of(CORE[name]) if each.startswith(".")} & set(CORE)


def all_below(name, seen):
    """Give the modules of the core that a module imports, in as many steps as it takes."""
    for each in below(name) - seen:
        seen.add(each)
        all_below(each, seen)
    return seen


@pytest.mark.parametrize("name", sorted(CORE))
def test_no_circle(name):
    """No module of the core imports itself, in however many steps."""
    assert name not in all_below(name, set())


def test_no_import_upward():
    """No module imports one of a floor above its own, in however many steps."""
    for number, floor in enumerate(FLOORS):
        above = set().union(*FLOORS[:number])
        for name in floor & set(CORE):
            assert not all_below(name, set()) & above, name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_size_and_docstring(module):
    """No module has more than 300 lines, and each says in its docstring what its idea is."""
    text = module.read_text()

    assert text.count("\n") <= 300
    assert ast.get_docstring(ast.parse(text))


def test_who_imports_whom():
    """The core imports no integration, no face and no private names of others; an integration imports public names only."""
    for module in MODULES:
        outside = {each for each in imports_of(module) if not each.startswith(".")}
        ours = {each for each in outside if "atomik" in each}
        if module.is_relative_to(ROOT / "atomik_core"):
            assert not ours - {"atomik_core"}, module
            assert {each.partition(".")[0] for each in outside} <= sys.stdlib_module_names | {"pluggy"}, module
        else:
            assert not any("._" in each for each in ours if each.startswith("atomik")), module


@pytest.mark.parametrize("package", [package.name for package in PACKAGES])
def test_typed(package):
    """Each package tells type checkers that it is typed."""
    [path] = [each for each in PACKAGES if each.name == package]

    assert (path / "py.typed").exists()


#: What may not be paid for by who only imports: all that is not there already when an interpreter has started.
EXPENSIVE = {
    "argparse",
    "asyncio",
    "click",
    "contextlib",
    "ctypes",
    "dataclasses",
    "functools",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "pluggy",
    "random",
    "re",
    "shutil",
    "subprocess",
    "tempfile",
    "typing",
}


@pytest.mark.system
@pytest.mark.parametrize("package", ["atomik", "atomik_core"])
def test_import_is_cheap(package):
    """`import atomik` imports nothing but itself."""
    source = f"import sys; sys.path[:0] = {sys.path!r}; before = set(sys.modules); import {package}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == {package}
    assert not set(done.stdout.split()) & EXPENSIVE


@pytest.mark.system
def test_first_use_is_no_more_than_it_needs():
    """The first use of a name imports what that name needs, and not the plugins' machinery nor the command's."""
    source = (
        f"import sys; sys.path[:0] = {sys.path!r}; import atomik; atomik.file, atomik.errors; "
        "print(*{'pluggy', 'importlib.metadata', 'tempfile', 'shutil', 'click', 'asyncio', 'subprocess'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
