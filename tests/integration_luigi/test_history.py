"""Inside `run()` the old outputs are there until they are written; the final paths are known; direct writes are reported."""

# ruff: noqa: D102 - the methods that Luigi calls are known

from __future__ import annotations

import json
import os
import sqlite3
import unittest.mock
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import luigi
import pytest

import atomik
from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget, AtomicOutputs
from support.watch import litter


class BrokenWorkError(Exception):
    """What a task's own code raises."""


@pytest.fixture(autouse=True)
def no_tasks_of_before():
    """Let each test have tasks of its own: Luigi keeps instances by class and parameters."""
    luigi.task_register.Register.clear_instance_cache()


@pytest.fixture(params=["with the mixin", "without"])
def mixin(request) -> tuple[type, ...]:
    """The base classes: a task does the same with them and without."""
    return (AtomicOutputs,) if request.param == "with the mixin" else ()


@pytest.fixture(params=[AtomicLocalTarget, luigi.LocalTarget], ids=["atomic", "plain"])
def kind(request) -> type[luigi.LocalTarget]:
    """Both kinds of target."""
    return request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the output is."""
    return tmp_path / "output.db"


def run_task(mixin: tuple[type, ...], target: luigi.Target, work: Callable[[luigi.Task], object]) -> luigi.Task:
    """Run a task with one output that does WORK."""

    class Working(*mixin, luigi.Task):
        def output(self):
            return target

        def run(self):
            work(self)

    luigi.task_register.Register.clear_instance_cache()
    task = Working()
    task.run()
    return task


def identity(path: Path) -> tuple[int, ...]:
    """What tells an entry from one that was made anew or changed: not when it was read."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


# --- What is there already.


def _rewrite(task: luigi.Task) -> None:
    old = task.output().open().read() if task.output().exists() else ""
    with task.output().open("w") as file:
        file.write(old + "line\n")


def _append_by_path(task: luigi.Task) -> None:
    with open(task.output().path, "a") as file:
        file.write("line\n")


def _append_by_a_program(task: luigi.Task) -> None:
    assert 0 == os.system(f"echo line >> '{task.output().path}'")


def _replace_by_path(task: luigi.Task) -> None:
    old = Path(task.output().path)
    text = old.read_text() if old.exists() else ""
    new = old.with_name("new")
    new.write_text(text + "line\n")
    new.replace(old)


def _remove_first(task: luigi.Task) -> None:
    text = ""
    if task.output().exists():
        text = task.output().open().read()
        task.output().remove()
        assert not task.output().exists()
    with task.output().open("w") as file:
        file.write(text + "line\n")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file that was read and not closed, as users do
@pytest.mark.parametrize("append", [_rewrite, _append_by_path, _append_by_a_program, _replace_by_path, _remove_first])
def test_a_line_that_is_added_in_each_run_is_added_to_the_others(mixin, kind, path, append):
    """Read, add a line, rewrite; append; by a program: every line is kept, as it is without the mixin."""
    for _ in range(3):
        run_task(mixin, kind(str(path)), append)

    assert "line\n" * 3 == path.read_text()
    assert [] == litter(path.parent)


