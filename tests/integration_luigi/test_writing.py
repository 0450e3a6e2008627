"""`open("w")`: what the file is, who else writes, and what is refused."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from luigi.format import Gzip, Nop

from luigi_atomik import AtomicLocalTarget, TargetExists
from support.needs import need_tool
from support.watch import descriptors

LINE = "one line\n"


# --- What the file is.


def test_it_is_to_isinstance_what_the_format_makes(path, format_):
    """Code that looks at the class of the file sees that of the format's own."""
    plain = Nop.pipe_writer(io.BufferedWriter(io.FileIO(os.devnull, "w")))
    theirs = AtomicLocalTarget(path, format_).format.pipe_writer(plain)
    with AtomicLocalTarget(path, format_).open("w") as file:
        assert isinstance(file, type(theirs))
    theirs.close()
    plain.close()


@pytest.mark.system
def test_a_program_can_be_given_the_file(path):
    """`Popen(stdout=f)` writes into the staged file: it has a real descriptor."""
    with AtomicLocalTarget(path, Nop).open("w") as file:
        file.write(b"first\n")
        file.flush()
        subprocess.run([sys.executable, "-S", "-c", "print('second')"], stdout=file, check=True)
        assert not path.exists()

    assert "first\nsecond\n" == path.read_text()


@pytest.mark.parametrize("attribute", ["name", "tmp_path"])
def test_a_program_that_opens_the_file_by_its_name_does_not_write_to_the_target(path, attribute):
    """`f.name` leads to what is staged, as LocalTarget's does, never to the target."""
    with AtomicLocalTarget(path, Nop).open("w") as file:
        Path(getattr(file, attribute)).write_text(LINE)
        assert not path.exists()

    assert LINE == path.read_text()


def test_it_can_be_sought_and_told(path):
    """The file is seekable and knows its position; a header can be filled in at the end."""
    with AtomicLocalTarget(path, Nop).open("w") as file:
        file.write(b"????-rest")
        assert (True, True, 9) == (file.writable(), file.seekable(), file.tell())
        file.seek(0)
        file.write(b"HEAD")

    assert "HEAD-rest" == path.read_text()


def test_abort_discards(path, format_, line):
    """`abort()` gives the work up; nothing is published after it, and it may be repeated."""
    file = AtomicLocalTarget(path, format_).open("w")
    file.write(line(format_))
    file.abort()
    file.abort()
    file.close()

    assert [] == os.listdir(path.parent)


def test_close_publishes_once(path, format_, line):
    """`close()` publishes without ``with``; repeated, it does not bring back what was replaced meanwhile."""
    file = AtomicLocalTarget(path, format_).open("w")
    file.write(line(format_))
    file.close()
    path.write_text("newer")
    file.close()

    assert "newer" == path.read_text()


# --- Who else writes.


def test_the_same_seed_does_not_bring_two_writers_together(path):
    """Two writers that seeded `random` alike write two files; LocalTarget's would share one."""
    random.seed(42)
    first = AtomicLocalTarget(path).open("w")
    random.seed(42)
    second = AtomicLocalTarget(path).open("w")
    first.write("first")
    second.write("second")
    first.close()
    assert "first" == path.read_text()
    second.close()

    assert "second" == path.read_text()


def test_the_same_seed_does_not_bring_two_temporary_targets_together():
    """Two temporary targets made after the same seed have two paths."""
    random.seed(42)
    first = AtomicLocalTarget(is_tmp=True)
    random.seed(42)

    assert first.path != AtomicLocalTarget(is_tmp=True).path


def test_a_temporary_target_goes_with_its_object(path):
    """`is_tmp` removes the file when the object is collected."""
    target = AtomicLocalTarget(path, is_tmp=True)
    with target.open("w") as file:
        file.write(LINE)
    assert path.exists()
    del target

    assert not path.exists()


@pytest.mark.system
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_touches_nothing_of_its_parent(path, format_, line):
    """A child that ends in whatever way neither publishes, nor discards, nor writes what its parent has begun."""
    temporary = AtomicLocalTarget(path.parent / "temporary", is_tmp=True)
    with temporary.open("w") as file:
        file.write(LINE)
    file = AtomicLocalTarget(path, format_).open("w")
    file.write(line(format_))
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            file.write(line(format_))
            file.close()
            del file, temporary
            gc.collect()
        os._exit(path.exists())
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not path.exists()
    assert Path(temporary.path).exists()
    file.close()

    assert LINE == path.read_text()


