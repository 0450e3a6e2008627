"""A Publication by hand: what it says of itself, and what each of its methods does when, and when repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import atomik
import atomik_core.testing


def test_published_by_hand(tmp_path, shape):
    """`open()` gives what `with` yields, and `publish()` does what the end of the block does."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")
    assert shape.read(tmp_path / "a") is None

    publication.publish()

    assert shape.read(tmp_path / "a") == "new"


def test_discarded_by_hand(tmp_path, shape):
    """`discard()` leaves nothing."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")

    publication.discard()

    assert os.listdir(tmp_path) == []


def test_nothing_before_open(tmp_path, shape):
    """The call alone touches nothing, and forgets nothing: the checks are made when it is opened."""
    publication = shape.call(tmp_path / "missing" / "a")
    assert os.listdir(tmp_path) == []
    (tmp_path / "missing").mkdir()

    shape.fill(publication.open(), "new")
    publication.publish()

    assert shape.read(tmp_path / "missing" / "a") == "new"


def test_states(tmp_path, shape):
    """`state` goes from new to open, and ends as published or discarded."""
    publication = shape.call(tmp_path / "a")
    assert publication.state == "new"
    with publication as handle:
        assert publication.state == "open"
        shape.fill(handle, "new")
    assert publication.state == "published"

    failed = shape.call(tmp_path / "a")
    with pytest.raises(FileExistsError):
        failed.open()
    assert failed.state == "discarded"

    unused = shape.call(tmp_path / "b")
    unused.discard()
    assert unused.state == "discarded"


def test_publish_twice(tmp_path, shape):
    """`publish()` repeated does nothing, even if the destination has changed."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")
    publication.publish()
    atomik.remove(tmp_path / "a")

    publication.publish()

    assert os.listdir(tmp_path) == []
    assert publication.state == "published"


def test_discard_twice(tmp_path, shape):
    """`discard()` repeated does nothing."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")
    publication.discard()
    shape.lay(tmp_path / "a", "theirs")

    publication.discard()

    assert shape.read(tmp_path / "a") == "theirs"
    assert publication.state == "discarded"


def test_publish_after_discard(tmp_path, shape):
    """`publish()` after `discard()` is ValueError, and publishes nothing; so it is if there never was an `open()`."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")
    publication.discard()
    unused = shape.call(tmp_path / "a")
    unused.discard()

    for each in (publication, unused):
        with pytest.raises(ValueError, match="discarded"):
            each.publish()

    assert os.listdir(tmp_path) == []


def test_publish_before_open(tmp_path, shape):
    """`publish()` before `open()` is ValueError."""
    publication = shape.call(tmp_path / "a")

    with pytest.raises(ValueError, match="new"):
        publication.publish()

    assert os.listdir(tmp_path) == []


