"""Which destinations and backups the members of a group have: no two the same, and none inside another."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator


class Claims:
    """The paths that are taken, each with every symbolic link on the way resolved."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._above: Counter[str] = Counter()
        self._folders: dict[str, str] = {}

    def where(self, path: str, *, follow: bool) -> str:
        """Return where `path` leads: its folder resolved, and its last component, too, if `follow`. Opens nothing."""
        folder, name = os.path.split(os.path.join(os.getcwd(), path.rstrip("/")))
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        found = os.path.join(self._folders[folder], name)
        return os.path.realpath(found) if follow and os.path.islink(found) else found

    def take(self, path: str, given: str) -> None:
        """Claim `path`, which the caller called `given`.

        Raises:
            ValueError: it is taken, or lies inside one that is, or around it.
        """
        above = tuple(_above(path))
        if path in self._taken:
            raise twice(given)
        if self._above[path] > 0 or not self._taken.isdisjoint(above):
            msg = f"{given!r} and another member of the group lie one inside the other; make it part of that folder"
            raise ValueError(msg)
        self._taken.add(path)
        self._above.update(above)

    def free(self, path: str) -> None:
        """Give up a claim."""
        self._taken.remove(path)
        self._above.subtract(_above(path))


def twice(given: str) -> ValueError:
    """Return the error for a path that another member has."""
    return ValueError(f"{given!r} is the destination or the backup of another member of this group; each is taken once")


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path
