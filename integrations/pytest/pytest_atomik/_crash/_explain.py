"""What a test that fails on a crash is told: what the directory holds, which version that is of, and what usually helps."""

from __future__ import annotations

import hashlib
import posix
import stat
from typing import Final, TypeAlias

from ._crash import Crash
from ._log import Inode
from ._recorder import END
from ._states import Layer

#: What is at a path, to be told, and to be compared; None if nothing is.
_Entry: TypeAlias = "tuple[str, bytes] | None"

_NEITHER: Final = "neither the old version nor the new one"

#: How many entries are told.
_MANY: Final = 5

_REPAIR_FILE: Final = (
    "usual repair:  with atomik.file(path, overwrite=True) as f: f.write(...)",
    "          or:  write a temporary file beside it, os.fsync it, os.replace it, os.fsync the directory",
)
_REPAIR_FOLDER: Final = (
    "usual repair:  with atomik.folder(path, overwrite=True) as d: ...   (exchanges the two in one instant)",
    "          or:  publish under a new name, and switch a symbolic link to it by os.replace",
)
_REPAIR_DATABASE: Final = ("usual repair:  one transaction around all that belongs together: begin, ..., commit",)
_REPAIR_TOGETHER: Final = (
    "usual repair:  publish both at once: with atomik.folder(path, overwrite=True) as d: ...",
    "          or:  with atomik.group() as g: ...; or let a reader tell which of them are of one version",
)


class Versions:
    """The old and the new version of what a function changes."""

    def __init__(self, top: str, root: Inode, old: Layer, new: Layer) -> None:
        """Compare what there was before a function with what there is after it."""
        self.top = top
        before, after = _paths(root, old), _paths(root, new)
        self._paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        self.known = before.keys() | after.keys()
        self.old: dict[str, _Entry] = {}
        self.new: dict[str, _Entry] = {}

    def look_at_new(self) -> None:
        """Look at the directory while it holds the new version."""
        self.new = {path: entry_at(f"{self.top}/{path}") for path in self._paths}

    def look_at_old(self) -> None:
        """Look at the directory while it holds the old version."""
        self.old = {path: entry_at(f"{self.top}/{path}") for path in self._paths}

    def now(self) -> dict[str, _Entry]:
        """Return what is there right now of what differs, and of what is in neither version."""
        found = {path: entry_at(f"{self.top}/{path}") for path in self._paths}
        folders = [""]
        for folder in folders:
            for name in _listed(f"{self.top}/{folder}"):
                path = f"{folder}/{name}" if folder else name
                if path not in self.known:
                    found[path] = entry_at(f"{self.top}/{path}")
                if stat.S_ISDIR(posix.lstat(f"{self.top}/{path}").st_mode):
                    folders.append(path)
        return found


def explain(crash: Crash, number: int, versions: Versions) -> str:
    """Return the lines."""
    now = versions.now()
    told: list[tuple[str, str, str]] = []
    verdicts: set[str] = set()
    kinds: set[str] = set()
    for path in sorted(now):
        old, new, here = versions.old.get(path), versions.new.get(path), now[path]
        verdict = _verdict(old, new, here, is_known=path in versions.known)
        if verdict:
            verdicts.add(verdict)
            if (verdict == "missing" and "/" in path) or "a folder" in {old and old[0], new and new[0]}:
                kinds.add("folder")
            if here is not None and _is_database(f"{versions.top}/{path}"):
                kinds.add("database")
            sizes = f"before: {_told(old)}; after: {_told(new)}"
            told.append((path, _told(here), f"{verdict}   ({sizes})" if path in versions.known else verdict))
    moment = "at the end of the function" if crash.step == END else f"before {crash.step}"
    event = "killed" if crash.kind == "kill" else f"power cut ({crash.lost} not synced are lost)"
    lines = [f"{event} {moment}   (state {number})"]
    if crash.line:
        lines.append(f"  in {crash.line}")
    # What is of neither version first.
    told.sort(key=lambda entry: not entry[2].startswith(("neither", "missing")))
    width, size = (max((len(entry[part]) for entry in told[:_MANY]), default=0) for part in (0, 1))
    lines += [f"  {path:<{width}}  {what:<{size}}  {verdict}" for path, what, verdict in told[:_MANY]]
    if len(told) > _MANY:
        lines.append(f"  and {len(told) - _MANY} more")
    return "\n".join([*lines, *_advice(crash, verdicts, kinds)])


