"""Draw what Atomik does, beside what `open` does, as an SVG.

    python docs/picture.py

The drawing is kept in the repository, so that nobody needs this to read the documentation; a test sees that it is in step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

DRAWING: Final = Path(__file__).parent / "_static" / "mechanism.svg"

WIDTH: Final = 760
HEIGHT: Final = 300

LEFT: Final = 140
BEGIN: Final = 250
KILL: Final = 400
END: Final = 570
RIGHT: Final = 740

STYLE: Final = """
text { font: 15px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.who { font-weight: 600; }
.small { font-size: 13px; fill: #59636e; }
.in { fill: #fff; font-weight: 600; text-anchor: middle; }
.at { text-anchor: middle; }
.old { fill: #6e7781; }
.new { fill: #1a7f37; }
.half { fill: #cf222e; }
.staged { fill: none; stroke: #1a7f37; stroke-width: 2; stroke-dasharray: 6 4; }
.moment { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 2 4; }
.arrow { fill: none; stroke: #1a7f37; stroke-width: 2.5; }
.tip { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .in { fill: #fff; }
  .moment { stroke: #9198a1; }
}
"""

DESCRIPTION: Final = (
    "With open(), readers see a half-written file from the first write to the last, and a kill leaves it there. "
    "With Atomik the work waits out of sight, readers see the old version until one rename publishes the new one, "
    "and a kill before that leaves the old version."
)


def bar(kind: str, start: int, end: int, top: int, text: str) -> str:
    """Draw what a name leads to from START to END."""
    return (
        f'<rect class="{kind}" x="{start}" y="{top}" width="{end - start}" height="34"/>'
        f'<text class="in" x="{(start + end) // 2}" y="{top + 22}">{text}</text>'
    )


def words(kind: str, left: int, top: int, text: str) -> str:
    """Write TEXT with its baseline at TOP."""
    return f'<text class="{kind}" x="{left}" y="{top}">{text}</text>'


def moment(at: int, text: str) -> str:
    """Draw a moment as a line through all that happens, and say which it is."""
    return f'<line class="moment" x1="{at}" y1="34" x2="{at}" y2="{HEIGHT - 22}"/>{words("small at", at, 24, text)}'


def drawing() -> str:
    """Return the SVG."""
    plain, staged, public = 60, 142, 216
    parts = [
        moment(BEGIN, "the first write"),
        moment(KILL, "a kill"),
        moment(END, "the end of the block"),
        words("who", 12, plain + 22, "open()"),
        bar("old", LEFT, BEGIN, plain, "old"),
        bar("half", BEGIN, END, plain, "half-written"),
        bar("new", END, RIGHT, plain, "new"),
        words("small", KILL + 8, plain + 52, "half a file stays"),
        words("who", 12, staged + 14, "Atomik"),
        words("small", 12, staged + 32, "out of sight"),
        f'<rect class="staged" x="{BEGIN}" y="{staged}" width="{END - BEGIN}" height="34"/>',
        words("at", (BEGIN + KILL) // 2, staged + 22, "written"),
        words("at", (KILL + END) // 2, staged + 22, "and synced"),
        f'<path class="arrow" d="M {END} {staged + 34} V {public - 11}"/>',
        f'<path class="tip" d="M {END - 7} {public - 12} h 14 l -7 11 z"/>',
        words("small", END + 14, staged + 58, "one rename"),
        words("small", 12, public + 22, "what readers see"),
        bar("old", LEFT, END, public, "old"),
        bar("new", END, RIGHT, public, "new"),
        words("small", KILL + 8, public + 52, "the old version stays"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">'
        f'<title id="t">Half-written, or all at once</title><desc id="d">{DESCRIPTION}</desc>'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    DRAWING.write_text(drawing())
