"""What is killed and failed: each way to publish, what stands there before, and how to read what came of it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Run once in the process that workloads are forked from, so that none of them imports or looks for plugins.
PREPARE = """
import atomik
for overwrite in (False, True):
    with atomik.file("file", overwrite=overwrite) as stream: stream.write("prepared")
    with atomik.folder("folder", overwrite=overwrite) as folder: (folder / "a").write_text("prepared")
    with atomik.path("path", overwrite=overwrite) as path: path.write_text("prepared")
for name in ("file", "folder"):
    atomik.copy(name, "copy-of-" + name)
    atomik.remove("copy-of-" + name)
atomik.clean(".")
with atomik.group() as group:
    with group.path("member") as path: path.write_text("prepared")
    with group.path("file", overwrite=True) as path: path.write_text("prepared")
for name in ("staged", "link"):
    with atomik.stage([name, "sub/"]) as stage:
        stage[0].symlink_to("file") if name == "link" else stage[0].write_text("prepared")
        stage[1].mkdir()
        (stage[0].parent / "extra").write_text("prepared")
    atomik.symlink(name, "link", overwrite=True)
try:
    with atomik.file("file"): pass
except atomik.FileAlreadyExistsError:
    pass
"""

#: Makes the files of a folder, with few calls.
_FILL = """
os.mkdir(handle / "sub")
for name in NAMES:
    with open(handle / name, "wb", 0) as file: file.write(b"new")
"""

#: Longer than a tick of the kernel's clock: a version that is older is not asked for its handle, so that each run makes the same
#: calls.
_TICK = 0.006

#: What stands beside the destination, and must stay there whatever happens: one of them looks nearly like a leftover.
BYSTANDERS = ("bystander", ".atomik-mine")

SMALL = ("one", "sub/two")
_BIG = (*SMALL, *(str(number) for number in range(9)))


@dataclass(frozen=True)
class Scenario:
    """One publication at `target`.

    Attributes:
        call: ``"file"``, ``"folder"``, ``"path"``, ``"stage"`` (of one output) or ``"symlink"``.
        is_folder: whether a folder is published.
        overwrite: whether an old version stands there, and is replaced.
        tmp_dir: where it is staged: None, ``"same"`` or ``"other"`` filesystem.
        sync: how durable.
        big: a folder of more than a handful of files, which is synced by syncfs.
    """

    call: str
    is_folder: bool
    overwrite: bool
    tmp_dir: str | None = None
    sync: str = "full"
    big: bool = False

    def __str__(self) -> str:
        """Name it for pytest."""
        kind = f"{self.call}-{'folder' if self.is_folder else 'file'}" if self.call in _BOTH else self.call
        words = [kind, "over" if self.overwrite else "new", self.sync]
        return "-".join([*words, *(["big"] if self.big else []), *([f"tmp-{self.tmp_dir}"] if self.tmp_dir else [])])

    @property
    def source(self) -> str:
        """The workload: Python source to be run in a folder that was laid out."""
        if self.call == "symlink":
            call = f"atomik.symlink('new', 'target', overwrite={self.overwrite}, sync={self.sync!r})"
            return f"import atomik\n{call}\nsay('published')\n"
        tmp_dir = "'tmp'" if self.tmp_dir else None
        call = f"atomik.{self.call}('target', overwrite={self.overwrite}, sync={self.sync!r}, tmp_dir={tmp_dir})"
        if self.call == "file":
            body = "handle.write('new')"
        elif not self.is_folder:
            body = "handle.write_text('new')"
        else:
            making = "os.mkdir(handle)" if self.call in _BOTH else ""
            body = (making + _FILL.replace("NAMES", repr(self._names))).strip().replace("\n", "\n    ")
        if self.call == "stage":
            call, body = call.replace("'target'", "['target']"), f"handle = handle[0]\n    {body}"
        return f"import os\nimport atomik\nwith {call} as handle:\n    {body}\nsay('published')\n"

    @property
    def _names(self) -> tuple[str, ...]:
        if not self.is_folder:
            return ()
        return _BIG if self.big else SMALL

    def lay(self, folder: Path, elsewhere: Path) -> None:
        """Prepare FOLDER for the workload; ELSEWHERE is an empty folder on another filesystem."""
        for name in BYSTANDERS:
            (folder / name).mkdir()
            (folder / name / "kept").write_text("kept")
        if self.tmp_dir == "same":
            (folder / "tmp").mkdir()
        elif self.tmp_dir == "other":
            (folder / "tmp").symlink_to(elsewhere)
        if self.overwrite and self.call == "symlink":
            (folder / "target").symlink_to("old")
        elif self.overwrite:
            make(folder / "target", "old", self._names)
            if self.call == "file":
                time.sleep(_TICK)

    def publish(self, folder: Path) -> None:
        """Publish as the workload does, in this process, whatever stands there."""
        import atomik

        if self.call == "symlink":
            atomik.symlink("next", folder / "target", overwrite=True, sync="off")
            return
        tmp_dir = folder / "tmp" if self.tmp_dir else None
        destination = [folder / "target"] if self.call == "stage" else folder / "target"
        with getattr(atomik, self.call)(destination, overwrite=True, sync="off", tmp_dir=tmp_dir) as handle:
            if self.call == "stage":
                make(handle[0], "next", self._names)
            elif self.call == "file":
                handle.write("next")
            elif self.call == "folder":
                (handle / "sub").mkdir()
                for name in self._names:
                    (handle / name).write_text("next")
            else:
                make(handle, "next", self._names)

    @property
    def before(self) -> str | None:
        """What the destination says before."""
        return "old" if self.overwrite else None

    def read(self, path: Path) -> str | None:
        """What the version at PATH says, None if there is none; it has to be whole."""
        if self.call == "symlink":
            return os.readlink(path) if os.path.lexists(path) else None
        return read(path, self._names)

    def read_kept(self, path: Path) -> str | None:
        """What the finished work that is kept at PATH says: a stage's is kept with all that was made, by its names."""
        return self.read(path / "target" if self.call == "stage" and (path / "target").exists() else path)

    def others(self, folder: Path) -> list[str]:
        """What is in FOLDER and in its `tmp` besides what was laid there and the destination."""
        for name in BYSTANDERS:
            assert (folder / name / "kept").read_text() == "kept"
        laid = {"target", "tmp", *BYSTANDERS}
        return [name for place in self.places(folder) for name in os.listdir(place) if name not in laid]

    def staged(self, folder: Path) -> list[Path]:
        """Every leftover and all kept work in FOLDER and its `tmp`."""
        return [path for place in self.places(folder) for path in place.iterdir() if _is_atomiks(path.name)]

    def places(self, folder: Path) -> list[Path]:
        """Where a publication in FOLDER may leave something."""
        return [folder, folder / "tmp"] if self.tmp_dir else [folder]


