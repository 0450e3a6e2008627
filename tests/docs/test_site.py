"""The documentation as its readers have it: the HTML that Sphinx makes, not the source that it is made from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import atomik
from support.needs import require

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: What Sphinx adds by itself, and lists in its own way.
INDEXES = {"genindex.html", "py-modindex.html", "search.html"}

#: What is markup in the source and has no business in what is read.
MARKUP = re.compile(r"```|:::|``|\]\(|\*\*|\|---|\{[a-z-]+\}`|:[a-z]+:`|^\s*:[a-z_-]+:\s|^#+ ", re.MULTILINE)

#: Elements that have no end.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "path"}


class Page(HTMLParser):
    """One page: its prose, its links, what can be linked to, and where its tables are."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.prose: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str]] = []
        self.anchors: set[str] = set()
        self.loose_tables = 0
        self._open: list[tuple[str, str]] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what can be linked to, what is linked to, and what is inside what."""
        attributes = {name: value or "" for name, value in attrs}
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)
        if tag == "table" and not any("table-wrapper" in classes for _, classes in self._open):
            self.loose_tables += 1
        if tag not in VOID:
            self._open.append((tag, attributes.get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        """Leave the element, and those in it that were not closed."""
        while any(each == tag for each, _ in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        """Keep what is prose."""
        if not {tag for tag, _ in self._open} & {"pre", "code", "script", "style", "svg", "title"}:
            self.prose.append(data)

    def linked(self) -> Iterator[tuple[Path, str]]:
        """Each file of the site that is linked to, with the anchor in it."""
        for link in self.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, anchor = urldefrag(link)
            yield (Path(os.path.normpath(self.file.parent / unquote(path))) if path else self.file), unquote(anchor)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the HTML; a warning while it is made is an error."""
    require(find_spec("sphinx") is not None, "needs Sphinx (tox run -e docs)")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-E", "-q", "-b", "html", DOCS, folder]
    done = subprocess.run(build, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Every page that has been written, by its path from the root of the site."""
    return {
        str(file.relative_to(site)): Page(file)
        for file in sorted(site.rglob("*.html"))
        if file.name not in INDEXES and not file.is_relative_to(site / "_static")
    }


@pytest.fixture(scope="module")
def inventory(site):
    """What is documented in Python's domain: its kind by its name."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        found = InventoryFile.load(file, "", lambda base, uri: uri)
    return {name: kind for kind, names in found.items() if kind.startswith("py:") for name in names}


def test_every_source_is_a_page(pages):
    """No page of docs/ is left out."""
    assert {page.removesuffix(".html") for page in pages} == {
        str(source.relative_to(DOCS).with_suffix("")) for source in DOCS.rglob("*.md")
    }


def test_no_markup_is_read(pages):
    """No fence, no star, no role of the source is left in the prose."""
    left = {name: MARKUP.findall("".join(page.prose)) for name, page in pages.items()}

    assert {name: found for name, found in left.items() if found} == {}


def test_links_within_the_site_lead_somewhere(pages, site):
    """Each leads to a file that is there, and to an anchor that is in it."""
    every = {site / name: page.anchors for name, page in pages.items()}
    broken = [
        (name, str(file), anchor)
        for name, page in pages.items()
        for file, anchor in page.linked()
        if not file.exists() or (anchor and file in every and anchor not in every[file])
    ]

    assert broken == []


def test_every_page_can_be_reached(pages, site):
    """From the first one, by following links."""
    reached, new = set(), {"index.html"}
    while new:
        reached |= new
        new = {
            str(file.relative_to(site)) for name in new for file, _ in pages[name].linked() if file.is_relative_to(site)
        }
        new = (new & set(pages)) - reached

    assert reached == set(pages)


def test_every_page_is_in_the_sidebar_once(pages, site):
    """So that who reads one sees all the others."""
    source = (DOCS / "index.md").read_text()
    listed = [
        line.strip()
        for toctree in re.findall(r"```\{toctree\}\n(.*?)```", source, re.DOTALL)
        for line in toctree.splitlines()
        if line.strip() and not line.startswith(":")
    ]

    assert sorted([*listed, "index"]) == sorted(name.removesuffix(".html") for name in pages)


def test_every_public_name_is_documented_once(inventory):
    """Where it is imported from: the errors in atomik.errors, all else in atomik."""
    errors = {name for name in atomik.__all__ if name.endswith("Error")}
    expected = {f"atomik.errors.{name}" for name in errors} | {
        f"atomik.{name}" for name in set(atomik.__all__) - errors - {"Sync", "__version__", "hookimpl"}
    }
    found = {name for name in inventory if name.rpartition(".")[0] in {"atomik", "atomik.errors"}}

    assert found - {"atomik.errors"} == expected


def test_nothing_private_is_documented(inventory):
    """No private name, and no method that is only the core's, such as Group.admit was."""
    assert [name for name in inventory if any(part.startswith("_") for part in name.split("."))] == []
    assert {name.rpartition(".")[2] for name in inventory if name.startswith("atomik.Group.")} >= {"file", "publish"}
    assert not {"atomik.Group.admit", "atomik.Group.dropped"} & set(inventory)


def test_wide_tables_scroll_by_themselves(pages):
    """On a phone the page stays as wide as the screen: each table is in a box of its own that scrolls."""
    assert {name: page.loose_tables for name, page in pages.items() if page.loose_tables} == {}


def test_code_can_be_copied_and_scrolls(site):
    """A button copies it, without the prompt; a line that is too long for a phone scrolls in its block."""
    page = (site / "tutorial.html").read_text()
    theme = (site / "_static" / "styles" / "furo.css").read_text()

    assert "copybutton.js" in page
    assert re.search(r"div\[class\*=\" ?highlight-?\"\][^{}]*\{[^}]*|pre\{[^}]*overflow:auto", theme)
    assert r"\$ " in (site / "_static" / "copybutton.js").read_text()


def test_pictures_say_what_they_show(pages, site):
    """Each is there, and has a text for who cannot see it."""
    pictures = [(name, image) for name, page in pages.items() for image in page.images]

    assert "index.html" in {name for name, _ in pictures}
    for name, image in pictures:
        assert (site / name).parent.joinpath(image["src"]).resolve().exists(), image
        assert image.get("alt", "") not in {"", image["src"]}, image


def test_every_environment_variable_is_on_one_page():
    """What the distributions read is explained, and what is explained is read."""
    packages = [ROOT / "atomik", ROOT / "atomik_core", *(ROOT / "integrations").iterdir()]
    sources = [source.read_text() for package in packages for source in package.rglob("*.py")]
    read = {found for source in sources for found in re.findall(r"\b_?ATOMIK_[A-Z]+(?:_[A-Z]+)*\b", source)}
    page = (DOCS / "reference" / "environment.md").read_text()

    explained = set(re.findall(r"^`(_?ATOMIK_[A-Z_]+[A-Z])`", page, re.MULTILINE))

    assert read - {"ATOMIK_OUTPUT"} == explained - {"_ATOMIK_COMPLETE"}  # the one has a number, the other is click's
    assert "`ATOMIK_OUTPUT_1`" in page


def test_nobody_is_told_to_install_another_package():
    """`pip install` of that name gets the 0.0.x that is on the package index: no page and no message says it."""
    packages = [ROOT / "atomik", ROOT / "atomik_core", ROOT / "examples", ROOT / "integrations"]
    texts = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    texts += [file for package in packages for end in ("*.py", "*.md") for file in package.rglob(end)]
    said = re.compile(r"pip install [^`\n]*(?<![\w/-])(?:(?:luigi|pytest|snakemake)-)?atomik\b(?!-)")

    assert said.search("pip install -U atomik[luigi]")
    assert [str(text.relative_to(ROOT)) for text in texts if said.search(text.read_text())] == []
