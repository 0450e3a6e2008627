"""What the installed distributions declare in the entry-point group `atomik`, found without importing any of it.

importlib.metadata does this, too, but importing it takes longer than everything else that a first publication does;
so the folders of sys.path are read here, and it is asked about the rest: archives, and finders that are not Python's.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution
    from typing import Final, TypeAlias

    #: One line of the group, ``name = module`` or ``name = module:attribute``: name, value, the distribution that it is in and
    #: that one's version.
    Declaration: TypeAlias = tuple[str, str, str, str]

GROUP: Final = "atomik"
_INFO: Final = (".dist-info", ".egg-info")
#: A folder on sys.path of such a name is a distribution itself, described in there (easy_install, zc.buildout).
_EGG, _EGG_INFO = ".egg", "EGG-INFO"


def normalized(name: str) -> str:
    """Return a distribution's name as names are compared (packaging.python.org, "Name normalization")."""
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def declared() -> list[Declaration]:
    """Return what is declared, in the order of sys.path; of a distribution that is there twice, only the first counts."""
    found: list[Declaration] = []
    seen: set[str] = set()
    for place in dict.fromkeys(sys.path):
        try:
            there = os.listdir(place or ".")
        except NotADirectoryError:
            found += _asked(_in_archive(place), seen)
        except OSError:
            continue  # what cannot be read cannot be imported from, either
        else:
            found += _in_folder(place or ".", _infos(place, there), seen)
    for finder in sys.meta_path:
        find = getattr(finder, "find_distributions", None)
        if find is not None and getattr(finder, "__name__", "") != "PathFinder":  # whose places are looked at above
            found += _asked(find(), seen)
    return found


def _infos(place: str, names: list[str]) -> list[str]:
    """Return the folders that describe a distribution, sorted: of very many names there are mostly few."""
    is_egg = place.endswith(_EGG)
    return sorted(name for name in names if name.endswith(_INFO) or (is_egg and name == _EGG_INFO))


def _in_folder(folder: str, infos: list[str], seen: set[str]) -> Iterator[Declaration]:
    for name in infos:
        # "my_plugin-1.0.dist-info": the name ends at the first "-"; a part of it cannot hold one (PEP 427). An unpacked
        # egg is called so itself.
        title = os.path.basename(folder) if name == _EGG_INFO else name
        project = normalized(title.rpartition(".")[0].partition("-")[0])
        if project in seen:
            continue
        seen.add(project)
        text = _read(os.path.join(folder, name, "entry_points.txt"))
        if f"[{GROUP}]" not in text:
            continue
        own_name, version = _identity(folder, name, title)
        for line in _lines(text):
            yield (*line, own_name, version)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # most distributions have no such file


def _identity(folder: str, name: str, title: str) -> tuple[str, str]:
    """Return a distribution's name and version as it states them, else as it is called by its `title`."""
    project, _, version = title.rpartition(".")[0].partition("-")
    about = {"name": project, "version": version}
    kind = "METADATA" if name.endswith(".dist-info") else "PKG-INFO"
    for line in _read(os.path.join(folder, name, kind)).splitlines():
        if not line:
            break  # the headers end here
        key, _, value = line.partition(":")
        if key.lower() in about:
            about[key.lower()] = value.strip()
    return about["name"], about["version"]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of each line of our section; extras in brackets, which nobody uses here, are dropped."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()


def _in_archive(path: str) -> Iterator[Distribution]:
    from importlib.metadata import distributions

    return iter(distributions(path=[path]))


def _asked(distributions: Iterator[Distribution], seen: set[str]) -> Iterator[Declaration]:
    for distribution in distributions:
        try:
            name, version = distribution.metadata["Name"], distribution.version
            lines = list(_lines(distribution.read_text("entry_points.txt") or ""))
        except Exception:  # noqa: BLE001, S112 - nobody's publication fails for what somebody has put into an archive
            continue
        if name and normalized(name) not in seen:
            seen.add(normalized(name))
            for line in lines:
                yield (*line, name, version)
