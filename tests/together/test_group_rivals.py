"""Rivals of a group: whichever member they get in the way of, all of it is taken back, and theirs stays."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

import atomik
import atomik_core.testing
from core.shapes import FILE, FOLDER
from support.rivals import rivals
from support.watch import litter, no_leaks, tree
from together.outputs import NAMES, OUTPUTS, add, add_all, lay_all, member


@contextlib.contextmanager
def before_each(act):
    """Call ACT with a member right before it is published."""

    def watch(publication, step):
        if step == "synced":
            act(publication)

    with atomik_core.testing.watching(watch):
        yield


def before(path: Path, act):
    """Call ACT right before the member with this destination is published."""
    return before_each(lambda publication: act() if publication.destination == path else None)


@pytest.mark.parametrize("rivals", [FILE, FOLDER], ids=["rival-file", "rival-folder"])
@pytest.mark.parametrize("name", NAMES)
def test_rival_makes_a_new_destination_first(tmp_path, name, rivals):
    """A rival that was first at any one destination keeps it; the error names it, and nothing of the group is there."""
    with (
        no_leaks(),
        pytest.raises(atomik.FileAlreadyExistsError) as raised,
        before(tmp_path / name, lambda: rivals.lay(tmp_path / name, "theirs")),
        atomik.group() as group,
    ):
        add_all(group, tmp_path)

    assert raised.value.filename == str(tmp_path / name)
    assert getattr(raised.value, "__notes__", []) == []
    assert rivals.read(tmp_path / name) == "theirs"
    assert os.listdir(tmp_path) == [name]
    assert group.state == "discarded"
    assert {each.state for each in group.publications} == {"discarded"}


@pytest.mark.parametrize("name", NAMES)
def test_rival_changes_the_kind_of_an_old_version(tmp_path, name):
    """Where a rival has put a folder for a file or the reverse, all old versions come back, the very same inodes."""
    lay_all(tmp_path)
    old, inodes = tree(tmp_path), {each: (tmp_path / each).stat().st_ino for each in NAMES}
    opposite = FILE if OUTPUTS[name].is_folder else FOLDER

    def change():
        atomik.remove(tmp_path / name)
        opposite.lay(tmp_path / name, "theirs")

    with (
        no_leaks(),
        pytest.raises((IsADirectoryError, NotADirectoryError)) as raised,
        before(tmp_path / name, change),
        atomik.group() as group,
    ):
        add_all(group, tmp_path, overwrite=True)

    assert raised.value.filename == str(tmp_path / name)
    assert opposite.read(tmp_path / name) == "theirs"
    others = [each for each in NAMES if each != name]
    assert {each: (tmp_path / each).stat().st_ino for each in others} == {each: inodes[each] for each in others}
    now = tree(tmp_path)
    assert {path: now[path] for each in others for path in old if path.split("/")[0] == each} == {
        path: old[path] for each in others for path in old if path.split("/")[0] == each
    }
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_new_and_old_destinations_in_one_group(tmp_path, name):
    """A group that overwrites some and makes others is taken back as a whole, too."""
    shape = OUTPUTS[name]
    shape.lay(tmp_path / "old", "old")
    shape.lay(tmp_path / "gone", "old")

    with (
        no_leaks(),
        pytest.raises(FileExistsError),
        before(tmp_path / "gone", lambda: atomik.remove(tmp_path / "gone")),
        before(tmp_path / "last", (tmp_path / "last").mkdir),
        atomik.group() as group,
    ):
        add(group, shape, tmp_path / "old", overwrite=True)
        add(group, shape, tmp_path / "gone", overwrite=True)
        add(group, shape, tmp_path / "new")
        add(group, shape, tmp_path / "last")

    assert shape.read(tmp_path / "old") == "old"
    assert sorted(os.listdir(tmp_path)) == ["last", "old"]


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_rival_put_over_ours_is_not_undone(tmp_path, name, overwrite):
    """A member that somebody has replaced before the group failed stays as they made it."""
    shape = OUTPUTS[name]
    if overwrite:
        shape.lay(tmp_path / "first", "old")

    def replace():
        shape.publish(tmp_path / "first", "theirs", overwrite=True)
        (tmp_path / "second").mkdir()

    done = []

    def act(publication):
        if publication.destination == tmp_path / "second" and not done:
            done.append(True)
            replace()

    with (
        no_leaks(),
        pytest.raises(FileExistsError),
        before_each(act),
        atomik.group() as group,
    ):
        add(group, shape, tmp_path / "first", overwrite=overwrite)
        add(group, shape, tmp_path / "second")

    assert shape.read(tmp_path / "first") == "theirs"
    atomik.clean(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["first", "second"]


@pytest.mark.system
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_rival_made_anew_is_not_taken_for_ours(mounts, name, overwrite):
    """ext4 gives the inode number of what was removed to what is made next; ours is not removed as long as it matters."""
    here, shape = mounts("ext4"), OUTPUTS[name]
    if overwrite:
        shape.lay(here / "first", "old")

    def remove_and_make():
        if shape.is_folder:
            shutil.rmtree(here / "first")
        else:
            (here / "first").unlink()
        shape.lay(here / "first", "theirs")
        (here / "second").mkdir()

    with (
        no_leaks(),
        pytest.raises(FileExistsError),
        before(here / "second", remove_and_make),
        atomik.group(sync="off") as group,  # nor is it held open, to be synced
    ):
        add(group, shape, here / "first", overwrite=overwrite)
        add(group, shape, here / "second")

    assert shape.read(here / "first") == "theirs"
    atomik.clean(here)
    assert sorted(os.listdir(here)) == ["first", "second"]


@pytest.mark.system
def test_what_a_rival_made_anew_is_not_taken_for_one_of_many_folders(mounts):
    """Of many new folders not all can be held open, so that a rival's may get the number of one: it stays, too."""
    here = mounts("ext4")

    def remove_and_make():
        number = (here / "0").stat().st_ino
        shutil.rmtree(here / "0")
        for attempt in range(100):
            (here / f"theirs-{attempt}").mkdir()
            if (here / f"theirs-{attempt}").stat().st_ino == number:
                (here / f"theirs-{attempt}").rename(here / "0")
                break
        else:
            pytest.fail("no rival got the number: this test would show nothing")
        (here / "0" / "theirs").touch()
        (here / "last").mkdir()

    with (
        no_leaks(),
        pytest.raises(FileExistsError),
        before(here / "last", remove_and_make),
        atomik.group(sync="off") as group,
    ):
        for number in range(130):
            add(group, FOLDER, here / str(number))
        add(group, FOLDER, here / "last")

    assert os.listdir(here / "0") == ["theirs"]


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_rival_removed_is_not_brought_back(tmp_path, name, overwrite):
    """A member that somebody has removed before the group failed stays away."""
    shape = OUTPUTS[name]
    if overwrite:
        shape.lay(tmp_path / "first", "old")

    def remove():
        atomik.remove(tmp_path / "first")
        (tmp_path / "second").mkdir()

    with (
        no_leaks(),
        pytest.raises(FileExistsError),
        before(tmp_path / "second", remove),
        atomik.group() as group,
    ):
        add(group, shape, tmp_path / "first", overwrite=overwrite)
        add(group, shape, tmp_path / "second")

    atomik.clean(tmp_path)
    assert os.listdir(tmp_path) == ["second"]


