"""Draw the ratios of docs/explanation/cost.md as an SVG.

    python benchmarks/plots.py

The table in that page is what is drawn, so the two cannot disagree; a test sees that the drawing is in step.
"""

from __future__ import annotations

import math
import re
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "explanation" / "cost.md"
DRAWING: Final = DOCS / "_static" / "cost.svg"

WIDTH: Final = 760
ROW: Final = 54
TOP: Final = 34
LEFT: Final = 40
RIGHT: Final = 720

#: The ends of the scale, which is logarithmic: half the time is as far from 1 as twice the time.
LEAST: Final = 0.08
MOST: Final = 4.0

STYLE: Final = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.small { font-size: 11px; fill: #59636e; }
.axis { stroke: #59636e; stroke-width: 1; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.met { fill: #1a7f37; }
.missed { fill: #bf8700; }
.goal { stroke: #cf222e; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .axis { stroke: #9198a1; }
  .grid { stroke: #3d444d; }
}
"""


class Ratio(NamedTuple):
    """One line of the table: how many times the time of something else Atomik takes."""

    published: str
    where: str
    against: str
    goal: float
    measured: float


def ratios(page: str) -> list[Ratio]:
    """Read the table."""
    line = re.compile(r"^\| (.+) \| (.+) \| (.+) \| ([\d.]+) times \| ([\d.]+) \|$", re.MULTILINE)
    read: list[Ratio] = []
    for published, where, against, goal, measured in line.findall(page):
        same = read[-1].against if against == "the same" else against.replace("`", "")
        read.append(Ratio(published.replace("`", ""), where, same, float(goal), float(measured)))
    return read


def place(ratio: float) -> int:
    """Return where a ratio is on the scale."""
    share = math.log(ratio / LEAST) / math.log(MOST / LEAST)
    return round(LEFT + share * (RIGHT - LEFT))


def drawing(page: str) -> str:
    """Return the SVG."""
    rows = ratios(page)
    bottom = TOP + ROW * len(rows)
    parts = []
    for tick in (0.1, 0.2, 0.5, 1, 2, 3):
        kind = "axis" if tick == 1 else "grid"
        parts.append(f'<line class="{kind}" x1="{place(tick)}" y1="{TOP - 6}" x2="{place(tick)}" y2="{bottom}"/>')
        text = "the same time" if tick == 1 else f"{tick:g} times"
        parts.append(f'<text class="small" text-anchor="middle" x="{place(tick)}" y="{TOP - 12}">{text}</text>')
    for number, row in enumerate(rows):
        top = TOP + ROW * number
        left, right = sorted((place(1), place(row.measured)))
        kind = "met" if row.measured <= row.goal else "missed"
        goal, title = place(row.goal), f"{escape(row.published)} on {escape(row.where)}"
        parts += [
            f'<text x="{LEFT}" y="{top + 14}">{title}<tspan class="small"> against {escape(row.against)}</tspan></text>',
            f'<rect class="{kind}" x="{left}" y="{top + 22}" width="{max(right - left, 3)}" height="18"/>',
            f'<line class="goal" x1="{goal}" y1="{top + 19}" x2="{goal}" y2="{top + 43}"/>',
        ]
    words = "; ".join(f"{row.published} on {row.where}, against {row.against}: {row.measured:g} times" for row in rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 26}" role="img" aria-labelledby="t d">'
        f'<title id="t">What publishing costs</title><desc id="d">{escape(words)}</desc><style>{STYLE}</style>\n'
        + "\n".join(parts)
        + f'\n<text class="small" x="{LEFT}" y="{bottom + 18}">green: the goal (red line) is met; yellow: it is missed</text>'
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    DRAWING.write_text(drawing(PAGE.read_text()))
