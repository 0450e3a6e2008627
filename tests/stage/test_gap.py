"""Folders that cannot be exchanged, where a gap is allowed: the old one is taken away first, and is never lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import atomik
from atomik_core import testing
from support.processes import run
from support.watch import litter, tree

pytestmark = pytest.mark.system


#: How many seconds a tick of exFAT's clock lasts. What is not older could be a program's work of now.
TICK = 2.1


def lay_old(folder: Path, age: float = 0) -> None:
    """Make an old folder with something in it; wait until it has this age in seconds."""
    folder.mkdir()
    (folder / "old").write_text("old")
    time.sleep(age)


@pytest.mark.parametrize("kind", ["bindfs", "exfat", "ext4"])
@pytest.mark.parametrize("rooted", [False, True])
def test_a_folder_is_replaced(mounts, kind, rooted):
    """Without an exchange in two steps, with one in one; nothing of the old one is left, and the other outputs come, too."""
    place = mounts(kind)
    (place / "a").write_text("old")
    lay_old(place / "d", TICK if kind == "exfat" else 0)
    outputs = [place / "a", place / "d", place / "n"]
    with atomik.stage(outputs, allow_gap=True, root=place if rooted else None) as out:
        out[0].write_text("new")
        for key in (1, 2):
            out[key].mkdir()
            (out[key] / "new").write_text("new")

    assert [path.name for path in (place / "d").iterdir()] == ["new"]
    assert (place / "a").read_text() == (place / "n" / "new").read_text() == "new"
    assert litter(place) == []


def replace_and_fail(place: Path, *, allow_gap: bool) -> None:
    """Publish a folder "d" and, with it, a file "z" that cannot be published, since a folder has come there when "d" is new."""

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced" and publication.destination.name == "z":
            assert os.listdir(place / "d") == ["new"]
            (place / "z").mkdir()

    with pytest.raises(IsADirectoryError), testing.watching(watch):
        with atomik.stage([place / "d", place / "z"], allow_gap=allow_gap) as out:
            out[0].mkdir()
            (out[0] / "new").write_text("new")
            out[1].write_text("new")


def test_it_is_put_back_if_a_later_one_fails(mounts):
    """The folder that took its place is taken away again, and the old one is what it was."""
    place = mounts("exfat")
    lay_old(place / "d", TICK)
    replace_and_fail(place, allow_gap=True)

    assert sorted(os.listdir(place / "d")) == ["old"]
    for path in litter(place):
        atomik.remove(path)


@pytest.mark.parametrize("allow_gap", [False, True])
def test_an_empty_folder_is_there_again_if_a_later_one_fails(mounts, allow_gap):
    """What plain rename replaces without an exchange, with or without a gap, is made again."""
    place = mounts("exfat")
    (place / "d").mkdir()
    time.sleep(TICK)
    replace_and_fail(place, allow_gap=allow_gap)

    assert os.listdir(place / "d") == []
    for path in litter(place):
        atomik.remove(path)


def test_an_old_folder_that_may_come_back(mounts):
    """If the sync of the directory fails, the old folder stays under a name that no cleaner touches, and the error says which."""
    place = mounts("exfat")
    lay_old(place / "d", TICK)

    def watch(_: atomik.Publication[object], step: str) -> None:
        if step == "published":
            raise OSError(5, "Input/output error")

    with pytest.raises(atomik.NotDurableError) as caught, testing.watching(watch):
        with atomik.stage([place / "d"], allow_gap=True) as out:
            out[0].mkdir()
            (out[0] / "new").write_text("new")

    assert os.listdir(place / "d") == ["new"]
    atomik.clean(place, force=True)
    [kept] = place.glob("atomik-kept-*")
    assert os.listdir(kept) == ["old"]
    assert any(str(kept) in note for note in caught.value.__notes__)
    atomik.remove(kept)


def test_a_rival_in_the_gap(mounts, monkeypatch):
    """Somebody makes the destination anew just then: theirs stays, nothing is published, and the old one is kept."""
    from atomik_core._publish import placing

    place = mounts("exfat")
    lay_old(place / "d", TICK)
    place_new = placing.place_new

    def slow(*arguments, **options):
        (place / "d").mkdir()
        (place / "d" / "rival").write_text("rival")
        return place_new(*arguments, **options)

    monkeypatch.setattr(placing, "place_new", slow)
    with pytest.raises(OSError) as caught, atomik.stage([place / "d"], allow_gap=True) as out:
        out[0].mkdir()
        (out[0] / "new").write_text("new")

    assert os.listdir(place / "d") == ["rival"]
    kept = [path for path in place.glob("atomik-kept-*") if (path / "old").exists()]
    assert len(kept) == 1
    assert any(str(kept[0]) in note for note in caught.value.__notes__)
    for path in place.glob("atomik-kept-*"):
        atomik.remove(path)


@pytest.mark.parametrize("allow_gap", [False, True])
def test_a_rival_where_a_link_is_to_be(tmp_path, allow_gap):
    """A folder, or a file in the place of the old folder, that appears in the last instant is not taken for the old version."""
    lay_old(tmp_path / "there")
    if allow_gap:
        lay_old(tmp_path / "d")

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced":
            if allow_gap:
                (tmp_path / "d").rename(tmp_path / "taken")
                (tmp_path / "d").write_text("rival")
            else:
                lay_old(tmp_path / "d")

    place_over = atomik.stage([tmp_path / "d"], allow_gap=allow_gap).open()
    place_over[0].symlink_to("there")
    if allow_gap:  # a file takes the place of a link, or a link of a file, in one instant: the last one wins
        with testing.watching(watch):
            place_over.publish()
        assert os.readlink(tmp_path / "d") == "there"
        assert set(tree(tmp_path / "taken")) == {".", "old"}
        return
    with pytest.raises(IsADirectoryError), testing.watching(watch):
        place_over.publish()
    assert set(tree(tmp_path / "d")) == {".", "old"}


def test_a_rival_just_before_the_gap(mounts, monkeypatch):
    """A file that takes the old folder's place between the look and the rename is put back: nothing of anybody's is removed."""
    from atomik_core._os import rename

    place = mounts("exfat")
    lay_old(place / "d", TICK)
    new_folder = rename.new_folder

    def late(source_dir, source, target_dir, target):
        if target.startswith("atomik-kept-") and source == "d" and (place / "d").is_dir():
            (place / "d").rename(place / "taken")
            (place / "d").write_text("rival")
        new_folder(source_dir, source, target_dir, target)

    monkeypatch.setattr(rename, "new_folder", late)
    with pytest.raises(NotADirectoryError), atomik.stage([place / "d"], allow_gap=True) as out:
        out[0].mkdir()
        (out[0] / "new").write_text("new")
    assert (place / "d").read_text() == "rival"
    assert os.listdir(place / "taken") == ["old"]
    for path in litter(place):
        atomik.remove(path)


KILLED = """
import os, signal, sys
import atomik
from atomik_core._publish import placing

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

