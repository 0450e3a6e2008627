"""What the README and the documentation show, run as a reader would: each page from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"  # each needs a library of its own: test_recipes.py
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not page.is_relative_to(RECIPES)),
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def examples(page: Path) -> list[str]:
    """Give the page's Python, each block at the line on which it stands, for the traceback."""
    text = page.read_text()
    return ["\n" * text.count("\n", 0, block.start(1)) + block[1] for block in BLOCK.finditer(text)]


@pytest.mark.system
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if examples(page)]
)
def test_the_examples_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    """Every example runs as it is printed, in one empty directory, and what it asserts is true."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    for source in examples(page):
        exec(compile(source, page, "exec"), names)


def anchors(page: Path) -> set[str]:
    """The anchors that a host of repositories gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_the_links_of_a_page_in_the_checkout_lead_somewhere(page):
    """Each relative one leads to a file that is there, and to a heading that is in it."""
    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        assert (ROOT / path).is_file(), link
        assert not anchor or anchor in anchors(ROOT / path), link
