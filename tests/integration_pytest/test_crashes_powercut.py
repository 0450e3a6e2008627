"""The states that `atomic_tmp.crashes(power_cuts=True)` shows are those that real cuts leave on ext4 and xfs."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from support.powercut import PowerCut

OLD, NEW = "old content", "the new content, which is longer"


# Functions, in pieces: the power may be cut after each.


def _fsync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def in_place(top):
    """Empty the old file, and write."""
    with (top / "a").open("w") as f:
        yield
        f.write(NEW)
    yield
    _fsync(top / "a")
    yield


def replaced(top, text=NEW):
    """Write a temporary file and rename it, without any sync."""
    (top / "tmp").write_text(text)
    yield
    os.replace(top / "tmp", top / "a")
    yield


def replaced_directory_synced(top):
    """Sync the directory, but not the file."""
    yield from replaced(top)
    _fsync(top)
    yield


def replaced_file_synced(top):
    """Sync the file, but not the directory."""
    (top / "tmp").write_text(NEW)
    _fsync(top / "tmp")
    yield
    os.replace(top / "tmp", top / "a")
    yield


def replaced_all_synced(top):
    """Do it right."""
    yield from replaced_file_synced(top)
    _fsync(top)
    yield


def replaced_twice(top):
    """Replace it twice, and only then sync the second one, and the directory."""
    deque(replaced(top, "the first"), maxlen=0)
    deque(replaced(top), maxlen=0)
    yield
    _fsync(top / "a")
    yield
    _fsync(top)
    yield


def made_directory_synced(top):
    """Rename onto a new name, and sync the directory only."""
    (top / "tmp").write_text(NEW)
    os.rename(top / "tmp", top / "new")
    _fsync(top)
    yield


def removed_then_renamed(top):
    """Take the old one away first."""
    (top / "tmp").write_text(NEW)
    _fsync(top / "tmp")
    os.unlink(top / "a")
    yield
    _fsync(top)
    yield
    os.rename(top / "tmp", top / "a")
    yield


def beside_a_synced_one(top):
    """Rename in one directory, sync a file in another."""
    (top / "d").mkdir()
    yield
    os.rename(top / "a", top / "b")
    yield
    (top / "d" / "x").write_text("x")
    _fsync(top / "d" / "x")
    yield


def linked(top):
    """Give a name more, and take the first away."""
    os.link(top / "a", top / "second")
    yield
    os.unlink(top / "a")
    _fsync(top)
    yield
    os.rename(top / "second", top / "third")
    yield


def appended(top):
    """Write more to the end, and sync half of it."""
    with (top / "a").open("a") as f:
        f.write(" and more")
        f.flush()
        os.fsync(f.fileno())
        yield
        f.write(" and even more")
    yield


def everything_synced(top):
    """Sync all filesystems."""
    yield from replaced(top)
    os.sync()
    (top / "late").mkdir()
    yield


FUNCTIONS = [
    in_place, replaced, replaced_directory_synced, replaced_file_synced, replaced_all_synced, replaced_twice,
    made_directory_synced, removed_then_renamed, beside_a_synced_one, linked, appended, everything_synced,
]  # fmt: skip


def look(top):
    """Names and contents. What a filesystem shows as zeros was lost."""
    return {
        str(path.relative_to(top)): path.read_bytes().rstrip(b"\0") if path.is_file() else None
        for path in sorted(Path(top).rglob("*"))
    }


def states_at_the_end(atomic_tmp, func, pieces):
    """What the fixture says that a cut may leave after so many pieces."""
    (atomic_tmp / "a").write_text(OLD)
    found = {}
    for crash in atomic_tmp.crashes(
        lambda: deque(itertools.islice(func(atomic_tmp.path), pieces), maxlen=0), power_cuts=True
    ):
        if crash.step == "the end":
            found[crash.lost or "kill"] = look(atomic_tmp)
    return found


@pytest.mark.system
@pytest.mark.leaves_litter
@pytest.mark.parametrize(("filesystem", "options"), [("ext4", ""), ("ext4", "noauto_da_alloc"), ("xfs", "")])
def test_each_real_cut_leaves_a_state_that_is_shown(atomic_tmp, filesystem, options):
    """For each function, after each of its pieces."""
    seen = set()
    with PowerCut(filesystem, options=options) as disk:
        for func in FUNCTIONS:
            for pieces in range(1, 5):
                if pieces > _length(func, atomic_tmp):
                    break
                top = disk.path / f"{func.__name__}{pieces}"
                top.mkdir()
                (top / "a").write_text(OLD)
                os.sync()
                deque(itertools.islice(func(top), pieces), maxlen=0)
                disk.cut()
                disk.remount()
                left = look(top)

                shown = states_at_the_end(atomic_tmp, func, pieces)
                assert left in shown.values(), (func.__name__, pieces, left, shown)
                seen.update(kind for kind, state in shown.items() if state == left)
    assert "names and contents" in seen


def _length(func, atomic_tmp):
    """How many pieces a function has."""
    (atomic_tmp / "a").write_text(OLD)
    length = sum(1 for _ in func(atomic_tmp.path))
    for path in sorted(Path(atomic_tmp).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return length


def left_by_a_late_cut(functions: list[Any]) -> dict[Any, Any]:
    """What each of them leaves on ext4 when the power is cut seconds after its second step."""
    with PowerCut("ext4", options="noauto_da_alloc") as disk:
        tops = []
        for func in functions:
            top = disk.path / func.__name__
            top.mkdir()
            (top / "a").write_text(OLD)
            tops.append(top)
        os.sync()
        for func, top in zip(functions, tops, strict=True):
            deque(itertools.islice(func(top), 2), maxlen=0)
        time.sleep(7)
        disk.cut()
        disk.remount()
        return {func: look(top) for func, top in zip(functions, tops, strict=True)}


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.leaves_litter
def test_a_cut_some_seconds_later_leaves_a_state_that_is_shown(atomic_tmp):
    """When ext4 has committed the names by itself, but not the contents: the classic file of no bytes."""
    functions = [in_place, replaced, replaced_file_synced, made_directory_synced]
    for _ in range(3):  # somebody else's sync may carry the contents, too
        lost = 0
        left = left_by_a_late_cut(functions)
        for func, state in left.items():
            shown = states_at_the_end(atomic_tmp, func, 2)
            assert state in shown.values(), (func.__name__, state, shown)
            lost += state == shown.get("contents")
        if lost:
            return
    pytest.fail(f"no content was lost: {left}")


# What the model says, without a disk.


def test_a_cut_loses_what_was_not_synced(atomic_tmp):
    """Contents under names that stayed; names and contents."""
    assert states_at_the_end(atomic_tmp, replaced, 2) == {
        "kill": {"a": NEW.encode()},
        "contents": {"a": b""},
        "names and contents": {"a": OLD.encode()},
    }


def test_a_file_that_was_emptied_may_be_empty(atomic_tmp):
    """What it had before, synced or not, does not come back under its name; only with everything else."""
    assert states_at_the_end(atomic_tmp, in_place, 2) == {
        "kill": {"a": NEW.encode()},
        "contents": {"a": b""},
        "names and contents": {"a": OLD.encode()},
    }
    assert states_at_the_end(atomic_tmp, in_place, 3) == {"kill": {"a": NEW.encode()}}


def test_what_was_synced_is_there_after_each_cut(atomic_tmp):
    """Only the name is not certain, until the directory is synced."""
    assert states_at_the_end(atomic_tmp, replaced_file_synced, 2) == {
        "kill": {"a": NEW.encode()},
        "names and contents": {"a": OLD.encode(), "tmp": NEW.encode()},
    }
    assert states_at_the_end(atomic_tmp, replaced_all_synced, 3) == {"kill": {"a": NEW.encode()}}


def test_a_name_that_is_durable_does_not_go_back_to_an_earlier_meaning(atomic_tmp):
    """The sync of the file that took the name last covers those that had it before; the directory's adds nothing to that."""
    assert states_at_the_end(atomic_tmp, replaced_twice, 2) == {"kill": {"a": NEW.encode()}}
    assert states_at_the_end(atomic_tmp, replaced_twice, 3) == {"kill": {"a": NEW.encode()}}