def _verdict(old: _Entry, new: _Entry, here: _Entry, *, is_known: bool) -> str:
    """Say which version an entry is of; nothing if it is the same in both."""
    if not is_known:
        return "in neither version"
    if old == here == new:
        return ""
    if here == old:
        return "the old version" if here is not None else "not there yet"
    if here == new:
        return "the new version" if here is not None else "gone already"
    if here is None:
        return "missing"
    return _NEITHER


def _advice(crash: Crash, verdicts: set[str], kinds: set[str]) -> tuple[str, ...]:
    """Say what usually is the reason, and what usually helps."""
    is_old = bool(verdicts & {"the old version", "not there yet"})
    is_new = bool(verdicts & {"the new version", "gone already"})
    if _NEITHER in verdicts and "database" in kinds:
        return "why: the database holds a part of the changes: they are of more than one transaction", *_REPAIR_DATABASE
    if _NEITHER in verdicts:
        if crash.kind == "kill":
            return "why: it is written in place, so that for a while it is neither; a kill may come then", *_REPAIR_FILE
        return (
            "why: its content was not synced (os.fsync) before the power was cut; its name may survive alone",
            *_REPAIR_FILE,
        )
    if "missing" in verdicts:
        repair = _REPAIR_FOLDER if "folder" in kinds else _REPAIR_FILE
        return "why: the old one is taken away before the new one is in its place", *repair
    if is_old and is_new:
        return "why: each is whole, but they are of two versions: they change one after the other", *_REPAIR_TOGETHER
    if is_old and crash.step == END:
        return (
            "why: what the function did was not made durable: the file or its directory was not synced",
            *_REPAIR_FILE,
        )
    return ()


def _is_database(path: str) -> bool:
    """Return whether a file is one of SQLite's."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return False
    try:
        return posix.pread(fd, 16, 0) == b"SQLite format 3\0"
    except OSError:
        return False
    finally:
        posix.close(fd)


def entry_at(path: str) -> _Entry:
    """Return what is at a path: how it is told, and what distinguishes it from another."""
    try:
        status = posix.lstat(path)
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode):
        target = posix.readlink(path)
        return f"-> {target}", target.encode(errors="surrogateescape")
    if stat.S_ISDIR(status.st_mode):
        return "a folder", b""
    if not stat.S_ISREG(status.st_mode):
        return "special", b"%d" % stat.S_IFMT(status.st_mode)
    digest = hashlib.blake2b(b"%d" % stat.S_IMODE(status.st_mode))
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return f"{status.st_size} bytes", digest.digest()
    try:
        while chunk := posix.read(fd, 1 << 20):
            digest.update(chunk)
    finally:
        posix.close(fd)
    return f"{status.st_size} bytes", digest.digest()


def _told(entry: _Entry) -> str:
    return "not there" if entry is None else entry[0]


def _paths(root: Inode, layer: Layer) -> dict[str, tuple[Inode, int, int]]:
    """Return every path of a layer, and what is there."""
    below: dict[Inode, list[tuple[str, Inode]]] = {}
    for (folder, name), inode in layer.names.items():
        below.setdefault(folder, []).append((name, inode))
    found = {}
    folders = [("", root)]
    for path, folder in folders:
        for name, inode in below.get(folder, ()):
            here = f"{path}{name}"
            found[here] = inode, layer.versions[inode], layer.attributes[inode].mode
            if inode.is_folder:
                folders.append((f"{here}/", inode))
    return found


def _listed(folder: str) -> list[str]:
    try:
        return posix.listdir(folder)
    except OSError:
        return []
