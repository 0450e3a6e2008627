"""A folder and a dictionary to which the same is done: publications, with failures at random steps."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import atomik
import atomik_core.testing
from support.watch import descriptors, litter

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["", "one", "two", "three" * 5000])
SHAPES = st.sampled_from([("file", "file"), ("folder", "folder"), ("path", "file"), ("path", "folder")])
SYNCS = st.sampled_from(["off", "normal", "full"])
STEPS = st.sampled_from(["opened", "sealed", "synced", "published", "durable", "tidied"])

#: The steps at which a publication can no longer be undone.
VISIBLE = {"published", "durable", "tidied"}


class Interrupt(BaseException):
    """What no handler of ordinary errors catches, as Ctrl-C."""


def disk_trouble() -> OSError:
    """What a broken disk says."""
    return OSError(errno.EIO, "Broken on purpose")


#: What makes an error; each is raised once, for an exception remembers where it was raised.
ERRORS = st.sampled_from([disk_trouble, RuntimeError, Interrupt])


class Version(NamedTuple):
    """What can stand at a name: a file or a folder that says something."""

    kind: str
    text: str


class Waiting(NamedTuple):
    """A publication that is open, and what it will publish."""

    publication: atomik.Publication[Any]
    name: str
    version: Version
    overwrite: bool


def fill(handle: Any, version: Version) -> None:
    """Make a version in what a publication has yielded."""
    if not isinstance(handle, Path):
        handle.write(version.text)
    elif version.kind == "file":
        handle.write_text(version.text)
    else:
        (handle / "sub").mkdir(parents=True)
        (handle / "one").write_text(version.text)
        (handle / "sub" / "two").write_text(version.text)


def read(path: Path) -> Version:
    """What stands at a path: a whole version."""
    if not path.is_dir():
        return Version("file", path.read_text())
    assert sorted(str(each.relative_to(path)) for each in path.rglob("*")) == ["one", "sub", "sub/two"]
    text = (path / "one").read_text()
    assert (path / "sub" / "two").read_text() == text
    return Version("folder", text)


@contextlib.contextmanager
def failing_at(step: str, error: BaseException) -> Iterator[None]:
    """Let every publication fail at a step."""

    def watch(_: object, reached: str) -> None:
        if reached == step:
            raise error

    with atomik_core.testing.watching(watch):
        yield


class Publishing(RuleBasedStateMachine):
    """Publications on a few names, and a dictionary that says what should be there."""

    def __init__(self) -> None:
        """Begin with an empty folder."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="atomik-sequences-"))
        self.model: dict[str, Version] = {}
        self.waiting: list[Waiting] = []
        self.descriptors = descriptors()

    def teardown(self) -> None:
        """Leave nothing behind."""
        for each in self.waiting:
            each.publication.discard()
        left = litter(self.folder)
        shutil.rmtree(self.folder)
        assert left == []

    # What a call on the dictionary says.

    def refusal(self, name: str, kind: str, *, overwrite: bool) -> type[Exception] | None:
        """The error that publishing a file or folder at a name raises now."""
        there = self.model.get(name)
        if there is None:
            return None
        if not overwrite:
            return atomik.FileAlreadyExistsError
        if there.kind == kind:
            return None
        return IsADirectoryError if kind == "file" else NotADirectoryError

    @contextlib.contextmanager
    def expecting(self, error: type[BaseException] | None) -> Iterator[None]:
        """The block raises exactly this."""
        try:
            yield
        except BaseException as raised:
            if error is None or type(raised) is not error:
                raise
            if error in {IsADirectoryError, NotADirectoryError}:
                self.remove_kept(str(raised))
        else:
            assert error is None, f"{error.__name__} was not raised"

    def remove_kept(self, message: str) -> None:
        """Remove what a program has made of the wrong kind: it is kept where the error says."""
        for path in litter(self.folder):
            if path.parent == self.folder and path.name.startswith("atomik-kept-"):
                assert path.name in message
                atomik.remove(path, sync="off")

    # The calls.

    @rule(shape=SHAPES, name=NAMES, text=TEXTS, overwrite=st.booleans(), sync=SYNCS)
    def publish(self, shape: tuple[str, str], name: str, text: str, overwrite: bool, sync: str) -> None:
        """Publish, in each shape."""
        call, kind = shape
        refusal = self.refusal(name, kind, overwrite=overwrite)
        with self.expecting(refusal):
            with getattr(atomik, call)(self.folder / name, overwrite=overwrite, sync=sync) as handle:
                fill(handle, Version(kind, text))
        if refusal is None:
            self.model[name] = Version(kind, text)

    @rule(name=NAMES, text=TEXTS)
    def append(self, name: str, text: str) -> None:
        """Add to a file."""
        refusal = self.refusal(name, "file", overwrite=True)
        with self.expecting(refusal):
            with atomik.file(self.folder / name, "a", overwrite=True, sync="off") as file:
                file.write(text)
        if refusal is None:
            self.model[name] = Version("file", self.model.get(name, Version("file", "")).text + text)

    @rule(shape=SHAPES, name=NAMES, backup=NAMES, text=TEXTS)
    def publish_with_backup(self, shape: tuple[str, str], name: str, backup: str, text: str) -> None:
        """Publish, and keep what is replaced under another name."""
        call, kind = shape
        old = self.model.get(name)
        refusals = [self.refusal(name, kind, overwrite=True), old and self.refusal(backup, old.kind, overwrite=True)]
        if call == "path":
            refusals.reverse()  # which kind is made is known last
        refusal = ValueError if backup == name else refusals[0] or refusals[1]
        with self.expecting(refusal):
            where = self.folder / backup
            with getattr(atomik, call)(self.folder / name, overwrite=True, sync="off", backup=where) as handle:
                fill(handle, Version(kind, text))
        if refusal is None:
            self.model[name] = Version(kind, text)
            if old is not None:
                self.model[backup] = old

    @rule(shape=SHAPES, name=NAMES, text=TEXTS, overwrite=st.booleans(), sync=SYNCS, step=STEPS, make=ERRORS)
    def fail(
        self,
        shape: tuple[str, str],
        name: str,
        text: str,
        overwrite: bool,
        sync: str,
        step: str,
        make: Callable[[], BaseException],
    ) -> None:
        """Publish, and fail at a step."""
        error = make()
        call, kind = shape
        refusal = self.refusal(name, kind, overwrite=overwrite)
        expected = refusal or type(error)
        if refusal is None and isinstance(error, OSError) and step == "published":
            expected = atomik.NotDurableError
        if refusal in {IsADirectoryError, NotADirectoryError} and call == "path" and step in {"opened", "sealed"}:
            refusal = expected = type(error)  # which kind is made is known only later
        with self.expecting(expected), failing_at(step, error):
            with getattr(atomik, call)(self.folder / name, overwrite=overwrite, sync=sync) as handle:
                fill(handle, Version(kind, text))
        if refusal is not None:
            return
        if step in VISIBLE:
            self.model[name] = Version(kind, text)
            atomik.clean(self.folder)  # the old version, where it is not known whether the new one is durable
        elif step == "synced" and isinstance(error, OSError):
            (kept,) = (path for path in litter(self.folder) if path.name.startswith("atomik-kept-"))
            assert read(kept) == Version(kind, text)
            atomik.remove(kept, sync="off")

    @rule(shape=SHAPES, name=NAMES, text=TEXTS, overwrite=st.booleans(), make=ERRORS)
    def raise_in_the_block(
        self, shape: tuple[str, str], name: str, text: str, overwrite: bool, make: Callable[[], BaseException]
    ) -> None:
        """Leave the block with an exception."""
        error = make()
        call, kind = shape
        refusal = self.refusal(name, kind, overwrite=overwrite)
        if call == "path" and refusal in {IsADirectoryError, NotADirectoryError}:
            refusal = None
        with self.expecting(refusal or type(error)):
            with getattr(atomik, call)(self.folder / name, overwrite=overwrite) as handle:
                fill(handle, Version(kind, text))
                raise error

    @rule(name=NAMES, text=TEXTS, overwrite=st.booleans())
    def fill_the_disk(self, name: str, text: str, overwrite: bool) -> None:
        """Publish a file on a full disk."""
        full = OSError(errno.ENOSPC, "No space left on device")

        def refuse() -> None:
            raise full

        def watch(publication: atomik.Publication[Any], step: str) -> None:
            if step == "opened":
                atomik_core.testing.before_writes(publication, refuse)

        refusal = self.refusal(name, "file", overwrite=overwrite)
        with self.expecting(refusal or OSError), atomik_core.testing.watching(watch):
            with atomik.file(self.folder / name, overwrite=overwrite) as file:
                file.write(text + "!")

    # An empty file that nothing was written to is not put over what came meanwhile (tests/core/test_written_by_name.py).
    @rule(shape=SHAPES, name=NAMES, text=TEXTS.filter(bool), overwrite=st.booleans())
    def open(self, shape: tuple[str, str], name: str, text: str, overwrite: bool) -> None:
        """Open a publication, to be finished later."""
        call, kind = shape
        refusal = self.refusal(name, kind, overwrite=overwrite)
        if call == "path" and refusal in {IsADirectoryError, NotADirectoryError}:
            refusal = None
        publication = getattr(atomik, call)(self.folder / name, overwrite=overwrite, sync="off")
        with self.expecting(refusal):
            fill(publication.open(), Version(kind, text))
            self.waiting.append(Waiting(publication, name, Version(kind, text), overwrite))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), how=st.sampled_from(["publish", "publish twice", "discard", "forget"]))
    def close(self, data: st.DataObject, how: str) -> None:
        """Finish one that is open, or forget it."""
        publication, name, version, overwrite = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if how == "discard":
            publication.discard()
        elif how == "forget":
            del publication
            gc.collect()
        else:
            refusal = self.refusal(name, version.kind, overwrite=overwrite)
            with self.expecting(refusal):
                publication.publish()
                if how == "publish twice":
                    publication.publish()
            if refusal is None:
                self.model[name] = version
            publication.discard()

    # What holds at any time.

    @invariant()
    def is_as_the_dictionary_says(self) -> None:
        """Whole versions stand there, those and no others."""
        found = {name: read(self.folder / name) for name in os.listdir(self.folder) if not name.startswith(".")}
        assert found == self.model

    @invariant()
    def only_what_is_open_is_staged(self) -> None:
        """A cleaner finds nothing, and nothing is left open."""
        assert atomik.clean(self.folder) == []
        staged = [path for path in litter(self.folder) if path.parent == self.folder]
        assert len(staged) <= len(self.waiting)
        if not self.waiting:
            assert descriptors() == self.descriptors
