"""Symbolic links that a job made at staged paths, and that have to point to the same thing from their destination."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ._staging import Staged


def repair(outputs: Iterable[Staged]) -> None:
    """Rewrite the links among and in these outputs that point into the staging, or that only hold from there.

    A link whose text is right at its destination stays as it was made. ``ln -s --relative`` counts from the staged path,
    and an absolute link to another output names its staged path: these are rewritten.
    """
    everything = list(outputs)
    for staged in everything:
        for link, destination in _links(staged):
            text = os.readlink(link)
            repaired = _repaired(text, link, destination, everything)
            if repaired != text:
                os.unlink(link)
                os.symlink(repaired, link)


def seen_at_destination(staged: Staged, outputs: Iterable[Staged]) -> str:
    """Return where to look for what an output will be when all are published: through a link, from its destination."""
    path, destination = staged.path, staged.destination
    everything = list(outputs)
    for _ in range(40):  # as many as the kernel follows
        if not os.path.islink(path):
            break
        path = destination = os.path.normpath(os.path.join(os.path.dirname(destination), os.readlink(path)))
        for other in everything:
            if destination == other.destination or destination.startswith(other.destination + "/"):
                path = other.path + destination[len(other.destination) :]
    return path


def _links(staged: Staged) -> Iterator[tuple[str, str]]:
    """Yield each link of an output, and the path that it will have."""
    if os.path.islink(staged.path):
        yield staged.path, staged.destination
        return
    for folder, folders, files in os.walk(staged.path):
        for name in (*folders, *files):
            link = os.path.join(folder, name)
            if os.path.islink(link):
                yield link, staged.destination + link[len(staged.path) :]


def _repaired(text: str, link: str, destination: str, outputs: Iterable[Staged]) -> str:
    seen = os.path.normpath(os.path.join(os.path.dirname(link), text))
    folder = os.path.dirname(destination)
    for staged in outputs:
        if seen == staged.path or seen.startswith(staged.path + "/"):
            final = staged.destination + seen[len(staged.path) :]
            return final if os.path.isabs(text) else os.path.relpath(final, folder)
    if os.path.isabs(text) or os.path.lexists(os.path.join(folder, text)) or not os.path.lexists(seen):
        return text
    return os.path.relpath(seen, folder)