def test_a_database_is_updated(mixin, kind, path):
    """A table keeps the rows of the runs before."""

    def insert(task):
        with sqlite3.connect(task.output().path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS runs (number)")
            connection.execute("INSERT INTO runs SELECT count(*) FROM runs")
        connection.close()

    for _ in range(3):
        run_task(mixin, kind(str(path)), insert)

    with sqlite3.connect(path) as connection:
        assert [(0,), (1,), (2,)] == connection.execute("SELECT number FROM runs").fetchall()
    connection.close()


def test_a_folder_is_added_to(mixin, kind, path):
    """Partitions that were made before stay, and links among them are links."""

    def add(task):
        folder = Path(task.output().path)
        folder.mkdir(exist_ok=True)
        number = len(list(folder.glob("[0-9]*")))
        (folder / str(number)).write_text("x")
        (folder / "latest").unlink(missing_ok=True)
        (folder / "latest").symlink_to(str(number))

    for _ in range(3):
        run_task(mixin, kind(str(path)), add)

    assert ["0", "1", "2", "latest"] == sorted(os.listdir(path))
    assert "2" == os.readlink(path / "latest")


def test_exists_size_and_content_are_the_old_ones_until_it_is_written(mixin, kind, path):
    """Then they are the new ones."""
    path.write_text("old")
    seen = []

    def look(task):
        for text in ("new and longer", None):
            target = task.output()
            with target.open() as file:
                seen.append((target.exists(), os.path.getsize(target.path), file.read()))
            if text:
                with target.open("w") as file:
                    file.write(text)

    run_task(mixin, kind(str(path)), look)

    assert [(True, 3, "old"), (True, 14, "new and longer")] == seen


def test_what_a_run_leaves_stays_as_it_is(mixin, tmp_path):
    """A run that skips what exists makes the rest; what existed is not even touched."""
    (tmp_path / "first").write_text("old")
    before = identity(tmp_path / "first")

    class Skipping(*mixin, luigi.Task):
        def output(self):
            return {name: AtomicLocalTarget(tmp_path / name) for name in ("first", "second")}

        def run(self):
            for target in self.output().values():
                if not target.exists():
                    with target.open("w") as file:
                        file.write("new")

    Skipping().run()

    assert ("old", "new") == ((tmp_path / "first").read_text(), (tmp_path / "second").read_text())
    assert before == identity(tmp_path / "first")
    assert [] == litter(tmp_path)


@pytest.mark.parametrize("order", [1, -1], ids=["outer first", "inner first"])
def test_a_folder_that_a_run_leaves_stays_as_it_is(tmp_path, caplog, order):
    """The same for a folder, and for an output inside it."""
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "folder/inner/file").write_text("old")
    before = identity(tmp_path / "folder/inner")

    class Skipping(AtomicOutputs, luigi.Task):
        def output(self):
            return [
                AtomicLocalFolderTarget(tmp_path / "folder"),
                AtomicLocalTarget(tmp_path / "folder/inner/file"),
                AtomicLocalTarget(tmp_path / "new"),
            ][::order]

        def run(self):
            assert [True, True, False][::order] == [target.exists() for target in self.output()]
            Path(self.output()[::order][2].path).touch()

    Skipping().run()

    assert before == identity(tmp_path / "folder/inner")
    assert (tmp_path / "new").exists()
    assert "" == caplog.text


def test_a_run_that_fails_leaves_the_old_one(kind, path):
    """What it has done to its copy is gone with it."""
    path.write_text("old")

    def fail(task):
        _append_by_path(task)
        raise BrokenWorkError

    with pytest.raises(BrokenWorkError):
        run_task((AtomicOutputs,), kind(str(path)), fail)

    assert "old" == path.read_text()
    assert [] == litter(path.parent)


def test_an_old_one_that_is_removed_and_not_made_anew_is_missing(path):
    """Without the mixin it would be gone; with it, that is an error, and the old one is there."""
    path.write_text("old")
    with pytest.raises(atomik.NothingStagedError, match="nothing is published"):
        run_task((AtomicOutputs,), AtomicLocalTarget(path), lambda task: task.output().remove())

    assert "old" == path.read_text()


@pytest.mark.parametrize("way", ["temporary_path", "folder"])
def test_a_folder_may_be_made_anew(path, way):
    """`temporary_path` and `folder` of a staged target begin with nothing, and take the old one's place."""
    path.mkdir()
    (path / "old").touch()

    def make(task):
        with getattr(task.output(), way)() as folder:
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / "new").touch()

    run_task((AtomicOutputs,), AtomicLocalTarget(path), make)

    assert ["new"] == os.listdir(path)


def test_a_task_that_makes_everything_anew_can_do_without_copies(path):
    """With `start_from_old = False` nothing is copied, and nothing old is there."""
    path.write_text("old")

    class Anew(AtomicOutputs, luigi.Task):
        start_from_old = False

        def output(self):
            return AtomicLocalTarget(path)

        def run(self):
            assert not self.output().exists()
            Path(self.output().path).write_text("new")

    Anew().run()

    assert "new" == path.read_text()


def test_a_link_that_a_run_leaves_stays_one(path):
    """An output that is a symbolic link now can be read through its staged path, and stays."""
    path.with_name("real").write_text("old")
    path.symlink_to("real")

    def read(task):
        assert "old" == Path(task.output().path).read_text()

    run_task((AtomicOutputs,), AtomicLocalTarget(path), read)

    assert "real" == os.readlink(path)


