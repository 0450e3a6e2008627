"""Outputs of which can be told whether they are whole, and a reader that looks at them all the time."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Self

#: A workflow whose jobs take about half a second each, in which an output is partial nearly all of the time.
JOBS = 4
LINES = 20
RULES = f"""
    from snakemake_atomik import atomic

    rule all:
        input: expand("out/{{n}}.txt", n=range({JOBS})), expand("out/{{n}}.parts", n=range({JOBS}))

    rule make:
        input: "version"
        output: atomic("out/{{n}}.txt"), atomic(directory("out/{{n}}.parts"))
        shell:
            'mkdir {{output[1]}}; for line in $(seq {LINES}); do echo "$(cat {{input}}) $line" >> {{output[0]}}; '
            "cat {{input}} > {{output[1]}}/$line; sleep 0.02; done"
"""


def look(out: Path) -> dict[str, str]:
    """Say of each output which version is there, whole; or "absent"; or "partial"."""
    seen = {}
    for number in range(JOBS):
        for name, read in ((f"{number}.txt", _text), (f"{number}.parts", _parts)):
            try:
                versions = read(out / name)
            except FileNotFoundError:
                seen[name] = "absent"
            else:
                whole = len(versions) == LINES and len(set(versions)) == 1
                seen[name] = versions[0] if whole else "partial"
    return seen


def _text(path: Path) -> list[str]:
    lines = [line.split() for line in path.read_text().splitlines()]
    return [line[0] for line in lines if len(line) == 2]


def _parts(path: Path) -> list[str]:
    # A directory that takes the place of this one meanwhile is read as a whole the next time.
    before = path.stat()
    versions = []
    for line in range(1, LINES + 1):
        try:
            versions.append((path / str(line)).read_text().strip() or "empty")
        except FileNotFoundError:
            versions.append("none")
    return versions if path.stat().st_ino == before.st_ino else _parts(path)


class Reader:
    """Looks at all outputs every millisecond while the block runs; `seen` counts what was there."""

    def __init__(self, out: Path) -> None:
        self.seen: Counter[str] = Counter()
        self._out = out
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._stop.wait(0.001):
            self.seen.update(look(self._out).values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
