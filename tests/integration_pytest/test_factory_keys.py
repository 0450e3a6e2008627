"""What makes two keys, two builders and two values the same, and what cannot be one at all."""

from __future__ import annotations

import functools
import linecache
import os
from enum import IntEnum, StrEnum
from pathlib import Path

import pytest

from pytest_atomik._build_key import describe_builder, digest_of, digest_of_path


class Word(StrEnum):
    """A str that is more than one."""

    ONE = "1"


class Number(IntEnum):
    """An int that is more than one."""

    ONE = 1


def digest(key):
    """The digest of a key, with paths by their content."""
    return digest_of(key, digest_of_path)


DIFFERENT = [
    *(None, True, False, 1, 0, -1, 1.0, 0.1, "1", "", b"1", b"", "None", "é", "\udce9"),
    *([], [1], [1, 2], [2, 1], [[1], 2], [[1, 2]], ["12"], ["1", "2"], [None], {}, {"a": 1}, {"a": 2}, {"b": 1}),
    *({"a": 1, "b": 2}, {"a": 2, "b": 1}, {1: "a"}, [{"a": 1}], ["a", 1], {"a": {}}, {"a": []}),
]


def test_keys_that_differ_have_different_digests():
    """By type, by value, by nesting."""
    assert len({digest(key) for key in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ([1, "a"], (1, "a")),
        ("1", Word.ONE),
        (1, Number.ONE),
        (10**30, 10**30),
    ],
)
def test_equal_keys_have_one_digest(one, other):
    """Whatever the order of a dictionary, and the class of a sequence, a word or a number."""
    assert digest(one) == digest(other)


@pytest.mark.parametrize("key", [object(), {1, 2}, [1, [object()]], {"a": print}, 1j, range(3)])
def test_a_key_of_something_else_is_an_error(key):
    """The message says what keys are made of, and what that was."""
    with pytest.raises(TypeError, match=r"a key is made of str, bytes, numbers, .* not of"):
        digest(key)


def test_a_path_is_its_content(tmp_path):
    """Of a file its bytes and whether it is a program; of a folder all that is in it, by name; of a link what it leads to."""
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    (tmp_path / "link").symlink_to("a")
    assert digest(tmp_path / "a") == digest(tmp_path / "b") == digest(tmp_path / "link")
    assert digest(tmp_path / "a") != digest("x")

    (tmp_path / "b").chmod(0o755)
    assert digest(tmp_path / "a") != digest(tmp_path / "b")


def test_a_folder_changes_with_everything_in_it(tmp_path):
    """A name, a content, an empty folder, a link's target; but not with what an interpreter writes beside its sources."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    seen = {digest(folder)}

    def change(make):
        make()
        seen.add(digest(folder))

    changes = [
        lambda: (folder / "below" / "x").write_text("x"),
        lambda: (folder / "below" / "x").write_text("y"),
        lambda: (folder / "below" / "x").rename(folder / "below" / "z"),
        lambda: (folder / "below" / "z").rename(folder / "z"),
        (folder / "empty").mkdir,
        lambda: (folder / "link").symlink_to("z"),
        lambda: ((folder / "link").unlink(), (folder / "link").symlink_to("empty")),
    ]
    for make in changes:
        change(make)
    assert len(seen) == len(changes) + 1

    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    change(lambda: os.utime(folder / "z", (1, 1)))
    assert len(seen) == len(changes) + 1


def test_a_path_that_has_no_content_is_an_error(tmp_path):
    """None there, and a FIFO, at which one would wait for ever."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="is neither"):
        digest(tmp_path)
    with pytest.raises(FileNotFoundError):
        digest(tmp_path / "missing")


def make_one(folder):
    """Build."""


def make_other(folder):
    """Build, too."""


def decorated(function):
    """Wrap."""

    @functools.wraps(function)
    def wrapper(folder):
        return function(folder)

    return wrapper


@decorated
def make_decorated(folder):
    """Build, decorated."""


class Maker:
    """A class of builders."""

    def make(self, folder):
        """Build."""


def test_a_builder_is_known_by_its_name_and_source():
    """Functions, methods, lambdas, decorated ones, and what functools.partial binds."""
    one, other = describe_builder(make_one), describe_builder(make_other)
    assert one.source != other.source
    assert one.has_source
    assert one.label.startswith(f"{__name__}.make_one (test_factory_keys.py:")
    assert "Build, decorated." in describe_builder(make_decorated).source
    assert '"""Build."""' in describe_builder(Maker().make).source
    assert describe_builder(lambda folder: None).source != describe_builder(lambda folder: 1).source
    bound = describe_builder(functools.partial(make_one, 1, a=2))
    assert bound.source == one.source
    assert digest(bound.arguments) != digest(describe_builder(functools.partial(make_one, 2, a=2)).arguments)


