"""Who sees what is staged: the threads, processes and jobs that `run()` started; nobody else, whatever instance it asks."""

# ruff: noqa: D102 - the methods that Luigi calls are known

from __future__ import annotations

import asyncio
import copy
import multiprocessing.pool
import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import luigi
import pytest

from luigi_atomik import AtomicLocalTarget, AtomicOutputs
from support.processes import Program, run
from support.watch import litter

PROCESSES = Path(__file__).with_name("run_processes.py")


class Slow(AtomicOutputs, luigi.Task):
    """Makes one output, and lets a test look when half of it is there."""

    base = luigi.Parameter()

    def output(self):
        return AtomicLocalTarget(os.path.join(self.base, "slow.txt"))

    def run(self):
        Path(self.output().path).write_text("half\n")
        self.half_done()
        Path(self.output().path).write_text("half\nwhole\n")

    def half_done(self):
        """What a subclass does meanwhile."""


@pytest.fixture(autouse=True)
def no_tasks_of_before():
    """Let each test have tasks of its own: Luigi keeps instances by class and parameters."""
    luigi.task_register.Register.clear_instance_cache()


def in_thread(function: Callable[[], object]) -> object:
    """What a function returns in a thread that is started here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(30)


class Stranger:
    """A thread that is there before any run: it answers what it is asked."""

    def __init__(self) -> None:
        self._question: Callable[[], object] | None = None
        self._asked, self._answered = threading.Semaphore(0), threading.Semaphore(0)
        self._answer: object = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def ask(self, question: Callable[[], object]) -> object:
        """What it gets for an answer."""
        self._question = question
        self._asked.release()
        assert self._answered.acquire(timeout=30)
        return self._answer

    def close(self) -> None:
        """End it."""
        self._question = None
        self._asked.release()
        self._thread.join()

    def _serve(self) -> None:
        while self._asked.acquire() and self._question is not None:
            self._answer = self._question()
            self._answered.release()


@pytest.fixture
def stranger():
    """A thread that no run has started."""
    stranger = Stranger()
    yield stranger
    stranger.close()


# --- Every other thread.


def test_another_thread_sees_the_real_output_of_the_same_instance(tmp_path, stranger):
    """While `run()` is half done, the same instance is not complete for another thread, and its output is the real one."""
    final = str(tmp_path / "slow.txt")
    seen = []

    class Watched(Slow):
        def half_done(self):
            assert self.output().exists()
            seen.extend([stranger.ask(self.complete), stranger.ask(lambda: self.output().path)])

    Watched(str(tmp_path)).run()

    assert [False, final] == seen


def test_another_thread_builds_on_no_half_of_it(tmp_path, stranger):
    """`luigi.build` in another thread (as in a web server) does not take the half for the whole."""
    half, go_on = threading.Event(), threading.Event()

    class Waiting(Slow):
        def half_done(self):
            half.set()
            assert go_on.wait(30)

    class Reader(luigi.Task):
        def requires(self):
            return Waiting(str(tmp_path))

        def output(self):
            return AtomicLocalTarget(tmp_path / "read.txt")

        def run(self):
            with self.input().open() as file, self.output().open("w") as out:
                out.write(file.read())

    runner = threading.Thread(target=Waiting(str(tmp_path)).run)
    runner.start()
    assert half.wait(30)
    assert not stranger.ask(Waiting(str(tmp_path)).complete)
    go_on.set()
    runner.join()
    Reader().run()

    assert "half\nwhole\n" == (tmp_path / "read.txt").read_text()


def test_one_instance_run_by_two_threads_is_published_whole_by_one(tmp_path):
    """Each run stages for itself; the first to end publishes, the other one's is discarded, and both have succeeded."""
    together = threading.Barrier(2, timeout=30)

    class Twice(AtomicOutputs, luigi.Task):
        def output(self):
            return [AtomicLocalTarget(tmp_path / name) for name in "ab"]

        def run(self):
            me = str(threading.get_ident())
            Path(self.output()[0].path).write_text(me)
            together.wait()
            Path(self.output()[1].path).write_text(me)
            assert me == Path(self.output()[0].path).read_text()

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(Twice().run) for _ in range(2)]
        assert [None, None] == [one.result(60) for one in runs]

    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    assert [] == litter(tmp_path)


# --- What run() starts.


def _new_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def _nested_threads(work: Callable[[], None]) -> None:
    _new_thread(lambda: _new_thread(work))


def _timer(work: Callable[[], None]) -> None:
    timer = threading.Timer(0, work)
    timer.start()
    timer.join()


def _executor(work: Callable[[], None]) -> None:
    in_thread(work)


def _executor_map(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert [None] == list(pool.map(lambda _: work(), [1]))


def _thread_pool(work: Callable[[], None]) -> None:
    with multiprocessing.pool.ThreadPool(2) as pool:
        pool.apply(work)


def _asyncio_thread(work: Callable[[], None]) -> None:
    asyncio.run(asyncio.to_thread(work))


def _asyncio_executor(work: Callable[[], None]) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, work)

    asyncio.run(main())


def _coroutine(work: Callable[[], None]) -> None:
    async def main() -> None:
        work()

    asyncio.run(main())


