"""`atomic_tmp` sees what is published in it, and makes publications fail and lose races."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

import atomik

Failed = pytest.fail.Exception


def write(path, text="new", **options):
    """Publish a file."""
    with atomik.file(path, **options) as f:
        f.write(text)


# What is seen.


def test_names_are_relative_to_it_however_the_destination_was_given(atomic_tmp, monkeypatch):
    """As a string, in a folder below, relative to the working directory, through a link, with parents still to be made."""
    (atomic_tmp / "below").mkdir()
    (atomic_tmp / "link").symlink_to("below")
    monkeypatch.chdir(atomic_tmp)

    write(f"{atomic_tmp}/a")
    write(atomic_tmp / "below" / ".." / "below" / "b")
    write("c")
    write("link/d")
    write("new/folders/e", parents=True)

    assert atomic_tmp.published == ["a", "below/b", "c", "below/d", "new/folders/e"]


def test_a_relative_destination_keeps_its_name_when_the_block_changes_the_directory(atomic_tmp, monkeypatch):
    """What counts is where it was when the publication was opened."""
    (atomic_tmp / "elsewhere").mkdir()
    monkeypatch.chdir(atomic_tmp)

    with atomik.file("a") as f:
        os.chdir("elsewhere")
        f.write("new")

    assert atomic_tmp.published == ["a"]


def test_what_is_published_elsewhere_is_none_of_its_business(atomic_tmp, tmp_path_factory):
    """Neither seen nor made to fail: it may belong to a fixture of the session."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    with atomic_tmp.fail():
        write(elsewhere / "a")
        with pytest.raises(OSError, match="No space left"):
            write(atomic_tmp / "b")

    assert (atomic_tmp.published, atomic_tmp.discarded) == ([], ["b"])
    assert (elsewhere / "a").exists()


