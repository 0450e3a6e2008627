"""A group as a workload for `support.traced`: what is laid before, what it does, and how to read what came of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import atomik
from support.outcome import Call
from support.watch import litter
from together.outputs import NAMES, OUTPUTS

#: Members of every shape, each with little in it: a call more is a run more. FILL is put in its place below.
_SOURCE = """
import atomik
def fill(path):
    (path / "sub").mkdir(parents=True)
    (path / "one").write_text("new")
    (path / "sub" / "two").write_text("new")
with atomik.group(sync=SYNC) as group:
    with group.file("file", overwrite=OVER, **backup("file")) as file: file.write("new")
    with group.folder("folder", overwrite=OVER, **backup("folder")) as folder: fill(folder)
    with group.path("path-file", overwrite=OVER, **backup("path-file")) as path: path.write_text("new")
    with group.path("path-folder", overwrite=OVER, **backup("path-folder")) as path: fill(path)
say("published")
"""


#: Calls that leave the disk as it was: a kill at one of them finds what a kill at the next change does.
_READING = {
    *("access", "close", "dup", "fcntl", "flock", "fstat", "fstatfs", "getcwd", "getdents64", "getxattr", "ioctl"),
    *("listxattr", "flistxattr", "lseek", "newfstatat", "pread64", "read", "readlink", "readlinkat", "statfs", "statx"),
}


def changes(call: Call) -> bool:
    """Say whether a call may change something on the disk, or make it durable."""
    return call.name not in _READING and (call.name != "openat" or "O_CREAT" in call.arguments)


@dataclass(frozen=True)
class Run:
    """A group of four, new or overwriting, with or without a backup of each."""

    overwrite: bool
    backup: bool = False
    sync: str = "full"

    def __str__(self) -> str:
        """Name it for pytest."""
        return "-".join(["over" if self.overwrite else "new", *(["backup"] if self.backup else []), self.sync])

    @property
    def source(self) -> str:
        """The workload."""
        keep = 'lambda name: {"backup": name + ".before"}' if self.backup else "lambda name: {}"
        return f"backup = {keep}\n{_SOURCE.replace('SYNC', repr(self.sync)).replace('OVER', repr(self.overwrite))}"

    @property
    def before(self) -> str | None:
        """What each destination says before."""
        return "old" if self.overwrite else None

    def lay(self, folder: Path) -> None:
        """Prepare FOLDER for the workload: old versions, and with `backup` older ones where they are to go."""
        for name, shape in OUTPUTS.items():
            if self.overwrite:
                shape.lay(folder / name, "old")
            if self.backup:
                shape.lay(folder / f"{name}.before", "older")

    def read(self, folder: Path) -> list[str | None]:
        """What each destination says; each has to be whole."""
        versions = [shape.read(folder / name) for name, shape in OUTPUTS.items()]
        assert set(versions) <= {"new", self.before}, versions
        return versions

    def others(self, folder: Path) -> list[str]:
        """What is there besides destinations and backups."""
        backups = [f"{name}.before" for name in NAMES] if self.backup else []
        return [name for name in os.listdir(folder) if name not in {*NAMES, *backups}]

    def olds(self, folder: Path) -> dict[str, set[str | None]]:
        """By output, what every version of it says that can be found under a name that no cleaner removes."""
        found: dict[str, set[str | None]] = {}
        kept = [path for path in litter(folder) if path.name.startswith("atomik-kept-") and path.parent == folder]
        for name, shape in OUTPUTS.items():
            places = [folder / name, folder / f"{name}.before"]
            alike = [path for path in kept if path.is_dir() == shape.is_folder]
            found[name] = {shape.read(path) for path in (*places, *alike) if not _is_wrapper(path)}
        return found

    def publish_again(self, folder: Path) -> None:
        """Publish as the workload does, in this process, whatever stands there."""
        with atomik.group(sync="off") as group:
            for name, shape in OUTPUTS.items():
                options = {"backup": folder / f"{name}.before"} if self.backup else {}
                publish = getattr(group, shape.call.__name__)
                with publish(folder / name, overwrite=True, **options) as handle:
                    shape.fill(handle, "next")
        assert {shape.read(folder / name) for name, shape in OUTPUTS.items()} == {"next"}


def _is_wrapper(path: Path) -> bool:
    return path.is_dir() and not (path / "one").exists()