# --- Refusals, names, disks.


def test_what_exists_is_refused_at_open_if_it_is_not_to_be_replaced(path):
    """`overwrite=False` refuses at `open()`, not after hours of work; what stands there stays."""
    path.write_text("before")
    with pytest.raises(TargetExists) as caught:
        AtomicLocalTarget(path, overwrite=False).open("w")

    assert isinstance(caught.value, FileExistsError)
    assert str(path) == caught.value.filename
    assert "before" == path.read_text()


def test_a_rival_that_was_first_is_not_replaced(path):
    """`overwrite=False` means it until the end: what has appeared meanwhile stays, and the error is the same."""
    file = AtomicLocalTarget(path, overwrite=False).open("w")
    path.write_text("rival")
    with pytest.raises(FileExistsError):
        file.close()

    assert "rival" == path.read_text()


@pytest.mark.parametrize("overwrite", [None, True])
def test_what_exists_is_replaced(path, overwrite):
    """`open("w")` replaces what exists, as LocalTarget does, unless it is told not to."""
    path.write_text("before")
    with AtomicLocalTarget(path, overwrite=overwrite).open("w") as file:
        file.write(LINE)
        assert "before" == path.read_text()

    assert LINE == path.read_text()


def test_a_symbolic_link_is_replaced_itself(path):
    """A link at the target is replaced, and what it points to is left alone, as with LocalTarget."""
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("before")
    path.symlink_to(elsewhere)
    with AtomicLocalTarget(path).open("w") as file:
        file.write(LINE)

    assert ("before", LINE, False) == (elsewhere.read_text(), path.read_text(), path.is_symlink())


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "new\nline", "-rf", "a b;c"])
def test_every_name_that_the_filesystem_takes_can_be_a_target(tmp_path, name):
    """A name may be as long as the filesystem has it: nothing is added to it."""
    with AtomicLocalTarget(tmp_path / name).open("w") as file:
        file.write(LINE)

    assert LINE == (tmp_path / name).read_text()


def test_missing_directories_are_made_and_stay_for_others(tmp_path):
    """Parents are made, and not taken back on failure: another task may be writing there."""
    mine, others = AtomicLocalTarget(tmp_path / "a/b/mine"), AtomicLocalTarget(tmp_path / "a/b/others")
    file = mine.open("w")
    other = others.open("w")
    file.abort()
    other.write(LINE)
    other.close()

    assert ["others"] == os.listdir(tmp_path / "a/b")


def test_a_path_through_a_file_is_refused(path):
    """A file among the parents is an error that names it."""
    path.write_text("a file")
    with pytest.raises(NotADirectoryError):
        AtomicLocalTarget(path / "below").open("w")


def test_modes_other_than_r_and_w_are_refused(path):
    """As with LocalTarget, `open` reads or writes; nothing else."""
    with pytest.raises(Exception, match="mode must be 'r' or 'w'"):
        AtomicLocalTarget(path).open("a")


@pytest.mark.system
def test_a_full_disk_publishes_nothing_and_leaves_nothing(mounts, format_, line):
    """ENOSPC, wherever it comes up, discards: what was there is still there, and no descriptor holds the space."""
    place = mounts.small(mebibytes=1)
    path = place / "result.tar.gz"
    path.write_text("before")
    before = descriptors()
    with pytest.raises(OSError, match="No space left"), AtomicLocalTarget(path, format_).open("w") as file:
        for _ in range(300_000):
            file.write(line(format_))
    file.close()

    assert ("before", ["result.tar.gz"]) == (path.read_text(), os.listdir(place))
    assert before == descriptors()


@pytest.mark.system
def test_a_full_disk_under_a_process_publishes_nothing(mounts):
    """ENOSPC in the format's own process is its failure."""
    need_tool("gzip")
    place = mounts.small(mebibytes=1)
    noise = random.Random(0).randbytes(4 << 20)
    with pytest.raises((RuntimeError, BrokenPipeError)), AtomicLocalTarget(place / "x", Gzip).open("w") as file:
        file.write(noise)

    assert [] == os.listdir(place)


def test_nothing_is_logged_on_the_way(path, caplog):
    """A target that is written without trouble says nothing."""
    caplog.set_level(logging.DEBUG)
    with AtomicLocalTarget(path).open("w") as file:
        file.write(LINE)

    assert "" == caplog.text