@pytest.mark.parametrize("name", NAMES)
def test_parents_that_were_made_go_with_it(tmp_path, name):
    """Taken back, a group leaves none of the parents that were made for it."""
    with (
        no_leaks(),
        pytest.raises(FileExistsError),
        before(tmp_path / "last", (tmp_path / "last").mkdir),
        atomik.group() as group,
    ):
        add(group, OUTPUTS[name], tmp_path / "x" / "y" / "first", parents=True)
        add(group, FILE, tmp_path / "last")

    assert os.listdir(tmp_path) == ["last"]


@pytest.mark.leaves_litter
def test_finished_work_is_kept_if_the_filesystem_fails(tmp_path):
    """If a filesystem turns out unable to publish a member, nothing is published, and everything finished is kept."""

    def fail():
        raise OSError(28, "No space left on device")

    lay_all(tmp_path)
    with (
        no_leaks(),
        pytest.raises(OSError, match="No space left") as raised,
        before(tmp_path / NAMES[-1], fail),
        atomik.group() as group,
    ):
        add_all(group, tmp_path, overwrite=True)

    assert raised.value.filename == str(tmp_path / NAMES[-1])
    assert [OUTPUTS[name].read(tmp_path / name) for name in NAMES] == ["old"] * 4
    kept = litter(tmp_path)
    assert atomik.clean(tmp_path) == []
    assert all(str(path) in str(raised.value) for path in kept if path.parent == tmp_path)
    tops = [path for path in kept if path.parent == tmp_path]
    assert {path.name for top in tops for path in top.iterdir()} > {"file", "path-file"}
    files = [path for top in tops for path in top.rglob("*") if path.is_file()]
    assert {path.read_text() for path in files} == {"new"}
    assert len([path for top in tops for path in top.rglob("sub/two")]) == 2


