"""Which destinations and backups the members of a group have: no two the same, and none inside another."""

from __future__ import annotations

import os

from .._os import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .entry import Entry


class Claims:
    """The paths that are taken, each with every symbolic link on the way resolved."""

    __slots__ = ("_above", "_folders", "_of", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        #: How many of the paths lie in each folder.
        self._above: dict[str, int] = {}
        self._folders: dict[str, str] = {}
        self._of: dict[Entry, list[str]] = {}

    def claim(self, entry: Entry) -> None:
        """Claim the paths that are to be this entry's alone: its destination and its backup. Opens nothing.

        Raises:
            ValueError: one is taken, or lies inside one that is, or around it.
        """
        options = entry.options
        wanted = [(entry.destination.path, options.overwrite and options.follow_symlinks and entry.kind != "symlink")]
        if options.backup is not None:
            wanted.append((options.backup, False))
        taken: list[str] = []
        try:
            for given, follow in wanted:
                path = self._resolve(given, follow=follow)
                self._take(path, given)
                taken.append(path)
        except ValueError:
            for path in taken:
                self._free(path)
            raise
        self._of[entry] = taken

    def _resolve(self, path: str, *, follow: bool) -> str:
        """Return where `path` leads: its folder resolved, and its last component, too, if `follow`."""
        folder, name = os.path.split(path.rstrip("/"))
        if not folder.startswith("/"):
            folder = os.path.join(os.getcwd(), folder)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        found = os.path.join(self._folders[folder], name)
        return os.path.realpath(found) if follow and os.path.islink(found) else found

    def _take(self, path: str, given: str) -> None:
        above = tuple(paths.above(path))
        if path in self._taken or path in self._above or not self._taken.isdisjoint(above):
            self._free_discarded()
        if path in self._taken:
            raise claimed_twice(given)
        if path in self._above or not self._taken.isdisjoint(above):
            msg = f"{given!r} and another member of the group lie one inside the other; make it part of that folder"
            raise ValueError(msg)
        self._taken.add(path)
        for folder in above:
            self._above[folder] = self._above.get(folder, 0) + 1

    def _free_discarded(self) -> None:
        for entry in [each for each in self._of if each.state == "discarded"]:
            for path in self._of.pop(entry):
                self._free(path)

    def _free(self, path: str) -> None:
        self._taken.remove(path)
        for folder in paths.above(path):
            self._above[folder] -= 1
            if not self._above[folder]:
                del self._above[folder]


def claimed_twice(given: str) -> ValueError:
    """Return the error for a path that another member has."""
    return ValueError(f"{given!r} is the destination or the backup of another member of this group; each is taken once")
