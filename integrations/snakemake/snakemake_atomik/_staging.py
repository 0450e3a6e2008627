"""Where the outputs of one job are made: a locked folder, in which each has the place that it has in the workflow."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import atomik

from . import _capabilities

#: How the names of links in a staging folder begin, to directories in which a killed job may have left something, too.
RECORD: Final = ".directory-"
#: Where in it that is mirrored which lies outside of the working directory, or bears a name that is in use there.
_OUTSIDE: Final = ".outside"
#: A name that nothing has: what a staging folder is locked for is never published.
_NEVER: Final = ".snakemake-atomik"

_DEFAULT_ACL: Final = "system.posix_acl_default"

#: What tells one version at a path from another: device, inode, time, size.
Version: TypeAlias = "tuple[int, int, int, int] | None"


@dataclass(slots=True)
class Staged:
    """One output on its way.

    Attributes:
        output: its path as the workflow names it.
        destination: the same, absolute.
        path: where the job makes it, absolute.
        shown: the same as the job is told, relative to the working directory if `output` is.
        tmp_dir: the directory from which it is published; None: from beside its destination.
        before: the version that was there when the job began.
        folder: it is declared to be a directory.
        nested: it lies in another output, a directory, and is published with that.
    """

    output: str
    destination: str
    path: str
    shown: str
    tmp_dir: str | None
    before: Version
    folder: bool | None
    nested: bool

    def has_changed(self) -> bool:
        """Say whether another version is at the destination than when the job began."""
        return version(self.destination) != self.before


class Staging:
    """The staging of one job, to be used in a ``with`` block, at the end of which all that is left in it is removed.

    Every output has the same relative path in it as in the working directory, so that what a rule derives from the name
    of an output (the directory, a prefix, a neighbour) is as it would be there.
    """

    def __init__(self, base: str, *, chosen: bool) -> None:
        """Make the staging folder.

        Args:
            base: the directory to make it in; made if it is missing.
            chosen: the user has asked for this one, even if it is on another filesystem than the outputs.
        """
        os.makedirs(base, exist_ok=True)
        self._base = base
        self._chosen = chosen
        self._workdir = os.getcwd()
        self._homes: list[atomik.Publication[Path]] = []
        #: The staging folders beside destinations, by the directory that they are in.
        self._beside: dict[str, str] = {}
        self._recorded: set[str] = set()
        #: Directories that we have made in it, and what was copied to it: no work of the job's.
        self._made: set[str] = set()
        self._copied: dict[str, set[tuple[str, Version]]] = {}
        self.outputs: dict[str, Staged] = {}
        #: What Atomik itself makes in a staging folder: a file to lock, on filesystems of a network.
        self._reserved: set[str] = {_OUTSIDE}
        self._inner = self._open(base)

    def add(self, output: str, *, folder: bool | None, absolute: bool) -> Staged:
        """Stage an output.

        Args:
            output: its path; directories are to be added before what lies in them.
            folder: it is declared to be a directory, or not; None if nobody has declared it.
            absolute: tell the job an absolute path in any case, since it runs in another directory.
        """
        destination = os.path.normpath(os.path.join(self._workdir, output))
        nested, path, tmp_dir = True, self._inside_another(destination), None
        if path is None:
            nested = False
            path, tmp_dir = self._place(destination)
        self._make(os.path.dirname(path))
        shown = path
        if not absolute and not os.path.isabs(output) and path.startswith(self._workdir + "/"):
            shown = os.path.relpath(path, self._workdir)
        staged = Staged(output, destination, path, shown, tmp_dir, version(destination), folder, nested)
        self.outputs[output] = staged
        return staged

    def copy_old(self, staged: Staged) -> None:
        """Give the job a copy of the old version, to change it."""
        atomik.copy(staged.destination, staged.path, sync="off")
        self._copied[staged.output] = _entries(staged.path)

    def make_folder(self, folder: str) -> None:
        """Make a directory that the job will find, as it would find it at its final path."""
        self._make(folder)

    def is_work(self, staged: Staged) -> bool:
        """Say whether the job has made or changed something at a staged path; what we put there is no work of its."""
        if not os.path.lexists(staged.path):
            return False
        if staged.output in self._copied:
            return _entries(staged.path) != self._copied[staged.output]
        return staged.path not in self._made or any(path not in self._made for path, _ in _entries(staged.path))

    def extras(self) -> list[Staged]:
        """Return what the job has made beside its outputs, each with the place that it would have there."""
        roots = [(self._inner, self._workdir), (os.path.join(self._inner, _OUTSIDE), "/")]
        roots += [(inner, directory) for directory, inner in self._beside.items()]
        return [extra for root, directory in roots for extra in self._extras(root, directory)]

    def _extras(self, folder: str, directory: str) -> Iterator[Staged]:
        """Yield what is in a staged folder, where what is ours has its place in `directory`."""
        outputs = {staged.path for staged in self.outputs.values()}
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(folder):
                destination = os.path.join(directory, entry.name)
                if entry.path in outputs or self._is_reserved_at(folder, entry.name):
                    continue
                if entry.path in self._made or (entry.is_dir(follow_symlinks=False) and os.path.isdir(destination)):
                    # As it would have been in a directory that was there.
                    yield from self._extras(entry.path, destination)
                elif not is_special(entry.path):
                    if not entry.is_symlink() and os.path.isfile(destination):
                        destination = os.path.realpath(destination)  # written through, as open() does
                    tmp_dir = self._inner if self._chosen and entry.path.startswith(f"{self._inner}/") else None
                    yield Staged(destination, destination, entry.path, entry.path, tmp_dir, None, None, nested=False)

    def _make(self, folder: str) -> None:
        if not os.path.isdir(folder):
            self._make(os.path.dirname(folder))
            os.mkdir(folder)
            self._made.add(folder)

    def keep(self) -> list[str]:
        """Move what was made to directories that nobody sweeps; return these."""
        kept = []
        for inner, above in [(self._inner, self._base), *((inner, above) for above, inner in self._beside.items())]:
            if self._holds_work(inner):
                place = os.path.join(above, f"atomik-kept-{os.urandom(4).hex()}")
                os.mkdir(place)
                for name in os.listdir(inner):
                    if name == _OUTSIDE or not self._is_reserved(name):
                        os.rename(os.path.join(inner, name), os.path.join(place, name))
                kept.append(place)
        return kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in sorted(self._made, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # empty if all went well, and cheaper to remove from here
        for home in self._homes:
            home.discard()

    def _open(self, directory: str) -> str:
        """Make a folder in `directory` that is locked, and removed at the end: of a publication that never comes."""
        home = atomik.path(os.path.join(directory, _NEVER), sync="off")
        self._homes.append(home)
        inner = os.fspath(home.open().parent)
        self._reserved.update(os.listdir(inner))
        return inner

    def _inside_another(self, destination: str) -> str | None:
        for other in self.outputs.values():
            if destination.startswith(other.destination + "/"):
                return other.path + destination[len(other.destination) :]
        return None

    def _place(self, destination: str) -> tuple[str, str | None]:
        """Return where to make the output, and the directory to publish it from, if that is another filesystem."""
        directory = os.path.dirname(destination)
        if directory not in self._recorded:
            os.makedirs(directory, exist_ok=True)
            self._record(directory)
        reachable = _capabilities.is_reachable(directory, self._inner)
        if self._chosen and not reachable:
            return self._mirrored(destination), self._inner
        if reachable and _inherits_the_same(self._inner, directory):
            return self._mirrored(destination), None
        if directory not in self._beside:
            self._beside[directory] = self._open(directory)
        return os.path.join(self._beside[directory], os.path.basename(destination)), None

    def _mirrored(self, destination: str) -> str:
        if destination.startswith(self._workdir + "/"):
            relative = destination[len(self._workdir) + 1 :]
            if not self._is_reserved(relative.partition("/")[0]):
                return os.path.join(self._inner, relative)
        return os.path.join(self._inner, _OUTSIDE, destination.lstrip("/"))

    def _is_reserved(self, name: str) -> bool:
        return name in self._reserved or name.startswith(RECORD)

    def _is_reserved_at(self, folder: str, name: str) -> bool:
        return folder in {self._inner, *self._beside.values()} and self._is_reserved(name)

    def _holds_work(self, inner: str) -> bool:
        """Say whether the job has made anything there: links that record directories, and a lock, are ours."""
        for folder, names, files in os.walk(inner):
            for name in (*names, *files):
                if not self._is_reserved_at(folder, name) and not _is_folder(os.path.join(folder, name)):
                    return True
        return False

    def _record(self, directory: str) -> None:
        """Note, before anything is made there, a directory in which a killed job may leave something.

        A link is whole or absent, after a power cut, too.
        """
        os.symlink(directory, os.path.join(self._inner, f"{RECORD}{len(self._recorded)}"))
        self._recorded.add(directory)


def _inherits_the_same(inner: str, directory: str) -> bool:
    """Say whether what is made in our folder has the group and the ACL that it would have in `directory`."""
    here, there = os.stat(inner), os.stat(directory)
    return _group(here) == _group(there) and _default_acl(inner) == _default_acl(directory)


def _entries(path: str) -> set[tuple[str, Version]]:
    """Return everything at a path and below it, in its version; of directories it counts only that they are there."""
    if not _is_folder(path):
        return {(path, version(path))}
    found: set[tuple[str, Version]] = {(path, None)}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            entry = os.path.join(folder, name)
            found.add((entry, None if _is_folder(entry) else version(entry)))
    return found


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def version(path: str) -> Version:
    """Return what tells the version at `path` (a link itself) from others; None if nothing is there."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _group(status: os.stat_result) -> int | None:
    return status.st_gid if status.st_mode & stat.S_ISGID else None


def _default_acl(directory: str) -> bytes:
    with contextlib.suppress(OSError):
        return os.getxattr(directory, _DEFAULT_ACL)
    return b""


def is_special(path: str) -> bool:
    """Say whether a device, FIFO or socket is at `path`, which is written to, never replaced."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
