"""The drawings are what their scripts draw today, and the tables keep what they promise."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def script(path: Path):
    """Import a script by its path."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def picture():
    """The script that draws the mechanism."""
    return script(DOCS / "picture.py")


@pytest.fixture(scope="module")
def plots():
    """The script that draws what publishing costs."""
    return script(ROOT / "benchmarks" / "plots.py")


def test_the_picture_is_in_step(picture):
    """It is what `python docs/picture.py` draws today."""
    assert picture.DRAWING.read_text() == picture.drawing()


def test_the_plot_is_in_step_with_the_table(plots):
    """It shows the ratios that the page says; `python benchmarks/plots.py` puts it in step."""
    page = plots.PAGE.read_text()

    assert len(plots.ratios(page)) == page.count(" times | ") > 0
    assert plots.DRAWING.read_text() == plots.drawing(page)
    assert plots.drawing(re.sub(r"(times \|) [\d.]+ \|", r"\1 1.95 |", page, count=1)) != plots.drawing(page)


@pytest.mark.parametrize("drawing", sorted((DOCS / "_static").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_stays_inside_its_frame(drawing):
    """Every line and bar is in view, and it says in words what it shows, for who cannot see it."""
    root = ET.parse(drawing).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    svg = "{http://www.w3.org/2000/svg}"

    assert root.findtext(f"{svg}title")
    assert len(root.findtext(f"{svg}desc") or "") > 50
    for each in root.iter():
        right = float(each.get("x") or each.get("x2") or 0) + float(each.get("width") or 0) * (each.tag != f"{svg}svg")
        lower = float(each.get("y") or each.get("y2") or 0) + float(each.get("height") or 0) * (each.tag != f"{svg}svg")
        assert 0 <= right <= width, ET.tostring(each)
        assert 0 <= lower <= height, ET.tostring(each)


def test_what_was_seen_is_what_is_promised():
    """With "full" and "normal" there is a whole version in every line of the table, and with "full" the new one at the end."""
    page = (DOCS / "explanation" / "what-survives.md").read_text()
    lines = re.findall(r"^\| (ext4|xfs|btrfs|tmpfs|overlayfs) \| (.*) \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE)

    assert {filesystem for filesystem, *_ in lines} == {"ext4", "xfs", "btrfs", "tmpfs", "overlayfs"}
    for filesystem, event, full, normal, off in lines:
        assert "**" not in full + normal, (filesystem, event)
        assert "**" not in off or "power cut" in event, (filesystem, event)
        if "has ended" in event:
            assert re.fullmatch(r"new \(\d+\)", full), (filesystem, event)
    assert re.search(r"^Seen on \d{4}-\d\d-\d\d, with Linux [\d.]+, in [\d,]+ tries\.$", page, re.MULTILINE)
