"""What `atomik.file` yields is what `open()` yields, and what was written to it is published whole."""

from __future__ import annotations

import io
import os

import pytest

import atomik

TEXT = ["w", "wt", "x", "xt", "w+", "wt+", "x+", "x+t", atomik.Mode.TEXT]
BINARY = ["wb", "bw", "xb", "wb+", "w+b", "xb+", atomik.Mode.BYTES]


@pytest.mark.parametrize("mode", TEXT)
def test_text(tmp_path, mode):
    """What is written in a text mode is published as text."""
    with atomik.file(tmp_path / "a", mode) as f:
        f.write("grün\n")

    assert (tmp_path / "a").read_text() == "grün\n"


@pytest.mark.parametrize("mode", BINARY)
def test_binary(tmp_path, mode):
    """What is written in a binary mode is published byte by byte."""
    with atomik.file(tmp_path / "a", mode) as f:
        f.write(bytes(range(256)))

    assert (tmp_path / "a").read_bytes() == bytes(range(256))


@pytest.mark.parametrize("mode", [*TEXT, *BINARY])
def test_the_handle_is_that_of_open(tmp_path, mode):
    """The handle has the type, the attributes and the abilities of the one that `open()` gives for the same mode."""
    names = ["mode", "encoding", "errors", "newlines", "line_buffering", "write_through", "closed"]
    abilities = ["readable", "writable", "seekable", "isatty", "tell"]

    with open(tmp_path / "theirs", mode) as theirs, atomik.file(tmp_path / "ours", mode) as ours:
        assert type(ours) is type(theirs)
        assert [getattr(ours, name, None) for name in names] == [getattr(theirs, name, None) for name in names]
        assert [getattr(ours, name)() for name in abilities] == [getattr(theirs, name)() for name in abilities]
        assert ours.name == str(tmp_path / "ours")


def test_arguments_of_open(tmp_path):
    """`encoding`, `errors` and `newline` do what they do in `open()`."""
    options = {"encoding": "latin-1", "errors": "replace", "newline": "\r\n"}
    for call, name in ((open, "theirs"), (atomik.file, "ours")):
        with call(tmp_path / name, "w", **options) as f:
            f.write("ä€\n")

    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes() == b"\xe4?\r\n"


@pytest.mark.parametrize("buffering", [-1, 1, 2, 4096])
@pytest.mark.parametrize("mode", ["w", "w+", "wb+"])
def test_buffering(tmp_path, mode, buffering):
    """Whatever the buffer, what was written last is published, too."""
    text = "line\n" * 5000
    with atomik.file(tmp_path / "a", mode, buffering=buffering) as f:
        f.write(text if "b" not in mode else text.encode())

    assert (tmp_path / "a").read_text() == text


def test_line_buffering(tmp_path):
    """With `buffering=1` each line of text is there for who reads what is staged."""
    publication = atomik.file(tmp_path / "a", buffering=1)
    with publication as f:
        f.write("one\ntwo")

        assert publication.staged.read_text() == "one\ntwo"  # as with open(): the newline flushes all


def test_unbuffered(tmp_path):
    """With `buffering=0` a binary file is raw: each write is one system call, staged at once."""
    publication = atomik.file(tmp_path / "a", "wb", buffering=0)
    with publication as f:
        assert isinstance(f, io.FileIO)
        assert f.write(b"now") == 3
        assert publication.staged.read_bytes() == b"now"

    assert (tmp_path / "a").read_bytes() == b"now"


def test_read_back(tmp_path):
    """A mode with `+` reads what was written, and what is changed by seeking and truncating is published."""
    with atomik.file(tmp_path / "a", "w+b") as f:
        f.write(b"0123456789")
        f.seek(3)
        assert f.read(2) == b"34"
        f.seek(0)
        f.write(b"X")
        f.truncate(5)

    assert (tmp_path / "a").read_bytes() == b"X1234"


def test_written_through_the_descriptor(tmp_path):
    """What goes through `fileno()`, as a child process or a C library writes, is published."""
    with atomik.file(tmp_path / "a") as f:
        f.write("buffered, ")
        f.flush()
        os.write(f.fileno(), b"direct")

    assert (tmp_path / "a").read_text() == "buffered, direct"


def test_closed_inside(tmp_path):
    """Closing the handle in the block publishes nothing yet; the end of the block does."""
    with atomik.file(tmp_path / "a") as f:
        f.write("all")
        f.close()

        assert os.listdir(tmp_path) == []

    assert (tmp_path / "a").read_text() == "all"


def test_closed_inside_and_failed(tmp_path):
    """An exception after the handle was closed discards."""
    with pytest.raises(ZeroDivisionError), atomik.file(tmp_path / "a") as f, f:
        f.write("all")
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []


def test_detached(tmp_path):
    """Who takes the layers of the handle apart gets all that reached any of them published."""
    with atomik.file(tmp_path / "a") as f:
        f.write("text, ")
        buffer = f.detach()
        buffer.write(b"bytes")

    assert (tmp_path / "a").read_bytes() == b"text, bytes"


def test_wrapped(tmp_path):
    """A wrapper that somebody put around the handle and closed has closed it, and all of it is published."""
    with atomik.file(tmp_path / "a", "wb") as f, io.TextIOWrapper(f, "utf-16-le") as wrapper:
        wrapper.write("ab")

    assert (tmp_path / "a").read_bytes() == b"a\0b\0"


