"""What the distributions offer, and what holds their source together: names, one version, who imports whom, cheap imports."""

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
        assert "version" in project["project"]["dynamic"]
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
    """Give the modules that a module imports, wherever in it, for type checkers only, too; those of packages here by file."""
    package = next(each for each in PACKAGES if module.is_relative_to(each))
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            folder = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                inner = folder / alias.name
                named = next(
                    (each for each in (inner.with_suffix(".py"), inner / "__init__.py") if each.exists()), None
                )
                itself = folder.with_suffix(".py") if folder.with_suffix(".py").exists() else folder / "__init__.py"
                found.add(named or itself)
    # The package itself only names what its modules define; it imports them when they are asked for.
    return found - {package / "__init__.py"}


def all_imports_of(module, seen):
    """Give the modules of its package that a module imports, in as many steps as it takes."""
    for each in imports_of(module) - seen:
        if isinstance(each, Path):
            seen.add(each)
            all_imports_of(each, seen)
    return seen


INNER = [module for module in MODULES if module.name != "__init__.py"]
each_module = pytest.mark.parametrize("module", INNER, ids=lambda module: str(module.relative_to(ROOT)))

#: The folders of the core, left to right: each imports from itself and from those to its left. What is flat is to the right of
#: all. `errors` imports nothing, so that all may raise what is in it.
LEFT_TO_RIGHT = ["_os", "_plugins", "_publish", "."]


def place_of(module):
    """Give the place of a module of the core from the left."""
    return LEFT_TO_RIGHT.index(str(module.parent.relative_to(ROOT / "atomik_core")))


@each_module
def test_no_cycle(module):
    """No module imports itself, in however many steps, those for type checkers included."""
    assert module not in all_imports_of(module, set())


@pytest.mark.parametrize("module", [module for module in INNER if module.is_relative_to(ROOT / "atomik_core")], ids=str)
def test_imports_go_to_the_left(module):
    """A module of the core imports from its own folder and from those to the left of it, and errors, which import nothing."""
    ours = {each for each in imports_of(module) if isinstance(each, Path)} - {ROOT / "atomik_core" / "errors.py"}

    assert all(place_of(each) <= place_of(module) for each in ours), ours
    assert module.name != "errors.py" or not ours


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_docstring(module):
    """Each module says in its docstring what its idea is."""
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_who_imports_whom():
    """The core imports no integration, no face and no private names of others; an integration imports public names only."""
    for module in MODULES:
        outside = {each for each in imports_of(module) if isinstance(each, str)}
        ours = {each for each in outside if "atomik" in each}
        if module.is_relative_to(ROOT / "atomik_core"):
            assert not ours - {"atomik_core"}, module
            assert {each.partition(".")[0] for each in outside} <= sys.stdlib_module_names | {"pluggy"}, module
        else:
            assert not any("._" in each for each in ours if each.startswith("atomik")), module


#: What may be seen of what a user holds, beside what every Python object has.
HELD = {
    "publication": {"destination", "kind", "state", "staged", "open", "publish", "discard"},
    "group": {"file", "folder", "path", "symlink", "state", "publications", "publish", "discard"},
    "stage": {
        "staged",
        "destination",
        "old",
        "copy_old",
        "make_folder",
        "outcomes",
        "resolved",
        "is_written",
        "extras",
        "find",
        "report",
        "state",
        "open",
        "publish",
        "keep",
        "discard",
    },
}


def test_dir_shows_documented_names_only(tmp_path):
    """dir() of a publication, a group and its members, a stage and an open file shows what is documented, nothing private."""
    group = atomik.group()
    held = {
        "publication": [atomik.file(tmp_path / "a"), atomik.folder(tmp_path / "b"), group.path(tmp_path / "c")],
        "group": [group],
        "stage": [atomik.stage([tmp_path / "d"])],
    }
    for name, things in held.items():
        for thing in things:
            assert {each for each in dir(thing) if not each.endswith("__")} == HELD[name]
    for mode in ("w", "wb", "w+", "wb+"):
        with atomik.file(tmp_path / mode, mode) as ours, open(tmp_path / "plain", mode) as plain:
            assert set(dir(ours)) == set(dir(plain))
    with atomik.file(tmp_path / "raw", "wb", buffering=0) as ours, open(tmp_path / "plain", "wb", buffering=0) as plain:
        assert set(dir(ours)) <= set(dir(plain)) | {"__dict__", "__module__", "__weakref__"}


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
