"""What would be uploaded: every archive built, installed from the built files, and used as the README says."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

import atomik
from support.environments import ROOT, Environment, builder, environment
from support.needs import need_tool

pytestmark = [pytest.mark.system, pytest.mark.slow]

PROJECTS = {
    "atomik": ROOT,
    "luigi-atomik": ROOT / "integrations" / "luigi",
    "pytest-atomik": ROOT / "integrations" / "pytest",
    "snakemake-atomik": ROOT / "integrations" / "snakemake",
}
README = (ROOT / "README.md").read_text()


def build(kind: str, project: Path, out: Path) -> Path:
    """Build the archive of this KIND ("sdist" or "wheel") of a project."""
    command = [builder().python, "-m", "hatchling", "build", "-t", kind, "-d", out]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = out.iterdir()
    return made


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The source archive of each project, built of this checkout."""
    return {name: build("sdist", project, tmp_path_factory.mktemp(name)) for name, project in PROJECTS.items()}


@pytest.fixture(scope="module")
def unpacked(sources, tmp_path_factory):
    """The folder that is in each source archive."""
    folders = {}
    for name, archive in sources.items():
        with tarfile.open(archive) as file:
            file.extractall(folder := tmp_path_factory.mktemp(name), filter="data")
        [folders[name]] = folder.iterdir()
    return folders


@pytest.fixture(scope="module")
def built(unpacked, tmp_path_factory):
    """The wheel of each project, built from its source archive, outside of this checkout."""
    return {name: build("wheel", folder, tmp_path_factory.mktemp(name)) for name, folder in unpacked.items()}


@pytest.fixture(scope="module")
def installed(built) -> Environment:
    """A fresh environment with the four wheels in it."""
    return environment(*built.values())


def metadata(wheel: Path) -> Message:
    """What an index shows of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_of_the_sources_is_the_wheel_of_the_checkout(name, built, tmp_path):
    """The same files with the same content: nothing that a wheel needs is missing in the source archive."""
    [theirs, ours] = [zipfile.ZipFile(wheel) for wheel in (built[name], build("wheel", PROJECTS[name], tmp_path))]
    with theirs, ours:
        assert {each: theirs.read(each) for each in theirs.namelist() if not each.endswith("RECORD")} == {
            each: ours.read(each) for each in ours.namelist() if not each.endswith("RECORD")
        }


def test_the_source_archive_is_the_whole_project(unpacked):
    """Who has only that can run the tests and the benchmarks, and build the documentation."""
    there = {str(path.relative_to(unpacked["atomik"])) for path in unpacked["atomik"].rglob("*") if path.is_file()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:
        kept = {path for path in tracked.stdout.splitlines() if not path.startswith(".")}
        assert {path for path in kept - there if (ROOT / path).exists()} == set()

    assert {"benchmarks/core.py", "docs/index.md", "SECURITY.md", "LICENSE", "tox.ini"} <= there


@pytest.mark.parametrize("name", PROJECTS)
def test_an_index_shows_what_it_should(name, built):
    """The name, one version, the licence, and a page on which no link leads nowhere."""
    shown = metadata(built[name])
    page = shown.get_payload()

    assert (shown["Name"], shown["Version"], shown["License-Expression"]) == (name, atomik.__version__, "MIT")
    assert shown["Keywords"]
    assert shown["Description-Content-Type"] == "text/markdown"
    assert page.startswith(f"# {'Atomik' if name == 'atomik' else name}\n")
    assert [link for link in re.findall(r"\]\(([^)]*)\)", page) if not link.startswith(("https://", "#"))] == []
    assert all(url.partition(", ")[2].startswith("https://") for url in shown.get_all("Project-URL", []))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_has_the_licence(name, built):
    """With the acknowledgement, where it is due, and only there."""
    with zipfile.ZipFile(built[name]) as archive:
        [text] = [archive.read(each).decode() for each in archive.namelist() if each.endswith("licenses/LICENSE")]

    assert "Copyright (c) 2026 The Atomik developers" in text
    assert ("Copyright (c) 2023 Halbow and the atomik contributors" in text) == (name == "atomik")


def test_the_four_go_together(installed):
    """Nothing is missing, nothing is at odds, and the integrations are found."""
    installed.pip("check")
    done = installed.run("-m", "atomik", "plugins")

    assert done.returncode == 0, done.stderr
    assert all(each in done.stdout for each in ("luigi", "pytest", "snakemake"))


def test_the_examples_of_the_readme_run_there(installed, tmp_path):
    """Python's and the shell's, in the order in which they stand, in an empty directory."""
    need_tool("tar", "sort")
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    python = "\n".join(source for language, source in blocks if language == "python")
    shell = "".join(source for language, source in blocks if language == "sh" and source.startswith("atomik "))

    done = installed.run("-c", python, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{installed.python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")

    assert {entry.name for entry in tmp_path.iterdir()} == {"dataset", "report.csv", "dataset.tar.gz", "dataset.backup"}
    assert (tmp_path / "dataset.backup" / "train.txt").read_text() == "many\n"


def test_the_integrations_of_the_readme_are_there(installed, tmp_path):
    """What it imports can be imported, and the fixture is known to pytest."""
    for source in re.findall(r"^\+?(from (?:snakemake|luigi)_atomik import .*)$", README, re.MULTILINE):
        done = installed.run("-c", source)
        assert done.returncode == 0, done.stderr
    (tmp_path / "test_it.py").write_text("def test_it(atomic_tmp):\n    assert atomic_tmp.published == []\n")
    done = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path)

    assert done.returncode == 0, done.stdout


def test_the_two_commands_are_where_they_are_looked_for():
    """In the README and in CONTRIBUTING, letter by letter the same."""
    commands = [
        "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox run -e demo\n",
        ".venv/bin/tox run\n",
    ]
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text()):
        assert all(command in page for command in commands)


def test_man_is_given_its_page(built):
    """The wheel brings the man page to where `man` looks for it, beside the command."""
    with zipfile.ZipFile(built["atomik"]) as archive:
        assert any(name.endswith(".data/data/share/man/man1/atomik.1") for name in archive.namelist())


def test_the_documented_calls_of_the_earlier_atomik_run_unchanged(installed, tmp_path):
    """What its description shows, under the same names, with the same outcome."""
    program = """
from pathlib import Path
import atomik
with atomik.file("./result.json", mode=atomik.Mode.TEXT, overwrite=False, tmp_dir=None) as f:
    print("stream", file=f)
with atomik.folder("./result_folder", overwrite=False, tmp_dir=".") as dir:
    with open(Path(dir, "result_1.json"), "w") as f:
        print("one", file=f)
    with open(Path(dir, "result_2.json"), "w") as f:
        print("two", file=f)
try:
    with atomik.file("./result.json", atomik.Mode.BYTES) as f:
        f.write(b"other")
except atomik.errors.FileAlreadyExistsError as error:
    assert isinstance(error, atomik.errors.AtomikError)
else:
    raise AssertionError("overwritten")
with atomik.folder("./result_folder", overwrite=True) as dir:
    pass
assert list(Path("result_folder").iterdir()) == []
assert issubclass(atomik.errors.InvalidCrossDeviceError, atomik.errors.AtomikError)
"""
    done = installed.run("-c", program, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