def test_publish_after_a_failure(tmp_path, shape):
    """`publish()` after one that failed is ValueError: it has discarded."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")
    shape.lay(tmp_path / "a", "rival")
    with pytest.raises(atomik.FileAlreadyExistsError):
        publication.publish()

    with pytest.raises(ValueError, match="discarded"):
        publication.publish()


def test_discard_after_publish(tmp_path, shape):
    """`discard()` after `publish()` does nothing: what is published stays."""
    publication = shape.call(tmp_path / "a")
    shape.fill(publication.open(), "new")
    publication.publish()

    publication.discard()

    assert shape.read(tmp_path / "a") == "new"
    assert publication.state == "published"


def test_discard_inside(tmp_path, shape):
    """After `discard()` inside the block, its end publishes nothing, and raises nothing."""
    publication = shape.call(tmp_path / "a")
    with publication as handle:
        shape.fill(handle, "new")
        publication.discard()
        assert os.listdir(tmp_path) == []

    assert os.listdir(tmp_path) == []
    assert publication.state == "discarded"


def test_publish_inside(tmp_path, shape):
    """After `publish()` inside the block, what is published stays, whatever happens in the rest of the block."""
    publication = shape.call(tmp_path / "a")
    with pytest.raises(ZeroDivisionError), publication as handle:
        shape.fill(handle, "new")
        publication.publish()
        raise ZeroDivisionError

    assert shape.read(tmp_path / "a") == "new"
    assert publication.state == "published"


@pytest.mark.parametrize("end", ["publish", "discard", "nothing"])
def test_open_twice(tmp_path, shape, end):
    """A publication is good for one time: `open()` or `with` again is ValueError, and disturbs nothing."""
    publication = shape.call(tmp_path / "a", overwrite=True)
    shape.fill(publication.open(), "new")
    if end != "nothing":
        getattr(publication, end)()

    with pytest.raises(ValueError, match="opened before"):
        publication.open()
    with pytest.raises(ValueError, match="opened before"), publication:
        pytest.fail("the block began")

    if end == "nothing":
        publication.publish()
    assert shape.read(tmp_path / "a") == (None if end == "discard" else "new")


def test_open_after_discard(tmp_path, shape):
    """A publication that was discarded before it was opened cannot be opened any more."""
    publication = shape.call(tmp_path / "a")
    publication.discard()

    with pytest.raises(ValueError):
        publication.open()

    assert os.listdir(tmp_path) == []


def test_destination(tmp_path, monkeypatch, shape):
    """`destination` is the path as it was given, as a Path."""
    monkeypatch.chdir(tmp_path)

    assert shape.call("sub/../a").destination == Path("sub/../a")
    assert shape.call(os.fsencode(tmp_path / "a")).destination == tmp_path / "a"


def test_kind(tmp_path, shape):
    """`kind` is known from the start, or for `path` when the block has ended."""
    publication = shape.call(tmp_path / "a")
    known = {atomik.file: "file", atomik.folder: "folder", atomik.path: None}[shape.call]
    assert publication.kind == known
    with publication as handle:
        shape.fill(handle, "new")
        assert publication.kind == known

    assert publication.kind == ("folder" if shape.is_folder else "file")


def test_staged(tmp_path, shape):
    """`staged` is a path at which the content can be read while the publication is open."""
    publication = shape.call(tmp_path / "a", **({"buffering": 1} if shape.call is atomik.file else {}))
    with publication as handle:
        shape.fill(handle, "new\n")
        assert isinstance(publication.staged, Path)
        assert shape.read(publication.staged) == "new\n"
        if shape.call is not atomik.file:
            assert publication.staged == handle


@pytest.mark.parametrize("end", ["publish", "discard", "nothing"])
def test_nothing_staged(tmp_path, shape, end):
    """Before and after, nothing is staged: `staged` is ValueError, and says in which state it is."""
    publication = shape.call(tmp_path / "a")
    if end != "nothing":
        shape.fill(publication.open(), "new")
        getattr(publication, end)()

    with pytest.raises(ValueError, match=publication.state):
        _ = publication.staged


def test_representation(tmp_path, shape):
    """A publication says in a debugger what it is, where it leads and how far it is."""
    publication = shape.call(tmp_path / "a")

    assert str(tmp_path / "a") in repr(publication)
    assert "new" in repr(publication)


def test_it_is_a_publication(tmp_path, shape):
    """What the calls give is an `atomik.Publication`, which takes no attribute by mistake."""
    publication = shape.call(tmp_path / "a")

    assert isinstance(publication, atomik.Publication)
    with pytest.raises(AttributeError):
        publication.dest = "b"


def steps_of(shape, path, **options):
    """Publish, and list the steps that the seam was told of."""
    steps = []
    with atomik_core.testing.watching(lambda publication, step: steps.append((publication.state, step))):
        shape.publish(path, "new", **options)
    return steps


@pytest.mark.parametrize("sync", ["full", "normal", "off"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_steps(tmp_path, shape, sync, overwrite):
    """The seam for tests is told of each step in its order, whatever is asked for, and of the state in it."""
    if overwrite:
        shape.lay(tmp_path / "a", "old")

    assert steps_of(shape, tmp_path / "a", sync=sync, overwrite=overwrite) == [
        ("open", "opened"),
        ("open", "sealed"),
        ("open", "synced"),
        ("published", "published"),
        ("published", "durable"),
        ("published", "tidied"),
    ]


@pytest.mark.parametrize("error", [OSError(28, "no space"), ZeroDivisionError(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["opened", "sealed", "synced"])
def test_failing_before_publication(tmp_path, shape, at, error):
    """What fails at a step before publication discards, and the old version stays."""
    shape.lay(tmp_path / "a", "old")
    steps = []

    def watcher(_, step):
        steps.append(step)
        if step == at:
            raise error

    publication = shape.call(tmp_path / "a", overwrite=True)
    with atomik_core.testing.watching(watcher), pytest.raises(type(error)), publication as handle:
        shape.fill(handle, "new")

    assert publication.state == "discarded"
    assert steps[-2:] == [at, "discarded"]
    assert shape.read(tmp_path / "a") == "old"
    kept = [name for name in os.listdir(tmp_path) if name != "a"]
    for name in kept:  # finished work that could not be published is kept
        assert at == "synced"
        assert isinstance(error, OSError)
        assert shape.read(tmp_path / name) == "new"
        atomik.remove(tmp_path / name)


@pytest.mark.parametrize("error", [OSError(5, "broken"), ZeroDivisionError(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["published", "durable", "tidied"])
def test_failing_after_publication(tmp_path, shape, at, error):
    """What fails after publication is raised, and the new version is there: published is published."""
    shape.lay(tmp_path / "a", "old")

    def watcher(_, step):
        if step == at:
            raise error

    publication = shape.call(tmp_path / "a", overwrite=True)
    with atomik_core.testing.watching(watcher), pytest.raises(BaseException) as caught, publication as handle:
        shape.fill(handle, "new")

    assert isinstance(
        caught.value, atomik.NotDurableError if (at, type(error)) == ("published", OSError) else type(error)
    )
    assert publication.state == "published"
    assert shape.read(tmp_path / "a") == "new"
    for name in os.listdir(tmp_path):  # the old version is not removed before the new one is durable
        if name != "a":
            assert at != "tidied"
            assert shape.is_folder
            assert shape.read(tmp_path / name) == "old"
            atomik.remove(tmp_path / name)


def test_not_durable(tmp_path, shape):
    """If the sync of the directory fails, the error says that it is published, with errno and destination."""

    def watcher(_, step):
        if step == "published":
            raise OSError(5, "Input/output error")

    with atomik_core.testing.watching(watcher), pytest.raises(atomik.NotDurableError, match="visible") as caught:
        shape.publish(tmp_path / "a", "new")

    assert isinstance(caught.value, OSError)
    assert caught.value.errno == 5
    assert caught.value.destination == str(tmp_path / "a")
    assert isinstance(caught.value.__cause__, OSError)
    assert shape.read(tmp_path / "a") == "new"


def test_watching_ends(tmp_path, shape):
    """The seam is used within its block only, and watchers are told in the order in which they came."""
    told = []
    with atomik_core.testing.watching(lambda *_: told.append("first")):
        with atomik_core.testing.watching(lambda *_: told.append("second")):
            shape.publish(tmp_path / "a", "new")
    assert told == ["first", "second"] * 6

    shape.publish(tmp_path / "b", "new")

    assert len(told) == 12
