"""What `run()` makes beside its outputs is published with them, as it would be there without Atomik."""

# ruff: noqa: D102 - the methods that Luigi calls are known

from __future__ import annotations

import os
from pathlib import Path

import luigi
import pytest

from luigi_atomik import AtomicLocalTarget, AtomicOutputs
from support.watch import litter


class BrokenWorkError(Exception):
    """What a task's own code raises."""


class Shapes(AtomicOutputs, luigi.Task):
    """Makes a file that has others beside it, whose names it derives."""

    base = luigi.Parameter()
    fail = luigi.BoolParameter(default=False)

    def output(self):
        return AtomicLocalTarget(f"{self.base}/models/m.shp")

    def run(self):
        stem = self.output().path.removesuffix(".shp")
        for extension in (".shp", ".dbf", ".log"):
            Path(stem + extension).write_text(extension)
        os.mkdir(stem + "_files")
        Path(f"{stem}_files/a").write_text("a")
        if self.fail:
            raise BrokenWorkError


def found(folder: Path) -> dict[str, str]:
    """All files, and what is in them."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


MADE = {"m.dbf": ".dbf", "m.log": ".log", "m.shp": ".shp", "m_files/a": "a"}


def test_sidecars_are_published_with_the_outputs(tmp_path):
    """Files and folders beside the staged output land beside the output."""
    Shapes(str(tmp_path)).run()

    assert MADE == found(tmp_path / "models")
    assert [] == litter(tmp_path)


def test_sidecars_replace_what_a_plain_run_would_have_replaced(tmp_path):
    """Old ones are replaced, in a folder one by one; strangers stay."""
    (tmp_path / "models/m_files").mkdir(parents=True)
    for name in ("m.dbf", "m_files/a", "m_files/stranger", "other.dbf"):
        (tmp_path / "models" / name).write_text("old")
    Shapes(str(tmp_path)).run()

    assert {**MADE, "m_files/stranger": "old", "other.dbf": "old"} == found(tmp_path / "models")


def test_sidecars_of_a_run_that_fails_are_gone(tmp_path):
    """After an exception nothing is there, neither the output nor what was beside it."""
    with pytest.raises(BrokenWorkError):
        Shapes(str(tmp_path), fail=True).run()

    assert ({}, []) == (found(tmp_path), litter(tmp_path))


def test_sidecars_at_a_temporary_path_are_published(tmp_path):
    """`samtools index` and its kin: the index has the name that it has for the output."""
    with AtomicLocalTarget(tmp_path / "x.bam").temporary_path() as path:
        Path(path).write_text("bam")
        Path(path + ".bai").write_text("index")
        assert [] == [name for name in os.listdir(tmp_path) if not name.startswith(".")]

    assert {"x.bam": "bam", "x.bam.bai": "index"} == found(tmp_path)


def test_sidecars_at_a_temporary_path_that_fails_are_gone(tmp_path):
    """An exception discards all of it."""
    with pytest.raises(BrokenWorkError), AtomicLocalTarget(tmp_path / "x.bam").temporary_path() as path:
        Path(path + ".bai").write_text("index")
        raise BrokenWorkError

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
def test_a_symbolic_link_is_an_output(tmp_path, absolute):
    """A pass-through, or "latest": a link that was made is published as one, by both ways, and leads where it did."""
    (tmp_path / "big.csv").write_text("big")
    leads_to = str(tmp_path / "big.csv") if absolute else "big.csv"

    class Link(AtomicOutputs, luigi.Task):
        def output(self):
            return AtomicLocalTarget(tmp_path / "latest")

        def run(self):
            os.symlink(leads_to, self.output().path)

    luigi.task_register.Register.clear_instance_cache()
    Link().run()
    with AtomicLocalTarget(tmp_path / "other").temporary_path() as path:
        os.symlink(leads_to, path)

    for name in ("latest", "other"):
        assert leads_to == os.readlink(tmp_path / name)
        assert "big" == (tmp_path / name).read_text()
