"""What a member may be: every option of its namesakes, and what happens to the content until it is published."""

from __future__ import annotations

import os
import stat

import pytest

import atomik
from support.watch import no_leaks
from together.outputs import NAMES, OUTPUTS, add, add_all, lay_all, member, read_all


def test_metadata(tmp_path):
    """A new member gets its permissions, one that replaces another keeps that one's."""
    lay_all(tmp_path)
    for name in NAMES:
        (tmp_path / name).chmod(0o751)

    with atomik.group() as group:
        add_all(group, tmp_path, overwrite=True)
        add(group, OUTPUTS["file"], tmp_path / "mine", permissions=0o4640)
        add(group, OUTPUTS["folder"], tmp_path / "ours", permissions=0o2770)
        add(group, OUTPUTS["file"], tmp_path / "default")

    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert modes == {**dict.fromkeys(NAMES, 0o751), "mine": 0o4640, "ours": 0o2770, "default": 0o644}


def test_staged_can_be_read(tmp_path):
    """`staged` leads to what a member holds, before and after it is complete."""
    with atomik.group() as group:
        for name, shape in OUTPUTS.items():
            publication = member(group, shape, tmp_path / name)
            with publication as handle:
                shape.fill(handle, "new")
                if name == "file":
                    handle.flush()
                assert shape.read(publication.staged) == "new"
            assert shape.read(publication.staged) == "new"


@pytest.mark.parametrize(("mode", "expected"), [("a", "before, new"), ("r+", ", newe")])
def test_modes_that_start_from_the_old(tmp_path, mode, expected):
    """A member may be appended to or changed; the old one is untouched until the end."""
    (tmp_path / "a").write_text("before")

    with atomik.group() as group:
        with group.file(tmp_path / "a", mode, overwrite=True) as file:
            file.write(", new")
        assert (tmp_path / "a").read_text() == "before"

    assert (tmp_path / "a").read_text() == expected


@pytest.mark.parametrize("end", ["published", "discarded", "member discarded"])
@pytest.mark.parametrize("name", NAMES)
def test_parents(tmp_path, name, end):
    """Missing parents are made for all who need them, and those that nobody needs in the end are removed."""
    shape = OUTPUTS[name]

    with no_leaks():
        group = atomik.group()
        first = add(group, shape, tmp_path / "x" / "y" / "first", parents=True)
        second = add(group, shape, tmp_path / "x" / "second", parents=True)
        if end == "member discarded":
            first.discard()
            group.publish()
        elif end == "discarded":
            group.discard()
        else:
            group.publish()
        del first, second

    if end == "published":
        assert shape.read(tmp_path / "x" / "y" / "first") == "new"
    if end == "discarded":
        assert os.listdir(tmp_path) == []
    else:
        assert shape.read(tmp_path / "x" / "second") == "new"
        assert sorted(os.listdir(tmp_path / "x")) == (["second", "y"] if end == "published" else ["second"])


@pytest.mark.parametrize("name", NAMES)
def test_tmp_dir(tmp_path, name):
    """A member may be staged in another directory of the filesystem."""
    (tmp_path / "tmp").mkdir()

    with no_leaks(), atomik.group() as group:
        add(group, OUTPUTS[name], tmp_path / "a", tmp_dir=tmp_path / "tmp")
        add(group, OUTPUTS[name], tmp_path / "b", tmp_dir=tmp_path / "tmp")

    assert [OUTPUTS[name].read(tmp_path / each) for each in "ab"] == ["new", "new"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "tmp"]
    assert os.listdir(tmp_path / "tmp") == []


def test_the_same_name_in_two_directories(tmp_path):
    """Members of the same name in different directories do not meet."""
    with atomik.group() as group:
        for name in ("one", "two"):
            add_all(group, tmp_path / name, name, parents=True)

    assert [read_all(tmp_path / name) for name in ("one", "two")] == [["one"] * 4, ["two"] * 4]


@pytest.mark.parametrize("complete", [False, True])
def test_what_a_program_makes_beside_its_path_is_nobody_elses(tmp_path, complete):
    """What is made beside a member's path, be that complete or not, is not taken for another member's content."""
    with atomik.group() as group:
        data = group.path(tmp_path / "data", extras="discard")
        path = data.open()
        path.write_text("new")
        path.with_name("data.index").write_text("theirs")
        if complete:
            data.publish()
        with group.path(tmp_path / "data.index") as path:
            assert not path.exists()
            path.write_text("new")

    assert (tmp_path / "data.index").read_text() == "new"


def test_content_that_is_taken_away_is_not_published(tmp_path):
    """If another program replaces or removes the content of a complete member, the group fails and publishes nothing."""
    for spoil in (os.unlink, lambda path: os.replace(tmp_path / "other", path)):
        (tmp_path / "other").write_text("theirs")
        with no_leaks(), pytest.raises(OSError, match="second") as raised, atomik.group() as group:
            add(group, OUTPUTS["file"], tmp_path / "first")
            second = add(group, OUTPUTS["file"], tmp_path / "second")
            spoil(second.staged)
        assert raised.value.filename == str(tmp_path / "second")
        assert {"first", "second"}.isdisjoint(os.listdir(tmp_path))
