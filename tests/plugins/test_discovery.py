"""Plugins are found by what is installed, where it is installed, and nothing is imported to find them."""

from __future__ import annotations

import importlib.metadata
import sys
import time
import zipfile

import pytest

from atomik_core._plugins import discovery

#: Where the standard library is, which importlib.metadata needs more of when it is asked.
LIBRARY = [path for path in sys.path if path.startswith(sys.base_prefix) and "-packages" not in path]


def install(folder, name, text, *, version="1.0", kind="dist-info"):
    """Put the metadata of a distribution with these entry points into a folder."""
    info = folder / f"{name.replace('-', '_')}-{version}.{kind}"
    info.mkdir(parents=True)
    about = "METADATA" if kind == "dist-info" else "PKG-INFO"
    (info / about).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not a header\n")
    (info / "entry_points.txt").write_text(text)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder that is all that Python looks for distributions in, beside its own library."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *LIBRARY])
    return tmp_path


def found():
    """What is declared, as plain tuples."""
    return [tuple(declaration) for declaration in discovery.declared()]


@pytest.mark.parametrize("kind", ["dist-info", "egg-info"])
def test_a_declared_plugin_is_found_with_its_distribution_and_version(place, kind):
    """Name and value are the entry point's, distribution and version those that the distribution states."""
    install(place, "My.Plugin", "[atomik]\nmine = my_plugin.hooks\n", version="2.5rc1", kind=kind)

    assert found() == [("mine", "my_plugin.hooks", "My.Plugin", "2.5rc1")]


def test_what_else_stands_in_entry_points_is_passed_over(place):
    """Comments, empty lines, spaces, extras and the other groups do not matter."""
    install(
        place,
        "p",
        "[console_scripts]\nx = y:z\n\n[atomik]\n# a comment\n; another\n\n  a=b \nc = d : e [extra]\n[atomik.other]\nno = no\n",
    )

    assert found() == [("a", "b", "p", "1.0"), ("c", "d : e", "p", "1.0")]


def test_the_same_is_found_as_importlib_metadata_finds():
    """On the path of this test run, with all that is installed here, the two agree, in the order too."""
    expected = [(point.name, point.value) for point in importlib.metadata.entry_points(group="atomik")]

    assert sorted((name, value) for name, value, *_ in found()) == sorted(expected)
    assert expected, "the integrations are installed where the tests run"


def test_of_a_distribution_that_is_installed_twice_the_first_counts(place, tmp_path_factory, monkeypatch):
    """An older copy further down the path declares nothing, not even what the newer one has given up."""
    behind = tmp_path_factory.mktemp("behind")
    monkeypatch.setattr(sys, "path", [str(place), str(behind), *LIBRARY])
    install(place, "one-two", "[atomik]\na = new\n", version="2.0")
    install(behind, "One_Two", "[atomik]\na = old\nb = old\n")
    install(place, "three", "[console_scripts]\nx = y:z\n")
    install(behind, "three", "[atomik]\nc = given_up\n", version="0.1")

    assert found() == [("a", "new", "one-two", "2.0")]


def test_a_distribution_in_an_unpacked_egg_is_found(place, monkeypatch):
    """As importlib.metadata finds it; a folder of that name elsewhere is nothing."""
    egg = place / "My_Veto-1.0-py3.11.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: my-veto\nVersion: 1.0\n")
    (egg / "EGG-INFO" / "entry_points.txt").write_text("[atomik]\nveto = veto_mod\n")
    (place / "EGG-INFO").mkdir()
    (place / "EGG-INFO" / "entry_points.txt").write_text("[atomik]\nno = no\n")
    assert found() == []

    monkeypatch.setattr(sys, "path", [str(egg), str(place), *LIBRARY])

    assert found() == [("veto", "veto_mod", "my-veto", "1.0")]
    points = importlib.metadata.entry_points(group="atomik")
    assert [(point.name, point.value) for point in points] == [("veto", "veto_mod")]


def test_a_folder_of_very_many_files_is_found_through_at_once(place):
    """A working directory with data is on sys.path under `python -m` and `python -c`."""
    install(place, "p", "[atomik]\na = b\n")
    for number in range(100_000):
        (place / f"f{number}").touch()
    taken = []
    for _ in range(3):
        start = time.process_time()
        assert found() == [("a", "b", "p", "1.0")]
        taken.append(time.process_time() - start)
    assert min(taken) < 0.15


@pytest.mark.leaks_descriptors  # importlib.metadata keeps the archive open in a cache
def test_a_distribution_in_an_archive_is_found(place, monkeypatch):
    """A zip file on sys.path is asked as importlib.metadata asks it."""
    install(place / "unpacked", "zipped", "[atomik]\nz = zipped\n")
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        for file in (place / "unpacked").rglob("*"):
            archive.write(file, file.relative_to(place / "unpacked"))
    monkeypatch.setattr(sys, "path", [str(place / "a.zip"), *LIBRARY])

    assert found() == [("z", "zipped", "zipped", "1.0")]


def test_a_distribution_that_only_another_finder_knows_is_found(place, monkeypatch):
    """Who packs a program with a finder of his own (as PyOxidizer does) has his plugins found."""
    install(place / "hidden", "packed", "[atomik]\np = packed\n")

    class Finder:
        def find_spec(self, *_):
            return None

        def find_distributions(self, context=None):
            where = importlib.metadata.DistributionFinder.Context(path=[str(place / "hidden")])
            return importlib.metadata.MetadataPathFinder.find_distributions(where)

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])

    assert found() == [("p", "packed", "packed", "1.0")]


def test_what_cannot_be_read_is_passed_over(place, monkeypatch):
    """Missing folders, files that are no archives and broken metadata stop nobody from publishing."""
    (place / "no-archive").write_text("not a zip file")
    monkeypatch.setattr(
        sys, "path", [str(place / "missing"), str(place / "no-archive"), str(place), str(place), *LIBRARY]
    )
    (place / "empty-1.0.dist-info").mkdir()
    (place / "file.egg-info").write_text("Name: file\n")
    binary = place / "binary-1.0.dist-info"
    binary.mkdir()
    (binary / "entry_points.txt").write_bytes(b"\xff\xfe[atomik]\n\xff = \xff\nno equals sign\n")

    assert [(name, value) for name, value, *_ in found()] == []


@pytest.mark.leaks_descriptors  # importlib.metadata keeps the archive open in a cache
def test_a_distribution_in_an_archive_that_cannot_be_read_is_passed_over(place, monkeypatch):
    """Whatever importlib.metadata raises for it."""
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        archive.writestr("bad-1.0.dist-info/METADATA", "Name: bad\nVersion: 1.0\n")
        archive.writestr("bad-1.0.dist-info/entry_points.txt", b"[atomik]\nbad = \xff\n")
        archive.writestr("good-1.0.dist-info/METADATA", "Name: good\nVersion: 1.0\n")
        archive.writestr("good-1.0.dist-info/entry_points.txt", b"[atomik]\ngood = good\n")
    monkeypatch.setattr(sys, "path", [str(place / "a.zip"), *LIBRARY])

    assert found() == [("good", "good", "good", "1.0")]


def test_without_metadata_the_name_of_the_folder_counts(place):
    """A distribution whose METADATA is missing is called as its folder is."""
    info = place / "bare-3.1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[atomik]\nbare = bare\n")

    assert found() == [("bare", "bare", "bare", "3.1")]