def test_handle_after_the_end(tmp_path):
    """After the block the handle is closed: nothing can be written to what is published."""
    with atomik.file(tmp_path / "a", "wb") as f:
        f.write(b"all")

    assert f.closed
    with pytest.raises(ValueError, match="closed"):
        f.write(b"more")


def test_handle_after_an_exception(tmp_path):
    """After an exception the handle is closed, too, and its buffer goes nowhere."""
    with pytest.raises(ZeroDivisionError), atomik.file(tmp_path / "a") as f:
        f.write("half")
        raise ZeroDivisionError

    with pytest.raises(ValueError, match="closed"):
        f.write("more")
    del f  # its collector must not complain


def test_without_a_name(tmp_path):
    """While it is written a file has no name, so that a killed process leaves nothing."""
    with atomik.file(tmp_path / "a") as f:
        f.write("all")

        assert os.listdir(tmp_path) == []
        assert os.fstat(f.fileno()).st_nlink == 0


def test_nothing_written(tmp_path):
    """A block that writes nothing publishes an empty file, as `open()` would leave one."""
    with atomik.file(tmp_path / "a"):
        pass

    assert (tmp_path / "a").read_bytes() == b""


@pytest.mark.parametrize(
    "mode", ["", "r", "rb", "rt", "b", "t", "+", "wx", "wa", "ww", "wbb", "wbt", "w++", "rw", "wU", "W", "w "]
)
def test_no_mode(tmp_path, mode):
    """A mode that does not write, or is none, is an error at the call, which names the modes that there are."""
    with pytest.raises(ValueError, match=r"w, x, a"):
        atomik.file(tmp_path / "a", mode)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("x", {"overwrite": True}),
        ("xb", {"overwrite": True}),
        ("wb", {"encoding": "utf-8"}),
        ("wb", {"errors": "strict"}),
        ("wb", {"newline": ""}),
        ("w", {"buffering": 0}),
        ("w", {"permissions": -1}),
        ("w", {"permissions": 0o10000}),
        ("w", {"sync": "fast"}),
    ],
)
def test_arguments_that_contradict(tmp_path, mode, options):
    """Arguments that make no sense are an error at the call, before anything is touched."""
    with pytest.raises(ValueError):
        atomik.file(tmp_path / "missing" / "a", mode, **options)


@pytest.mark.parametrize(("options", "error"), [({"encoding": "no-such"}, LookupError), ({"newline": "x"}, ValueError)])
def test_arguments_that_the_codec_refuses(tmp_path, options, error):
    """An unknown encoding or newline is an error before the block."""
    (tmp_path / "a").write_text("old")

    with pytest.raises(error), atomik.file(tmp_path / "a", overwrite=True, **options):
        pytest.fail("the block began")

    assert (tmp_path / "a").read_text() == "old"


def test_text_that_cannot_be_encoded(tmp_path):
    """A character that the encoding lacks discards, and is the caller's UnicodeEncodeError."""
    with pytest.raises(UnicodeEncodeError), atomik.file(tmp_path / "a", encoding="ascii") as f:
        f.write("ok\n")
        f.write("ä")

    assert os.listdir(tmp_path) == []


def test_exclusive_mode(tmp_path):
    """`x` says what is the default: what exists is left as it is."""
    (tmp_path / "a").write_text("old")

    with pytest.raises(FileExistsError), atomik.file(tmp_path / "a", "x"):
        pytest.fail("the block began")

    assert (tmp_path / "a").read_text() == "old"


def test_mode_names():
    """`Mode` is the two modes by name, and strings."""
    assert list(atomik.Mode) == ["w", "wb"]
    assert atomik.Mode.TEXT == "w"
    assert atomik.Mode.BYTES == "wb"
    assert str(atomik.Mode.BYTES) == "wb"


def test_calls_of_the_foreign_atomik(tmp_path):
    """The calls of the atomik 0.0.x that is on PyPI behave as documented there."""
    from atomik.errors import FileAlreadyExistsError

    staging = tmp_path / "staging"
    staging.mkdir()
    with atomik.file(tmp_path / "a", mode=atomik.Mode.BYTES, overwrite=False, tmp_dir=staging) as f:
        f.write(b"bytes")
    with atomik.folder(tmp_path / "b", overwrite=False, tmp_dir=staging) as d:
        (d / "one").write_text("1")

    with pytest.raises(FileAlreadyExistsError), atomik.file(tmp_path / "a"):
        pytest.fail("the block began")
    assert (tmp_path / "a").read_bytes() == b"bytes"
    assert os.listdir(tmp_path / "b") == ["one"]
    assert os.listdir(staging) == []


def test_positions_of_the_foreign_atomik(tmp_path):
    """`overwrite` and `tmp_dir` may be given by position, where 0.0.x has them; its mode values are understood."""
    staging = tmp_path / "staging"
    staging.mkdir()
    for text in ("old", "new"):
        with atomik.file(tmp_path / "a", atomik.Mode("TEXT"), True, staging) as f:
            f.write(text)
            assert atomik.file(tmp_path / "c", atomik.Mode("BYTES")).kind == "file"
        with atomik.folder(tmp_path / "b", True, staging) as d:
            (d / text).write_text(text)

    assert atomik.Mode("BYTES") is atomik.Mode.BYTES
    with pytest.raises(ValueError, match="'BOTH' is not a valid Mode"):
        atomik.Mode("BOTH")
    assert (tmp_path / "a").read_text() == "new"
    assert os.listdir(tmp_path / "b") == ["new"]
    assert os.listdir(staging) == []