def test_cuts_come_at_each_step_and_after_the_kills(atomic_tmp):
    """First every kill, in order, then every cut that loses contents, then every cut that loses names."""
    (atomic_tmp / "a").write_text(OLD)

    def func():
        deque(replaced_file_synced(atomic_tmp.path), maxlen=0)
        (atomic_tmp / "b").write_text("x")

    crashes = [(crash.kind, crash.lost, crash.step) for crash in atomic_tmp.crashes(func, power_cuts=True)]

    assert [kind for kind, _, _ in crashes] == sorted(kind for kind, _, _ in crashes)
    assert [lost for _, lost, _ in crashes] == sorted(lost for _, lost, _ in crashes)
    assert ("power cut", "contents", "the end") in crashes
    assert ("power cut", "names and contents", "the end") in crashes


@pytest.mark.parametrize("sync", [os.fdatasync, os.fsync, lambda _: os.sync()])
def test_each_way_to_sync_counts(atomic_tmp, sync):
    """The content is there, and with the file's own sync its name, too."""

    def func():
        with (atomic_tmp / "a").open("w") as f:
            f.write(NEW)
            f.flush()
            sync(f.fileno())

    found = [look(atomic_tmp) for crash in atomic_tmp.crashes(func, power_cuts=True) if crash.step == "the end"]

    assert found == [{"a": NEW.encode()}]


