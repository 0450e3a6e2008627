"""`open("w")` that fails: what LocalTarget then publishes half-written or leaves behind, `AtomicLocalTarget` does not."""

# ruff: noqa: D102 - the methods that Luigi calls are known

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import os
import sys
import weakref
from typing import Any, NoReturn

import pytest
from luigi.format import UTF8, Format, Nop, OutputPipeProcessWrapper

from luigi_atomik import AtomicLocalTarget
from support.watch import children, descriptors

LINE = "one line\n"


class BrokenWorkError(Exception):
    """What a task's own code raises."""


class Process(Format):
    """A format whose process is SCRIPT."""

    input = output = "bytes"

    def __init__(self, script: str) -> None:
        self.script = script

    def pipe_writer(self, output_pipe):
        return OutputPipeProcessWrapper([sys.executable, "-S", "-c", self.script], output_pipe)


class Unclosing(Format):
    """A format whose object does not close what it writes to, as gzip.GzipFile does not."""

    def pipe_writer(self, output_pipe):
        return gzip.GzipFile(fileobj=output_pipe, mode="wb")


def fail() -> NoReturn:
    """Fail."""
    raise BrokenWorkError


def fail_in_block(target: AtomicLocalTarget, content: str | bytes) -> Any:
    """Let the ``with`` block of the target fail after it has written CONTENT; the file."""
    with pytest.raises(BrokenWorkError), target.open("w") as file:
        file.write(content)
        raise BrokenWorkError
    return file


# --- Failed blocks.


def test_a_failed_block_publishes_nothing_even_if_it_is_closed_afterwards(path, format_, line):
    """`close()` after a failed block does not publish what had been written until then."""
    file = fail_in_block(AtomicLocalTarget(path, format_), line(format_))
    file.close()

    assert not path.exists()


@pytest.mark.system
def test_a_failed_block_of_a_format_with_a_process_publishes_nothing(path, piped, line):
    """The same where a process stands between."""
    file = fail_in_block(AtomicLocalTarget(path, piped), line(piped))
    file.close()

    assert not path.exists()


def test_a_failed_block_leaves_what_was_there(path, format_, line):
    """A target that was to be replaced is still the one of before."""
    path.write_text("before")
    fail_in_block(AtomicLocalTarget(path, format_), line(format_))

    assert "before" == path.read_text()


def test_the_exception_of_the_block_keeps_nothing_alive(path, format_, line):
    """When the block has failed, nothing is staged and no descriptor is open, however long the exception lives."""
    before = descriptors()
    with pytest.raises(BrokenWorkError) as kept, AtomicLocalTarget(path, format_).open("w") as file:
        file.write(line(format_))
        raise BrokenWorkError

    assert before == descriptors()
    assert [] == os.listdir(path.parent)
    assert kept.tb is not None


@pytest.mark.system
def test_the_exception_keeps_no_process_and_no_pipe_alive(path, piped, line):
    """The same for the processes of formats and the pipes to them."""
    before, running = descriptors(), children()
    with pytest.raises(BrokenWorkError) as kept, AtomicLocalTarget(path, piped).open("w") as file:
        file.write(line(piped))
        raise BrokenWorkError

    assert before == descriptors()
    assert running == children()
    assert kept.tb is not None


def test_the_exception_is_the_blocks_own(path, format_):
    """The exception is raised unchanged."""
    error = BrokenWorkError()
    with pytest.raises(BrokenWorkError) as caught, AtomicLocalTarget(path, format_).open("w"):
        raise error

    assert error is caught.value
    assert error.__cause__ is None


# --- Closed while an exception is on its way.


def test_finally_close_does_not_publish_what_failed(path, format_, caplog, line):
    """`try: ... finally: f.close()` publishes nothing if the work failed, and the log says so."""
    with pytest.raises(BrokenWorkError):
        write_and_close_finally(AtomicLocalTarget(path, format_), line(format_), fail=True)

    assert not path.exists()
    assert "discarded, since it was closed while an exception was being handled (BrokenWorkError: )" in caplog.text


def test_finally_close_publishes_what_succeeded(path, format_, caplog, line):
    """Without an exception the same code publishes."""
    write_and_close_finally(AtomicLocalTarget(path, format_), line(format_), fail=False)

    assert LINE == path.read_text()
    assert "" == caplog.text


def write_and_close_finally(target: AtomicLocalTarget, content: str | bytes, *, fail: bool) -> None:
    """The most common way to write a file without ``with``."""
    file = target.open("w")
    try:
        file.write(content)
        if fail:
            raise BrokenWorkError
    finally:
        file.close()


@pytest.mark.parametrize("wrap", [io.TextIOWrapper, contextlib.closing], ids=["io.TextIOWrapper", "closing"])
def test_a_wrapper_whose_block_fails_does_not_publish(path, wrap):
    """`with io.TextIOWrapper(f):` closes the file whatever happened; what failed is not published."""
    with pytest.raises(BrokenWorkError), wrap(AtomicLocalTarget(path, Nop).open("w")):
        raise BrokenWorkError

    assert not path.exists()


def test_it_can_be_used_as_a_whole_while_an_exception_is_handled(path, format_, line):
    """In an except block a file is opened, written and closed as anywhere."""
    try:
        fail()
    except BrokenWorkError:
        file = AtomicLocalTarget(path, format_).open("w")
        file.write(line(format_))
        file.close()

    assert LINE == path.read_text()


