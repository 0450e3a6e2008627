"""`temporary_path()` and `folder()`: a file or folder that some program makes, published whole, by one of all rivals."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
from pathlib import Path

import pytest

import atomik
from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget, TargetExists
from support.processes import Program
from support.rivals import rivals
from support.watch import descriptors, litter


class BrokenWorkError(Exception):
    """What a task's own code raises."""


def make(target: AtomicLocalTarget, way: str, text: str = "new") -> None:
    """Make the target, a folder with one file, in one of the two ways."""
    if way == "folder":
        with target.folder() as folder:
            (folder / "part").write_text(text)
    else:
        with target.temporary_path() as staged:
            os.mkdir(staged)
            Path(staged, "part").write_text(text)


WAYS = pytest.mark.parametrize("way", ["folder", "temporary_path"])


def test_the_staged_path_has_the_targets_own_name(path):
    """What goes by the extension, or stores the name, works: luigi #3128."""
    with AtomicLocalTarget(path).temporary_path() as staged:
        assert isinstance(staged, str)
        assert "result.tar.gz" == os.path.basename(staged)
        assert not os.path.exists(staged)
        Path(staged).write_text("new")
        assert not path.exists()

    assert "new" == path.read_text()


def test_a_target_with_a_slash_at_its_end_stages_one_with_a_slash(path):
    """Code that joins names to the staged path by `+` works as with LocalTarget."""
    with AtomicLocalTarget(f"{path}/").temporary_path() as staged:
        os.mkdir(staged)
        Path(staged + "part").write_text("new")

    assert "new" == (path / "part").read_text()


@WAYS
def test_a_folder_appears_as_a_whole(path, way):
    """A folder is there when it is complete, with all that is in it."""
    make(AtomicLocalTarget(path), way)

    assert "new" == (path / "part").read_text()


@WAYS
def test_a_folder_is_replaced_at_once_if_it_may_be(path, way):
    """With `overwrite=True` a folder that exists is replaced (luigi #2997), and what was in it is gone."""
    make(AtomicLocalTarget(path), way, "old")
    (path / "old").write_text("old")
    make(AtomicLocalTarget(path, overwrite=True), way)

    assert (["part"], "new") == (os.listdir(path), (path / "part").read_text())


@pytest.mark.parametrize("overwrite", [None, False])
@WAYS
def test_what_exists_is_refused_at_the_start(path, way, overwrite):
    """Unless it may be replaced, a target that exists is refused before any work is done."""
    path.write_text("before")
    with pytest.raises(TargetExists) as caught:
        make(AtomicLocalTarget(path, overwrite=overwrite), way)

    assert isinstance(caught.value, FileExistsError)
    assert "before" == path.read_text()


@WAYS
def test_a_failed_block_leaves_nothing(path, way):
    """After an exception nothing is staged any more: LocalTarget leaves it all (luigi #1519)."""
    before = descriptors()
    with pytest.raises(BrokenWorkError) as caught, getattr(AtomicLocalTarget(path), way)() as staged:
        Path(staged).mkdir(exist_ok=True)
        Path(staged, "part").write_text("half")
        raise BrokenWorkError

    assert ([], before) == (os.listdir(path.parent), descriptors())
    assert caught.value.__cause__ is None


@WAYS
def test_a_block_that_is_never_ended_publishes_nothing(path, way):
    """A block that is dropped, as a generator's is, is discarded by the collector."""
    block = getattr(AtomicLocalTarget(path), way)()
    staged = block.__enter__()
    Path(staged).mkdir(exist_ok=True)
    del block
    gc.collect()

    assert [] == os.listdir(path.parent)


def test_a_block_that_makes_nothing_is_an_error(path):
    """If nothing was made at the staged path, that is an error, and not an empty target."""
    with pytest.raises(atomik.NothingStagedError, match="Nothing was made"), AtomicLocalTarget(path).temporary_path():
        pass

    assert [] == os.listdir(path.parent)


def test_an_error_of_the_users_own_publication_is_not_changed(path):
    """What the block raises is raised as it is, even if it is Atomik's own error about something else."""
    other = path.with_name("other")
    other.write_text("there")
    with pytest.raises(atomik.FileAlreadyExistsError) as caught, AtomicLocalTarget(path).folder():
        atomik.file(other).open()

    assert not isinstance(caught.value, TargetExists)


@pytest.mark.system
@pytest.mark.parametrize("way", ["folder", "temporary_path"])
def test_exactly_one_of_all_rivals_wins(tmp_path, way):
    """Four processes that make the same target in the same instant: one publishes, three are told TargetExists."""
    source = f"""
import os, sys, threading
from luigi_atomik import AtomicLocalTarget
def attempt(number):
    target = AtomicLocalTarget(f"{{sys.argv[1]}}/{{number}}")
    with target.{way}() as staged:
        os.makedirs(staged, exist_ok=True)
        with open(f"{{staged}}/maker", "w") as file:
            file.write(str(os.getpid()))
    return os.getpid()
"""
    for number, answers in enumerate(rivals(4, source, tmp_path, rounds=25)):
        winners = [answer for answer in answers if answer != "TargetExists"]
        assert [int((tmp_path / str(number) / "maker").read_text())] == winners