def _forked(work: Callable[[], None]) -> None:
    if (pid := os.fork()) == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert 0 == os.waitpid(pid, 0)[1]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    "start",
    [
        *(_new_thread, _nested_threads, _timer, _executor, _executor_map, _thread_pool),
        *(_asyncio_thread, _asyncio_executor, _coroutine, _forked),
    ],
)
def test_what_run_starts_makes_the_staged_outputs(tmp_path, start):
    """Threads, pools, coroutines and forked processes that are started in `run()` see the staged outputs."""

    class Starting(AtomicOutputs, luigi.Task):
        def output(self):
            return AtomicLocalTarget(tmp_path / "made.txt")

        def run(self):
            start(self.work)
            assert not (tmp_path / "made.txt").exists()
            assert "made" == Path(self.output().path).read_text()

        def work(self):
            """What is done elsewhere."""
            Path(self.output().path).write_text("made")

    Starting().run()

    assert "made" == (tmp_path / "made.txt").read_text()


def test_a_pool_of_before_does_its_jobs_for_who_submitted_them(tmp_path, stranger):
    """An executor that many share: each job sees what its submitter sees, whoever has started the worker thread."""
    seen = []
    with ThreadPoolExecutor(1) as shared:

        class Sharing(Slow):
            def half_done(self):
                def path() -> str:
                    return self.output().path

                seen.append(shared.submit(path).result() == path())
                seen.append(stranger.ask(lambda: shared.submit(path).result()))

        Sharing(str(tmp_path / "started inside")).run()  # the first job starts the thread
        Sharing(str(tmp_path / "there already")).run()
        task = Sharing(str(tmp_path / "started inside"))
        seen.append(shared.submit(lambda: task.output().path).result())

    finals = [str(tmp_path / name / "slow.txt") for name in ("started inside", "there already")]
    assert [True, finals[0], True, finals[1], finals[0]] == seen


def test_a_thread_that_outlives_run_sees_the_real_outputs(tmp_path):
    """After `run()` has ended nothing is staged any more, for nobody."""
    ended = threading.Event()
    seen = []

    class Leaving(Slow):
        def half_done(self):
            self.thread = threading.Thread(target=lambda: (ended.wait(30), seen.append(self.output().path)))
            self.thread.start()

    task = Leaving(str(tmp_path))
    task.run()
    ended.set()
    task.thread.join()

    assert [str(tmp_path / "slow.txt")] == seen


def test_an_equal_task_that_is_made_in_run_is_the_same(tmp_path):
    """A copy or a clone of the task that `run()` makes sees the staged outputs, too: it means the same files."""

    class Cloning(Slow):
        def half_done(self):
            luigi.task_register.Register.clear_instance_cache()
            paths = [task.output().path for task in (copy.copy(self), copy.deepcopy(self), type(self)(self.base))]
            assert [self.output().path] * 3 == paths

    Cloning(str(tmp_path)).run()


# --- Pickled copies, and other processes.


class Kept(AtomicOutputs, luigi.Task):
    """Pickles itself as one of its outputs, as experiment trackers do."""

    base = luigi.Parameter()

    def output(self):
        return {name: AtomicLocalTarget(os.path.join(self.base, name), luigi.format.Nop) for name in ("model", "task")}

    def run(self):
        with self.output()["model"].open("w") as file:
            file.write(b"v1")
        with self.output()["task"].open("w") as file:
            pickle.dump(self, file)


def test_a_task_that_was_pickled_in_run_and_kept_works_later(tmp_path):
    """After the run its copy has the real outputs: it is complete, and can be run again."""
    Kept(str(tmp_path)).run()
    luigi.task_register.Register.clear_instance_cache()
    again = pickle.loads((tmp_path / "task").read_bytes())
    assert again.complete()
    assert str(tmp_path / "model") == again.output()["model"].path
    (tmp_path / "model").unlink()
    again.run()

    assert ["model", "task"] == sorted(os.listdir(tmp_path))
    assert pickle.loads((tmp_path / "task").read_bytes()).complete()


@pytest.mark.system
@pytest.mark.parametrize(
    "way",
    [
        *("process-fork", "process-spawn", "process-forkserver"),
        *("pool-fork", "pool-spawn", "executor-fork", "executor-spawn", "executor-before"),
        *("pickled", "subprocess"),
    ],
)
def test_a_process_that_run_starts_makes_the_staged_outputs(tmp_path, way):
    """Processes and pools by every way of starting one, and a copy of the task in a program of its own."""
    done = run(PROCESSES, way, tmp_path)

    assert (0, "published\n") == (done.code, done.out), done.err
    assert ["made.txt"] == sorted(os.listdir(tmp_path))


@pytest.mark.system
@pytest.mark.leaves_litter
def test_a_task_pickled_in_a_run_that_was_killed_does_not_write_where_nobody_publishes(tmp_path):
    """If the run was killed, its pickled copies have the real outputs, though what it staged is still there."""
    with Program(PROCESSES, "stop", tmp_path) as program:
        assert "pickled" == program.line()
        program.kill(signal.SIGKILL)
    assert [] != litter(tmp_path)
    done = run(PROCESSES, "load", tmp_path)

    assert (0, f"{tmp_path / 'made.txt'}\n") == (done.code, done.out), done.err


@pytest.mark.system
def test_a_process_that_outlives_run_sees_the_real_outputs(tmp_path):
    """A forked child of `run()` that is still there afterwards is not told; it looks."""
    done = run(PROCESSES, "outlive", tmp_path)

    assert (0, f"published\n{tmp_path / 'made.txt'}\n") == (done.code, done.out), done.err