def test_a_block_that_ends_in_peace_publishes_while_an_exception_is_handled(path, format_, line):
    """A file that was opened before, and is written in a ``with`` block of its own in an except block, is published."""
    file = AtomicLocalTarget(path, format_).open("w")
    try:
        fail()
    except BrokenWorkError:
        with file:
            file.write(line(format_))

    assert LINE == path.read_text()


def test_an_exception_that_was_handled_before_does_not_matter(path, format_, line):
    """An exception that was caught and done with while the file was open is no reason not to publish."""
    file = AtomicLocalTarget(path, format_).open("w")
    with contextlib.suppress(BrokenWorkError):
        raise BrokenWorkError
    file.write(line(format_))
    file.close()

    assert LINE == path.read_text()


# --- The collector.


def test_a_file_that_is_collected_is_not_published(path, format_, line):
    """A file that is dropped without `close()` is discarded, with everything staged for it."""
    before = descriptors()
    file = AtomicLocalTarget(path, format_).open("w")
    file.write(line(format_))
    del file
    gc.collect()

    assert before == descriptors()
    assert [] == os.listdir(path.parent)


def test_a_text_wrapper_that_is_collected_does_not_publish(path, recwarn):
    """An io.TextIOWrapper around the file, collected, closes it; but nobody said that it was complete (luigi #2087)."""
    text = io.TextIOWrapper(AtomicLocalTarget(path, Nop).open("w"))
    text.write(LINE)
    del text
    gc.collect()

    assert not path.exists()
    assert [] == list(recwarn)


def test_a_text_wrapper_of_a_format_that_is_collected_does_not_publish(path, text_around):
    """The same for one inside a format that is not Luigi's."""
    file = AtomicLocalTarget(path, text_around).open("w")
    file.write(LINE)
    inner = weakref.ref(file._atomik_writer)
    del file
    gc.collect()

    assert inner() is None
    assert not path.exists()


@pytest.mark.system
def test_a_process_that_is_collected_does_not_publish(path, piped, line):
    """A format with a process, dropped without `close()`, publishes nothing and leaves no process."""
    running = children()
    file = AtomicLocalTarget(path, piped).open("w")
    file.write(line(piped))
    del file
    gc.collect()

    assert not path.exists()
    assert running == children()


# --- Formats whose process dies or fails.


@pytest.mark.system
@pytest.mark.parametrize("chained", [False, True], ids=["alone", "under text"])
@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param("import sys; sys.stdin.read(); sys.exit(3)", "3", id="exits with 3"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "-9", id="is killed"),
        pytest.param("pass", None, id="reads nothing"),
    ],
)
def test_a_process_that_fails_publishes_nothing(path, script, status, chained, line):
    """If the format's process fails or dies, an error says so, and nothing is published, then or later."""
    path.write_text("before")
    format_ = UTF8 >> Process(script) if chained else Process(script)
    before = descriptors()
    with (
        pytest.raises((RuntimeError, BrokenPipeError)) as caught,
        AtomicLocalTarget(path, format_).open("w") as file,
    ):
        for _ in range(100_000):
            file.write(line(format_))
    file.close()

    assert "before" == path.read_text()
    assert before == descriptors()
    if status is not None:
        assert any(f"ended with status {status}" in note for note in caught.value.__notes__)


@pytest.mark.system
def test_a_process_that_fails_at_close_publishes_nothing(path):
    """The same without ``with``: `close()` raises, and raises no more when it is repeated after that."""
    file = AtomicLocalTarget(path, Process("import sys; sys.stdin.read(); sys.exit(3)")).open("w")
    with pytest.raises(RuntimeError, match="Error when executing command"):
        file.close()
    file.close()

    assert not path.exists()


@pytest.mark.system
def test_the_inner_of_two_processes_that_fails_publishes_nothing(path):
    """In a chain of two processes, the one next to the file fails: nothing is published."""
    format_ = Process("import sys; sys.stdout.write(sys.stdin.read())") >> Process(
        "import sys; sys.stdin.read(); sys.exit(3)"
    )
    with pytest.raises(RuntimeError), AtomicLocalTarget(path, format_).open("w") as file:
        file.write(LINE.encode())

    assert not path.exists()


@pytest.mark.system
def test_what_went_through_processes_can_be_read_again(path, piped, line):
    """Each format with a process writes and reads the same."""
    target = AtomicLocalTarget(path, piped)
    with target.open("w") as file:
        file.write(line(piped))
        assert not path.exists()
    with target.open() as file:
        assert line(piped) == file.read()


def test_a_format_that_does_not_close_its_file_is_published_all_the_same(path):
    """When the block ends in peace, what the format wrote is published, whether or not it closes what it writes to."""
    with AtomicLocalTarget(path, Unclosing()).open("w") as file:
        file.write(LINE.encode())

    assert LINE == gzip.decompress(path.read_bytes()).decode()


def test_a_format_that_fails_at_the_start_leaves_nothing(path):
    """If the format cannot even begin, the file is discarded at once."""

    class Failing(Format):
        def pipe_writer(self, output_pipe):
            raise BrokenWorkError

    before = descriptors()
    with pytest.raises(BrokenWorkError):
        AtomicLocalTarget(path, Failing()).open("w")

    assert before == descriptors()
