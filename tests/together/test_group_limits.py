"""Large groups: descriptors and staging folders grow with the directories, not with the members."""

from __future__ import annotations

import os

import pytest

import atomik
from support.watch import descriptors, litter, no_leaks


@pytest.mark.system
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("call", ["file", "path"])
@pytest.mark.parametrize("staged", ["beside", "tmp_dir", "other filesystem"])
def test_more_members_than_descriptors(mounts, few_descriptors, call, overwrite, staged):
    """1,100 files are published with 256 descriptors, from one staging folder, wherever they are staged."""
    here = mounts("ext4")
    tmp_dir = {"beside": None, "tmp_dir": mounts("ext4"), "other filesystem": mounts("tmpfs")}[staged]
    if overwrite:
        for number in range(1100):
            (here / str(number)).write_text("old")
    before = len(descriptors())

    with no_leaks(), atomik.group() as group:
        for number in range(1100):
            with getattr(group, call)(here / str(number), overwrite=overwrite, tmp_dir=tmp_dir) as handle:
                if call == "file":
                    handle.write(f"new {number}")
                else:
                    handle.write_text(f"new {number}")
        assert len(descriptors()) - before < 16
        assert len([path for path in litter(here) if path.parent == here]) == 1

    assert all((here / str(number)).read_text() == f"new {number}" for number in range(1100))
    assert len(os.listdir(here)) == 1100


@pytest.mark.system
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_more_folders_than_descriptors(mounts, few_descriptors, overwrite):
    """Folders, too, be they new or replaced, of which some are held open while they are published."""
    here = mounts("ext4")
    if overwrite:
        for number in range(400):
            (here / str(number) / "old").mkdir(parents=True)

    with no_leaks(), atomik.group() as group:
        for number in range(400):
            with group.folder(here / str(number), overwrite=overwrite) as folder:
                (folder / "new").touch()

    assert {tuple(os.listdir(here / str(number))) for number in range(400)} == {("new",)}
    assert len(os.listdir(here)) == 400


@pytest.mark.system
def test_many_discarded_and_made_again(mounts, few_descriptors):
    """Members that are discarded hold no descriptors either."""
    here = mounts("ext4")
    before = len(descriptors())

    with no_leaks(), atomik.group() as group:
        for number in range(300):
            one = group.file(here / str(number))
            with one as file:
                file.write("no")
                one.discard()
        assert len(descriptors()) - before < 16
        for number in range(300):
            with group.file(here / str(number)) as file:
                file.write("yes")

    assert {(here / str(number)).read_text() for number in range(300)} == {"yes"}
    assert len(os.listdir(here)) == 300