def test_what_threads_publish_is_seen(atomic_tmp):
    """A publication belongs to the process, not to the thread of the test."""
    threads = [threading.Thread(target=write, args=(atomic_tmp / str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(atomic_tmp.published) == ["0", "1", "2"]


def test_what_comes_to_nothing_is_seen(atomic_tmp):
    """Refused at the start, failed in the block, and discarded."""
    (atomic_tmp / "there").write_text("old")
    with pytest.raises(FileExistsError):
        write(atomic_tmp / "there")
    with pytest.raises(ZeroDivisionError), atomik.folder(atomic_tmp / "failed"):
        raise ZeroDivisionError
    publication = atomik.path(atomic_tmp / "given up")
    publication.open()
    publication.discard()

    assert atomic_tmp.discarded == ["there", "failed", "given up"]
    assert [p.state for p in atomic_tmp.publications] == ["discarded"] * 3
    assert atomic_tmp.published == []


def test_watching_keeps_no_publication_alive(atomic_tmp):
    """One that is forgotten is collected and discarded in a test as it is outside of one."""
    publication = atomik.folder(atomic_tmp / "forgotten")
    publication.open()
    del publication
    gc.collect()

    assert atomic_tmp.discarded == ["forgotten"]
    assert os.listdir(atomic_tmp) == []


# Faults.


@pytest.mark.parametrize(
    ("at", "expected"),
    [("open", ZeroDivisionError), ("sync", ZeroDivisionError), ("publish", ZeroDivisionError), ("durable", ZeroDivisionError), ("write", ZeroDivisionError)],
)  # fmt: skip
@pytest.mark.parametrize(
    "make", [lambda: ZeroDivisionError, lambda: ZeroDivisionError("mine")], ids=["class", "instance"]
)
def test_any_error_can_be_asked_for(atomic_tmp, at, expected, make):
    """A class or an exception, also one that no disk raises."""
    with pytest.raises(expected), atomic_tmp.fail(make(), at=at):
        write(atomic_tmp / "a")


def test_a_failed_durability_is_the_error_that_atomik_raises_then(atomic_tmp):
    """What is visible is there, and NotDurableError says that it may not stay."""
    with pytest.raises(atomik.NotDurableError), atomic_tmp.fail(OSError(5, "Input/output error"), at="durable"):
        write(atomic_tmp / "a")

    assert (atomic_tmp / "a").read_text() == "new"
    assert atomic_tmp.published == ["a"]


def test_only_the_next_matching_publication_fails(atomic_tmp):
    """What comes before and after it, and what does not match, is published: so a retry can be tested."""
    with atomic_tmp.fail(path="*.csv"):
        write(atomic_tmp / "a.txt")
        with pytest.raises(OSError, match="No space left"):
            write(atomic_tmp / "a.csv")
        write(atomic_tmp / "a.csv")

    assert atomic_tmp.published == ["a.txt", "a.csv"]


@pytest.mark.parametrize("absolute", [False, True])
def test_the_path_of_a_fault_may_be_a_path(atomic_tmp, absolute):
    """A Path, relative or absolute, in a folder below."""
    (atomic_tmp / "below").mkdir()
    path = (atomic_tmp / "below" / "a") if absolute else os.path.join("below", "a")

    with atomic_tmp.fail(path=path):
        write(atomic_tmp / "a")
        with pytest.raises(OSError, match="No space left"):
            write(atomic_tmp / "below" / "a")


def test_faults_at_once_each_hit_their_own(atomic_tmp):
    """Blocks may be nested."""
    with atomic_tmp.fail(at="sync", path="a"), atomic_tmp.fail(PermissionError, at="open", path="b"):
        with pytest.raises(OSError, match="No space left"):
            write(atomic_tmp / "a")
        with pytest.raises(PermissionError):
            write(atomic_tmp / "b")


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("opened", ["before", "inside"])
def test_a_write_fails_where_it_would_on_a_full_disk(atomic_tmp, buffering, opened):
    """At once if unbuffered, at the end of the block if the buffer held it; also in a file that was open before."""
    publication = atomik.file(atomic_tmp / "a", "wb", buffering=buffering)
    if opened == "before":
        f = publication.open()
    with atomic_tmp.fail(at="write"):
        if opened == "inside":
            f = publication.open()
        if buffering == 0:
            with pytest.raises(OSError, match="No space left"):
                f.write(b"new")
            publication.discard()
        else:
            f.write(b"new")
            with pytest.raises(OSError, match="No space left"):
                publication.publish()

    assert atomic_tmp.discarded == ["a"]


def test_the_disk_stays_full_for_the_file_that_met_it(atomic_tmp):
    """Each later write to it fails, too; another file is not touched."""
    with (
        pytest.raises(OSError, match="No space left"),
        atomic_tmp.fail(at="write"),
        atomik.file(atomic_tmp / "a", "wb", buffering=0) as f,
        atomik.file(atomic_tmp / "b", "wb", buffering=0) as g,
    ):
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                f.write(b"new")
        g.write(b"new")

    assert (atomic_tmp.published, atomic_tmp.discarded) == (["b"], ["a"])


@pytest.mark.parametrize("at", ["open", "write", "sync", "publish", "durable"])
def test_a_fault_that_is_never_reached_fails_the_test(atomic_tmp, at):
    """A proof that proves nothing must not pass."""
    said = rf"atomic_tmp.fail\(at='{at}'\) was never reached: no publication that matches '\*.csv'"

    with pytest.raises(Failed, match=said), atomic_tmp.fail(at=at, path="*.csv"):
        write(atomic_tmp / "a.txt")


def test_a_folder_has_no_handle_to_write_through(atomic_tmp):
    """What fails then says so."""
    with (
        pytest.raises(Failed, match="file has a handle"),
        atomic_tmp.fail(at="write"),
        atomik.folder(atomic_tmp / "a") as d,
    ):
        (d / "b").write_text("new")


def test_an_error_of_another_origin_does_not_pass_for_the_fault(atomic_tmp):
    """`pytest.raises` around the block must not be content with it."""
    with pytest.raises(Failed, match="never reached") as failure, atomic_tmp.fail():
        os.rmdir(atomic_tmp / "missing")

    assert isinstance(failure.value.__cause__, FileNotFoundError)


def test_a_skip_passes_through(atomic_tmp):
    """A test that ends in the block for another reason ends for that reason."""
    with pytest.raises(pytest.skip.Exception), atomic_tmp.fail(), atomic_tmp.unchanged():
        pytest.skip("not today")


def test_a_fault_nobody_knows_is_refused(atomic_tmp):
    """The message lists those that there are, before anything runs."""
    with pytest.raises(ValueError, match="at is 'rename'; it takes 'open', 'write', 'sync', 'publish', 'durable'"):
        atomic_tmp.fail(at="rename")


# Calls that are no block.


def stage(top):
    """Publish by a stage what is in it, over what is there."""
    with atomik.stage([top / "new"]) as out:
        out[0].write_text("ours")


CALLS = {
    "rename": lambda top: atomik.rename(top / "file", top / "new"),
    "rename a folder": lambda top: atomik.rename(top / "folder", top / "new"),
    "exchange": lambda top: atomik.exchange(top / "file", top / "folder"),
    "remove": lambda top: atomik.remove(top / "file"),
    "remove a folder": lambda top: atomik.remove(top / "folder"),
    "symlink": lambda top: atomik.symlink("file", top / "new"),
    "copy": lambda top: atomik.copy(top / "file", top / "new"),
    "stage": stage,
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@pytest.fixture
def filled(atomic_tmp):
    """A file and a folder are there."""
    (atomic_tmp / "file").write_text("old")
    (atomic_tmp / "folder").mkdir()
    return atomic_tmp


@pytest.mark.atomic_tmp(leftovers=True)  # a folder whose removal may not be durable stays, out of sight
@calls
@pytest.mark.parametrize("at", ["publish", "durable"])
def test_every_call_can_be_made_to_fail(filled, call, at):
    """Before the instant nothing has changed; after it is done, and the error says that it may not be durable."""
    if at == "publish":
        with filled.unchanged(), pytest.raises(OSError, match="No space left"), filled.fail(at=at):
            call(filled)
        return

    before = sorted(os.listdir(filled)), (filled / "file").is_dir()
    with pytest.raises(atomik.NotDurableError), filled.fail(at=at):
        call(filled)
    assert (sorted(os.listdir(filled)), (filled / "file").is_dir()) != before


@pytest.mark.parametrize("name", ["rename", "rename a folder", "symlink", "copy"])
def test_every_call_that_does_not_overwrite_can_lose_a_race(filled, name):
    """The rival has published what the call would have, and the call leaves everything as it was."""
    with pytest.raises(FileExistsError), filled.lose_race():
        CALLS[name](filled)

    assert (filled / "new").is_dir() == (name == "rename a folder")
    assert (filled / "file").read_text() == "old"
    assert sorted(os.listdir(filled)) == ["file", "folder", "new"]


# Rivals.


@pytest.mark.parametrize(("content", "there"), [("theirs", "theirs"), (b"\xff", b"\xff"), (None, None), ("", "")])
def test_a_rival_is_first(atomic_tmp, content, there):
    """Whatever it has published is there, and ours is discarded."""
    with pytest.raises(FileExistsError), atomic_tmp.lose_race(content):
        write(atomic_tmp / "a")

    if there is None:
        assert os.listdir(atomic_tmp / "a") == []
    else:
        assert (atomic_tmp / "a").read_bytes() == (there if isinstance(there, bytes) else there.encode())
    assert atomic_tmp.discarded == ["a"]
    assert os.listdir(atomic_tmp) == ["a"]


def test_a_rival_of_one_that_overwrites_is_replaced_in_turn(atomic_tmp):
    """Both were asked to: the last one wins."""
    with atomik.folder(atomic_tmp / "a") as d:
        (d / "old").write_text("")

    with atomic_tmp.lose_race(None), atomik.folder(atomic_tmp / "a", overwrite=True) as d:
        (d / "ours").write_text("")

    assert os.listdir(atomic_tmp / "a") == ["ours"]
    assert atomic_tmp.published == ["a", "a"]


def test_a_rival_that_never_comes_fails_the_test(atomic_tmp):
    """As with a fault."""
    with pytest.raises(Failed, match=r"atomic_tmp.lose_race\(\) was never reached"), atomic_tmp.lose_race():
        pass


def publish_folder(top):
    """Publish a folder."""
    with atomik.folder(top / "a"):
        pass


def publish_path(top, make):
    """Publish whatever `make` makes."""
    with atomik.path(top / "a") as path:
        make(path)


@pytest.mark.parametrize(
    ("publish", "is_folder"),
    [
        (lambda top: write(top / "a"), False),
        (publish_folder, True),
        (lambda top: publish_path(top, Path.mkdir), True),
        (lambda top: publish_path(top, Path.touch), False),
    ],
    ids=["file", "folder", "path that is a folder", "path that is a file"],
)  # fmt: skip
def test_a_rival_publishes_what_the_publication_does(atomic_tmp, publish, is_folder):
    """A folder where a folder is published, else a file."""
    with pytest.raises(FileExistsError), atomic_tmp.lose_race():
        publish(atomic_tmp.path)

    assert (atomic_tmp / "a").is_dir() == is_folder


# It is a path.


def test_it_has_what_a_path_has(atomic_tmp, tmp_path):
    """And says what it has not."""
    atomic_tmp.joinpath("a").write_text("x")

    assert [path.name for path in atomic_tmp.iterdir()] == ["a"]
    assert list(atomic_tmp.glob("*")) == [atomic_tmp / "a"]
    assert atomic_tmp.exists()
    assert atomic_tmp.is_dir()
    assert atomic_tmp.name == tmp_path.name
    assert (atomic_tmp, tmp_path) == (tmp_path, atomic_tmp)
    assert {atomic_tmp: 1}[tmp_path] == 1
    assert {"glob", "crashes"} <= set(dir(atomic_tmp))
    with pytest.raises(IsADirectoryError):
        atomic_tmp.read_text()
    with pytest.raises(AttributeError, match="'AtomicTmp' object has no attribute 'golb'"):
        atomic_tmp.golb("*")


# Changes.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: (d / "new").write_text(""), "new: is new"),
        (lambda d: (d / "file").unlink(), "file: is gone"),
        (lambda d: (d / "file").write_text("other"), "file: has changed"),
        (lambda d: ((d / "file").unlink(), (d / "file").mkdir()), "file: has changed"),
        (lambda d: ((d / "link").unlink(), (d / "link").symlink_to("b")), "link: has changed"),
        (lambda d: (d / "folder" / "inner").write_text("other"), "folder/inner: has changed"),
        (lambda d: (d / ".hidden").mkdir(), ".hidden: is new"),
    ],
)
@pytest.mark.parametrize("raises", [False, True])
def test_every_change_of_names_and_contents_is_told(atomic_tmp, change, said, raises):
    """Also if the block raises: the error may be one that the test expects."""
    (atomic_tmp / "file").write_text("")
    (atomic_tmp / "link").symlink_to("a")
    (atomic_tmp / "folder").mkdir()
    (atomic_tmp / "folder" / "inner").write_text("")

    with pytest.raises(Failed) as failure, atomic_tmp.unchanged():
        change(atomic_tmp.path)
        if raises:
            raise OSError

    assert str(failure.value).splitlines() == ["atomic_tmp.unchanged(): it has changed:", f"  {said}"]


def test_finished_work_that_is_kept_is_no_change(atomic_tmp):
    """On a full disk Atomik keeps what was complete, beside its destination, on purpose."""
    with atomic_tmp.unchanged(), pytest.raises(OSError, match="kept"), atomic_tmp.fail(at="publish"):
        write(atomic_tmp / "a")

    assert [name.startswith("atomik-kept-") for name in os.listdir(atomic_tmp)] == [True]


def test_where_there_is_no_other_filesystem_the_test_is_skipped(atomic_tmp, monkeypatch):
    """With a reason that says so."""
    monkeypatch.setattr("pytest_atomik._dirs.elsewhere", lambda _: None)

    with pytest.raises(pytest.skip.Exception, match="no directory was found that is on another filesystem"):
        atomic_tmp.other_filesystem()