placing.place_new = die
with atomik.stage([sys.argv[1]], allow_gap=True) as out:
    out[0].mkdir()
    (out[0] / "new").write_text("new")
"""


def test_killed_in_the_gap(mounts):
    """What stood there has a name that no cleaner touches, so that it can be put back."""
    place = mounts("exfat")
    lay_old(place / "d", TICK)
    assert run(KILLED, place / "d").code == -signal.SIGKILL

    assert not (place / "d").exists()
    atomik.clean(place, force=True)
    [kept] = place.iterdir()
    assert os.listdir(kept) == ["old"]
    kept.rename(place / "d")


def test_what_the_program_wrote_there_is_kept(mounts):
    """A folder that the program wrote to directly is kept when the staged one takes its place, where none can be exchanged, too."""
    place = mounts("exfat")
    lay_old(place / "d", TICK)
    with atomik.stage([place / "d"], allow_gap=True) as out:
        (place / "d" / "direct").write_text("direct")
        out[0].mkdir()
        (out[0] / "new").write_text("new")

    assert os.listdir(place / "d") == ["new"]
    assert sorted(os.listdir(out.report.kept[0])) == ["direct", "old"]
    atomik.remove(out.report.kept[0])


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "tmpfs"])
def test_a_link_to_a_folder_replaces_a_folder(mounts, kind):
    """A link that leads to a folder counts as one, be it another output or what is there; who reads the old one goes on."""
    place = mounts(kind)
    for name in ("there", "d", "e"):
        lay_old(place / name)
    with atomik.snapshot(place / "d") as held:
        with atomik.stage([place / "d", place / "e", place / "new"], allow_gap=True, follow_symlinks=False) as out:
            out[0].symlink_to("there")
            out[1].symlink_to("new")
            out[2].mkdir()
            (out[2] / "new").write_text("new")
        assert (held / "old").read_text() == "old"

    assert os.readlink(place / "d") == "there"
    assert os.listdir(place / "e") == ["new"]
    assert litter(place) == []


def test_a_link_to_a_file_replaces_no_folder(tmp_path):
    """It is refused as a file is, and everything is kept; so is every link if no gap is allowed."""
    lay_old(tmp_path / "d")
    (tmp_path / "file").write_text("file")
    for target, allow_gap in (("file", True), ("nothing", True), (".", False)):
        with pytest.raises(IsADirectoryError, match="everything is kept in"):
            with atomik.stage([tmp_path / "d"], allow_gap=allow_gap, follow_symlinks=False) as out:
                out[0].symlink_to(target)
        [kept] = litter(tmp_path)
        assert os.readlink(kept / "d") == target
        atomik.remove(kept)
    assert set(tree(tmp_path / "d")) == {".", "old"}


def test_a_link_is_put_back_too(tmp_path):
    """A folder that a link has replaced is there again if a later output fails."""
    for name in ("d", "there"):
        lay_old(tmp_path / name)

    def watch(publication: atomik.Publication[object], step: str) -> None:
        if step == "synced" and publication.destination.name == "z":
            assert (tmp_path / "d").is_symlink()
            (tmp_path / "z").mkdir()

    with pytest.raises(IsADirectoryError), testing.watching(watch):
        with atomik.stage([tmp_path / "d", tmp_path / "z"], allow_gap=True) as out:
            out[0].symlink_to("there")
            out[1].symlink_to("there/old")
    assert set(tree(tmp_path / "d")) == {".", "old"}
    for path in litter(tmp_path):
        atomik.remove(path)