@WAYS
def test_a_rival_that_was_first_keeps_its_version(path, way):
    """What appeared during the work is not replaced: the error says so at the end, and ours is discarded."""
    with pytest.raises(TargetExists), getattr(AtomicLocalTarget(path), way)() as staged:
        Path(staged).mkdir(exist_ok=True)
        path.mkdir()
        (path / "rival").touch()

    assert ["rival"] == os.listdir(path)


def test_the_longest_name_can_be_made(tmp_path):
    """Staging adds nothing to the name, so it may be as long as the filesystem has it."""
    path = tmp_path / ("x" * 255)
    make(AtomicLocalTarget(path), "temporary_path")
    make(AtomicLocalTarget(path, overwrite=True), "folder")

    assert "new" == (path / "part").read_text()


def test_missing_directories_are_made_and_stay_for_others(tmp_path):
    """Parents are made, and not taken back on failure: another task may be writing there."""
    with pytest.raises(BrokenWorkError), AtomicLocalTarget(tmp_path / "a/b/c").folder():
        raise BrokenWorkError

    assert [] == os.listdir(tmp_path / "a/b")


# --- AtomicLocalFolderTarget.


def test_a_folder_target_exists_only_as_a_folder(path):
    """A file at its path is not the target."""
    path.write_text("a file")
    assert not AtomicLocalFolderTarget(path).exists()
    path.unlink()
    make(AtomicLocalFolderTarget(path), "folder")

    assert AtomicLocalFolderTarget(path).exists()


@pytest.mark.parametrize("mode", ["r", "w"])
def test_a_folder_target_is_not_opened(path, mode):
    """`open` says what to do instead."""
    with pytest.raises(IsADirectoryError, match=re.escape("make it with folder() or temporary_path()")):
        AtomicLocalFolderTarget(path).open(mode)


def test_a_folder_target_refuses_a_file(path):
    """A file that was made for it is an error, and is not published."""
    with pytest.raises(NotADirectoryError, match="this target is a folder"):
        with AtomicLocalFolderTarget(path).temporary_path() as staged:
            Path(staged).write_text("a file")

    assert [] == os.listdir(path.parent)


# --- SIGTERM and kill -9.

HALF_DONE = """
import os, signal, sys, time
from luigi_atomik import AtomicLocalTarget
with getattr(AtomicLocalTarget(sys.argv[1]), sys.argv[2])() as staged:
    os.makedirs(staged, exist_ok=True)
    with open(f"{staged}/part", "w") as file:
        file.write("half")
    print("half done", flush=True)
    while True:
        time.sleep(60)
"""


@pytest.mark.system
@WAYS
def test_sigterm_leaves_nothing_and_still_kills(path, way):
    """SIGTERM, as a worker's timeout sends it, discards what is staged; the process dies of it as it would have."""
    with Program(HALF_DONE, path, way) as program:
        assert "half done" == program.line()
        assert -signal.SIGTERM == program.kill(signal.SIGTERM)

    assert [] == os.listdir(path.parent)


@pytest.mark.system
@WAYS
def test_what_kill_9_leaves_is_removed_by_the_next_run(path, way):
    """After kill -9 there is no target; making it anew removes what was staged."""
    with Program(HALF_DONE, path, way) as program:
        assert "half done" == program.line()
        assert -signal.SIGKILL == program.kill()
    assert not path.exists()
    assert 1 == len(litter(path.parent))
    make(AtomicLocalTarget(path), way)

    assert [path.name] == os.listdir(path.parent)


@pytest.mark.system
def test_what_is_alive_is_not_removed_by_the_next_run(path):
    """What another process is still making stays when targets beside it are made."""
    with Program(HALF_DONE, path, "folder") as program:
        assert "half done" == program.line()
        with AtomicLocalTarget(path.with_name("other")).open("w") as file:
            file.write("x")
        assert 1 == len(litter(path.parent))
        program.kill(signal.SIGTERM)


def test_a_handler_of_sigterm_that_somebody_has_set_is_left_alone(path):
    """Who handles SIGTERM goes on to do so; who does not finds it as it was, after nested blocks, too."""
    mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with AtomicLocalTarget(path).folder():
            assert signal.SIG_IGN is signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with AtomicLocalTarget(path.with_name("a")).folder(), AtomicLocalTarget(path.with_name("b")).folder():
            assert signal.SIG_DFL is not signal.getsignal(signal.SIGTERM)
        assert signal.SIG_DFL is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, mine)


def test_it_works_in_any_thread(path):
    """Where no signal can be handled, nothing is; the target is made all the same."""
    thread = threading.Thread(target=make, args=(AtomicLocalTarget(path), "folder"))
    thread.start()
    thread.join()

    assert ["part"] == os.listdir(path)