def test_a_file_that_is_opened_to_be_synced_is(atomic_tmp):
    """O_DSYNC makes each write durable."""

    def func():
        fd = os.open(atomic_tmp / "a", os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
        os.write(fd, NEW.encode())
        os.close(fd)

    found = [look(atomic_tmp) for crash in atomic_tmp.crashes(func, power_cuts=True) if crash.step == "the end"]

    assert found == [{"a": NEW.encode()}]


def test_what_was_synced_elsewhere_is_durable_when_it_is_moved_in(atomic_tmp, tmp_path_factory):
    """And what was not, is not."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def func(synced):
        (elsewhere / "x").write_text(NEW)
        if synced:
            _fsync(elsewhere / "x")
        os.rename(elsewhere / "x", atomic_tmp / "x")
        _fsync(atomic_tmp)

    for synced in (True, False):
        found = [
            look(atomic_tmp)
            for crash in atomic_tmp.crashes(lambda synced=synced: func(synced), power_cuts=True)
            if crash.step == "the end"
        ]
        assert found == [{"x": NEW.encode()}, *([] if synced else [{"x": b""}])]


def test_what_was_written_elsewhere_after_its_sync_is_not_durable_when_it_is_moved_in(atomic_tmp, tmp_path_factory):
    """A sync covers what is there at that moment, not what comes later."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def func():
        with (elsewhere / "x").open("w") as f:
            f.write(OLD)
            f.flush()
            os.fsync(f.fileno())
            f.write(NEW)
        os.rename(elsewhere / "x", atomic_tmp / "x")
        _fsync(atomic_tmp)

    found = [look(atomic_tmp) for crash in atomic_tmp.crashes(func, power_cuts=True) if crash.step == "the end"]

    assert found == [{"x": (OLD + NEW).encode()}, {"x": b""}]


def test_publications_survive_each_cut(atomic_tmp):
    """Atomik's promise, seen by the fixture: old or new before the end, new at the end."""
    import atomik

    def save():
        with atomik.file(atomic_tmp / "a", overwrite=True) as f:
            f.write(NEW)

    (atomic_tmp / "a").write_text(OLD)
    for crash in atomic_tmp.crashes(save, power_cuts=True):
        assert (atomic_tmp / "a").read_text() in ({NEW} if crash.step == "the end" else {OLD, NEW})


def test_the_other_engine_knows_no_power_cuts(atomic_tmp):
    """Who insists on both is told."""
    with pytest.raises(ValueError, match="engine='publications' knows no power cuts"):
        list(atomic_tmp.crashes(lambda: None, engine="publications", power_cuts=True))