@pytest.mark.system
def test_several_groups_at_once(tmp_path):
    """Of groups of the same new files that are published at once, over and over, one wins whole or none does."""
    source = """
import os, atomik
def attempt(number):
    with atomik.group(sync="off") as group:
        for name in ("a", "b", "c"):
            with group.file(f"{number}-{name}") as file:
                file.write(str(os.getpid()))
    return os.getpid()
"""
    outcomes = set()
    for number, answers in enumerate(rivals(3, source, rounds=150, cwd=tmp_path)):
        found = {path.read_text() for path in tmp_path.glob(f"{number}-*")}
        winners = {str(answer) for answer in answers if isinstance(answer, int)}
        outcomes.add(len(winners))
        assert found == winners, answers
        assert len(winners) <= 1
        assert len(list(tmp_path.glob(f"{number}-*"))) == 3 * len(winners)
        assert {answer for answer in answers if not isinstance(answer, int)} <= {"FileAlreadyExistsError"}
    assert 1 in outcomes


def test_member_of_the_wrong_kind_is_refused_at_once(tmp_path):
    """What stands at a destination is checked when a member is opened, not after the work."""
    lay_all(tmp_path)
    for name in NAMES:
        opposite = FOLDER if not OUTPUTS[name].is_folder else FILE
        for shape, overwrite in ((OUTPUTS[name], False), (opposite, True)):
            group = atomik.group()
            with pytest.raises(OSError, match=r"stands|exists") as raised:
                member(group, shape, tmp_path / name, overwrite=overwrite).open()
            assert raised.value.filename == str(tmp_path / name)
            group.discard()


@pytest.mark.leaves_litter
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("shape", [FILE, FOLDER], ids=["file", "folder"])
def test_finished_work_is_kept_together_under_its_own_names(tmp_path, shape, overwrite):
    """If the filesystem fails at the second member, both are found in one folder, by the names that they were made under."""

    def fail():
        raise OSError(5, "Input/output error")

    if overwrite:
        for name in ("first", "second"):
            shape.lay(tmp_path / name, "old")
    with (
        pytest.raises(OSError, match="kept in"),
        before(tmp_path / "second", fail),
        atomik.group() as group,
    ):
        for name in ("first", "second"):
            add(group, shape, tmp_path / name, overwrite=overwrite)

    (kept,) = tmp_path.glob("atomik-kept-*")
    assert sorted(os.listdir(kept)) == ["first", "second"]
    assert shape.read(kept / "first") == "new"
    assert shape.read(tmp_path / "first") == ("old" if overwrite else None)