@pytest.mark.parametrize("known", [None, "import sys\n"], ids=["nothing known", "as in python -c"])
def test_a_builder_whose_source_cannot_be_seen_has_a_name_only(monkeypatch, known):
    """Made by `exec`, or written in C; the text that Python 3.13 knows of `python -c` is none of it."""
    if known:
        monkeypatch.setitem(linecache.cache, "<string>", (len(known), None, [known], "<string>"))
    made: dict = {}
    exec("def build(folder): ...", made)
    for build in (made["build"], print):
        assert not describe_builder(build).has_source


async def make_later(folder):
    """Build nothing when it is called."""


def make_bit_by_bit(folder):
    """Build nothing when it is called."""
    yield


@pytest.mark.parametrize("build", [make_later, make_bit_by_bit, functools.partial(make_later, 1)])
def test_a_builder_that_builds_nothing_when_it_is_called_is_an_error(build):
    """It would publish an empty folder."""
    with pytest.raises(TypeError, match="asynchronous or a generator"):
        describe_builder(build)


def test_a_builder_that_cannot_be_called_is_an_error():
    """A path instead of a function, say."""
    with pytest.raises(TypeError, match="has to be a function"):
        describe_builder(Path("x"))


# Through the fixture itself.


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/a", "a\0b", "x" * 201])
def test_a_name_is_one_component_of_a_path(atomic_tmp_factory, name):
    """Nothing is built for any other one."""
    with pytest.raises(ValueError, match="cannot be the name of a build"):
        atomic_tmp_factory.folder(name, pytest.fail)


def test_values_come_back_as_they_were(atomic_tmp_factory):
    """Each call gives a value of its own, so that nobody can change another one's."""

    def build():
        return {"a": [1, 2.5, None, True, "é"], "b": {}}

    first = atomic_tmp_factory.value("a value", build)
    first["a"].clear()

    assert atomic_tmp_factory.value("a value", build) == build()


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: 2}, {"a": (1,)}, float("nan"), float("inf"), {1}, object(), b"x", Path("x")],
    ids=lambda value: "object" if type(value) is object else repr(value),
)
def test_a_value_that_json_does_not_give_back_is_an_error(atomic_tmp_factory, request, value):
    """It would be one thing for who built it and another one for all others."""
    with pytest.raises(TypeError, match="a value has to be"):
        atomic_tmp_factory.value(f"no value {request.node.callspec.indices['value']}", lambda: value)


def test_a_file_is_text_or_bytes(atomic_tmp_factory):
    """Text is UTF-8, whatever the locale; the file can be reopened by its name while it is built."""
    text = atomic_tmp_factory.file("text.txt", lambda file: file.write("é"))
    data = atomic_tmp_factory.file("data.bin", lambda file: Path(file.name).write_bytes(b"\xff"), mode="wb")

    assert (text.name, text.read_bytes()) == ("text.txt", "é".encode())
    assert (data.name, data.read_bytes()) == ("data.bin", b"\xff")
    with pytest.raises(ValueError, match="mode is 'w' for text or 'wb' for bytes"):
        atomic_tmp_factory.file("appended", pytest.fail, mode="a")


def test_builders_that_leave_something_else_are_errors(atomic_tmp_factory):
    """A folder that is gone, a file that is a link, work that has yet to be done."""

    def gone(folder):
        folder.rmdir()

    def linked(file):
        Path(file.name).unlink()
        Path(file.name).symlink_to("/")

    with pytest.raises(NotADirectoryError, match="has removed the folder"):
        atomic_tmp_factory.folder("gone", gone)
    with pytest.raises(FileNotFoundError, match="has removed the file"):
        atomic_tmp_factory.file("linked", linked)
    with pytest.raises(TypeError, match="has still to be run"):
        atomic_tmp_factory.folder("later", lambda folder: (make_one(folder), make_later(folder))[1])
    with pytest.raises(pytest.fail.Exception, match=r"'gone' was not built: .*gone .* raised in (main|gw\d+)"):
        atomic_tmp_factory.folder("gone", gone)


def test_a_key_needs_a_source(atomic_tmp_factory):
    """Without it nobody knows when the build is stale."""
    made: dict = {}
    exec("def build(folder): ...", made)

    with pytest.raises(TypeError, match=r"the source of .*build cannot be seen"):
        atomic_tmp_factory.folder("sourceless", made["build"], key=1)
    assert os.listdir(atomic_tmp_factory.folder("sourceless", made["build"])) == []


def test_what_partial_binds_is_a_part_of_the_key(atomic_tmp_factory):
    """Two builds of one builder; an argument that no key could have is an error that says so."""

    def build(text, file):
        file.write(text)

    one, other = (atomic_tmp_factory.file("partial", functools.partial(build, text)) for text in ("one", "other"))

    assert (one.read_text(), other.read_text()) == ("one", "other")
    with pytest.raises(TypeError) as failure:
        atomic_tmp_factory.file("partial", functools.partial(build, object()))
    assert "functools.partial binds it to " in failure.value.__notes__[0]


def test_copies_are_for_tests(atomic_tmp_factory, tmp_path):
    """What does not exist cannot be copied, and nothing is left of the attempt."""
    with pytest.raises(FileNotFoundError):
        atomic_tmp_factory.copy(tmp_path / "missing")
    assert os.listdir(tmp_path) == []
