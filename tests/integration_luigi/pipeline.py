"""A pipeline for `luigi --module pipeline`: one task for each kind of output, which stop half-way if they are told to.

Each task writes half of its output and says so in the folder `signs`. If there is a file `signs/wait` it waits to be killed
then; else it writes the other half.
"""

# ruff: noqa: D102 - the methods that Luigi calls are known

from __future__ import annotations

import os
import time
from pathlib import Path

import luigi
from luigi.contrib.external_program import ExternalProgramTask
from luigi.format import Gzip

from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget, AtomicOutputs

HALF = "half of it\n" * 1000


class Job(luigi.Task):
    """A task whose output is in the folder `data` below `base`."""

    base = luigi.Parameter()

    def at(self, name: str) -> str:
        """A path in `data`."""
        return os.path.join(self.base, "data", name)

    def half_done(self) -> None:
        """Say that half of the work is done, and perhaps wait."""
        signs = Path(self.base, "signs")
        (signs / f"{self.task_family}.tmp").write_text(str(os.getpid()))
        (signs / f"{self.task_family}.tmp").rename(signs / self.task_family)
        while (signs / "wait").exists():
            time.sleep(0.05)


class Opened(Job):
    """Written by `open("w")`."""

    def output(self):
        return AtomicLocalTarget(self.at("opened"))

    def run(self):
        with self.output().open("w") as file:
            file.write(HALF)
            file.flush()
            self.half_done()
            file.write(HALF)


class Compressed(Job):
    """Written through a process."""

    def output(self):
        return AtomicLocalTarget(self.at("compressed"), Gzip)

    def run(self):
        with self.output().open("w") as file:
            file.write(HALF.encode())
            self.half_done()
            file.write(HALF.encode())


class Staged(Job):
    """Made at a path."""

    def output(self):
        return AtomicLocalTarget(self.at("staged"))

    def run(self):
        with self.output().temporary_path() as path:
            Path(path).write_text(HALF)
            self.half_done()
            Path(path).write_text(HALF * 2)


class Folder(Job):
    """Made as a folder."""

    def output(self):
        return AtomicLocalFolderTarget(self.at("folder"))

    def run(self):
        with self.output().folder() as folder:
            (folder / "first").write_text(HALF)
            self.half_done()
            (folder / "second").write_text(HALF)


class Several(AtomicOutputs, Job):
    """Two outputs at once."""

    def output(self):
        return [AtomicLocalTarget(self.at("several/first")), AtomicLocalTarget(self.at("several/second"))]

    def run(self):
        with self.output()[0].open("w") as file:
            file.write(f"{os.getpid()}\n")
        self.half_done()
        with self.output()[1].open("w") as file:
            file.write(f"{os.getpid()}\n")


class External(AtomicOutputs, ExternalProgramTask, Job):
    """Two outputs of a program that has a child of its own."""

    def output(self):
        return {name: AtomicLocalTarget(self.at(f"external-{name}")) for name in ("first", "second")}

    def program_args(self):
        script = """
            echo half > "$1"; echo $$ > "$3/External.tmp"; mv "$3/External.tmp" "$3/External"
            while [ -e "$3/wait" ]; do sleep 0.05; done
            echo half > "$2"
        """
        outputs = self.output()
        return ["sh", "-c", script, "sh", outputs["first"].path, outputs["second"].path, f"{self.base}/signs"]


class Late(Job):
    """What `Dynamic` finds out that it needs."""

    def output(self):
        return AtomicLocalTarget(self.at("late"))

    def run(self):
        with self.output().open("w") as file:
            file.write(HALF)


class Dynamic(AtomicOutputs, Job):
    """Finds out in the middle what it needs: Luigi drops it there and begins anew."""

    def output(self):
        return [AtomicLocalTarget(self.at("dynamic/first")), AtomicLocalFolderTarget(self.at("dynamic/folder"))]

    def run(self):
        Path(self.output()[0].path).write_text(HALF)
        late = yield Late(self.base)
        self.half_done()
        with self.output()[1].folder() as folder, late.open() as file:
            (folder / "late").write_text(file.read())


JOBS = (Opened, Compressed, Staged, Folder, Several, External, Dynamic)


class All(luigi.WrapperTask):
    """All of them, or those that are named."""

    base = luigi.Parameter()
    only = luigi.Parameter(default="")

    def requires(self):
        return [job(base=self.base) for job in JOBS if self.only in ("", job.__name__)]