def make(path: Path, text: str, names: tuple[str, ...]) -> None:
    """Make a version that says TEXT: a folder of files with these NAMES, or a file if there are none."""
    if not names:
        path.write_text(text)
        return
    (path / "sub").mkdir(parents=True)
    for name in names:
        (path / name).write_text(text)


def read(path: Path, names: tuple[str, ...]) -> str | None:
    """What the version at PATH says, None if there is none; it has to be whole."""
    if not os.path.lexists(path):
        return None
    if not names:
        return path.read_text()
    assert sorted(str(each.relative_to(path)) for each in path.rglob("*")) == sorted((*names, "sub"))
    texts = {(path / name).read_text() for name in names}
    assert len(texts) == 1, f"versions are mixed: {texts}"
    return texts.pop()


def _is_atomiks(name: str) -> bool:
    return name.startswith((".atomik-", "atomik-kept-")) and name not in BYSTANDERS


#: The calls that publish a file or a folder.
_BOTH = {"path", "stage"}
SHAPES = (("file", False), ("folder", True), ("path", False), ("path", True))


def scenarios() -> Iterator[Scenario]:
    """Every way to publish: new and overwriting, each kind, with and without `tmp_dir`, synced and not."""
    for (call, is_folder), overwrite in itertools.product(SHAPES, (False, True)):
        yield Scenario(call, is_folder, overwrite)
        yield Scenario(call, is_folder, overwrite, sync="off")
    yield Scenario("folder", is_folder=True, overwrite=True, big=True)
    yield from staged_elsewhere()
    for overwrite in (False, True):
        yield Scenario("symlink", is_folder=False, overwrite=overwrite)
        yield Scenario("stage", is_folder=False, overwrite=overwrite)
        yield Scenario("stage", is_folder=True, overwrite=overwrite)
    yield Scenario("symlink", is_folder=False, overwrite=True, sync="off")
    yield Scenario("stage", is_folder=True, overwrite=True, sync="off")
    yield Scenario("stage", is_folder=False, overwrite=True, tmp_dir="other")


def staged_elsewhere() -> Iterator[Scenario]:
    """Each kind staged in a `tmp_dir`, on this filesystem and on another one; new and overwriting in turns."""
    for (call, is_folder), overwrite in zip(SHAPES, (True, True, False, False), strict=True):
        yield Scenario(call, is_folder, overwrite, tmp_dir="same")
        yield Scenario(call, is_folder, overwrite, tmp_dir="other")