def test_a_fifo_is_refused_before_run_begins(path):
    """It cannot be replaced by what is staged, nor copied; it stays."""
    os.mkfifo(path)
    with pytest.raises(FileExistsError, match="A FIFO stands at the destination"):
        run_task((AtomicOutputs,), AtomicLocalTarget(path), lambda task: pytest.fail("run() has begun"))

    assert path.is_fifo()


# --- Where it will be.


def test_the_final_path_is_known_in_run(tmp_path):
    """`final_path` is what manifests and databases need; `path` is where it is made. Outside they are the same."""

    class WithManifest(AtomicOutputs, luigi.Task):
        def output(self):
            return {name: AtomicLocalTarget(tmp_path / name) for name in ("data.csv", "manifest.json")}

        def run(self):
            with self.output()["data.csv"].open("w") as file:
                file.write("1\n")
            with self.output()["manifest.json"].open("w") as file:
                json.dump({"file": self.output()["data.csv"].final_path}, file)

    task = WithManifest()
    task.run()

    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert "1\n" == Path(manifest["file"]).read_text()
    assert task.output()["data.csv"].path == task.output()["data.csv"].final_path


def test_one_file_in_two_spellings_is_one_output(tmp_path, monkeypatch):
    """Relative and absolute, through a link, with dots: what is made of one is there as the other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    names = ["real/x", "./real/x", "link/x", str(tmp_path / "real/x"), "real/../real/x"]

    class Spelled(AtomicOutputs, luigi.Task):
        def output(self):
            return [AtomicLocalTarget(name) for name in names]

        def run(self):
            with self.output()[0].open("w") as file:
                file.write("x")
            assert [True] * len(names) == [target.exists() for target in self.output()]

    Spelled().run()

    assert ["x"] == os.listdir(tmp_path / "real")


# --- Direct writes.


class Keeps(AtomicOutputs, luigi.Task):
    """Keeps its target, and so writes to the final path."""

    base = luigi.Parameter()

    @cached_property
    def target(self):
        return AtomicLocalTarget(f"{self.base}/kept.csv")

    def output(self):
        return [self.target, AtomicLocalTarget(f"{self.base}/staged.csv")]

    def run(self):
        with open(self.target.path, "w") as file:
            file.write("direct\n")
        self.make_other()

    def make_other(self):
        """The second output."""
        Path(self.output()[1].path).write_text("staged\n")


@pytest.mark.parametrize("old", [None, "old"])
def test_what_is_written_to_the_final_path_stays_and_is_reported(tmp_path, caplog, old):
    """A target that the task keeps is not staged: the log says that it was not published at once, and the rest is."""
    if old:
        (tmp_path / "kept.csv").write_text(old)
    Keeps(str(tmp_path)).run()

    assert ("direct\n", "staged\n") == tuple((tmp_path / name).read_text() for name in ("kept.csv", "staged.csv"))
    assert f"{tmp_path / 'kept.csv'}: a program wrote to it itself" in caplog.text
    assert "staged.csv" not in caplog.text


def test_no_message_says_that_nothing_is_published_when_something_is(tmp_path):
    """If another output is missing, the error names what was written directly."""

    class Forgets(Keeps):
        def make_other(self):
            pass

    with pytest.raises(atomik.NothingStagedError) as caught:
        Forgets(str(tmp_path)).run()

    assert f"'{tmp_path / 'kept.csv'}' was written by the program itself, and stays; nothing else is published" in str(
        caught.value
    )
    assert ["kept.csv"] == os.listdir(tmp_path)


def test_a_patched_output_is_written_directly(tmp_path, caplog):
    """A test that patches `output` of a task works on: what it wrote is where the patch says."""
    target = AtomicLocalTarget(tmp_path / "patched")

    class Patched(AtomicOutputs, luigi.Task):
        def output(self):
            return AtomicLocalTarget(tmp_path / "x")

        def run(self):
            with self.output().open("w") as file:
                file.write("x")

    with unittest.mock.patch.object(Patched, "output", return_value=target):
        Patched().run()
        assert Patched().complete()

    assert f"{tmp_path / 'patched'}: a program wrote to it itself" in caplog.text
    assert ["patched"] == os.listdir(tmp_path)


def test_an_untouched_output_is_not_taken_for_a_direct_write(tmp_path, caplog):
    """What merely stands there is not reported."""
    (tmp_path / "kept.csv").write_text("old")

    class Reads(Keeps):
        def run(self):
            self.target.open().close()
            self.make_other()

    Reads(str(tmp_path)).run()

    assert "" == caplog.text
