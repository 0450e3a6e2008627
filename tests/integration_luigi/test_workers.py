"""Real workers, in processes of their own: finished, killed, timed out, twice at once, with a scheduler of their own."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.needs import need_tool
from support.processes import run
from support.watch import litter

pytestmark = [pytest.mark.system]

HERE = Path(__file__).parent
HALF = "half of it\n" * 1000
JOBS = ("Opened", "Compressed", "Staged", "Folder", "Several", "External", "Dynamic")
TIMEOUT = 120

CONFIG = """
[core]
autoload_range = false
no_lock = true
log_level = INFO
[worker]
wait_interval = 0.05
wait_jitter = 0.05
ping_interval = 0.1
[retcode]
already_running = 10
missing_data = 20
not_run = 25
task_failed = 30
scheduling_error = 35
unhandled_exception = 40
"""


class Luigi:
    """Runs the pipeline below a folder with the `luigi` command, and looks at what it has made."""

    def __init__(self, base: Path, *first: Path) -> None:
        self.base = base
        self.data, self.signs = base / "data", base / "signs"
        self.data.mkdir()
        self.signs.mkdir()
        (base / "luigi.cfg").write_text(CONFIG)
        path = os.pathsep.join([*map(str, first), str(HERE), *filter(None, sys.path)])
        self.environment = {**os.environ, "PYTHONPATH": path, "LUIGI_CONFIG_PATH": str(base / "luigi.cfg")}
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *options: str, scheduler: str = "--local-scheduler", task: str = "All") -> subprocess.Popen[str]:
        """Start `luigi` in a process group of its own."""
        log = (self.base / f"log-{len(self.running)}").open("w+")
        command = [
            "-W",
            "ignore",
            "-m",
            "luigi",
            "--module",
            "pipeline",
            task,
            "--base",
            str(self.base),
            scheduler,
            *options,
        ]
        process = subprocess.Popen(
            [sys.executable, *command], stderr=log, stdout=log, env=self.environment, text=True, start_new_session=True
        )
        log.close()
        self.running.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> int:
        """Wait for its end; its exit code."""
        return process.wait(TIMEOUT)

    def run(self, *options: str, **more: str) -> int:
        """Run the pipeline to its end; the exit code."""
        return self.finish(self.start(*options, **more))

    def log(self) -> str:
        """What all runs have said."""
        return "\n".join(path.read_text() for path in sorted(self.base.glob("log-*")))

    def wait_for(self, *jobs: str) -> list[int]:
        """Wait until each of the jobs is half done; the processes that do them."""
        until(lambda: all((self.signs / job).exists() for job in jobs), self.log)
        return [int((self.signs / job).read_text()) for job in jobs]

    def assert_whole(self, *jobs: str) -> None:
        """Assert that the outputs of these jobs are there and complete, and that nothing else is."""
        expected = {
            "Opened": {"opened": HALF * 2},
            "Compressed": {"compressed": HALF * 2},
            "Staged": {"staged": HALF * 2},
            "Folder": {"folder/first": HALF, "folder/second": HALF},
            "External": {"external-first": "half\n", "external-second": "half\n"},
            "Dynamic": {"late": HALF, "dynamic/first": HALF, "dynamic/folder/late": HALF},
        }
        found = self.found()
        if "Several" in jobs:
            pids = [found.pop("several/first", "no first"), found.pop("several/second", "no second")]
            assert 1 == len(set(pids)), pids
        assert {name: text for job in jobs for name, text in expected.get(job, {}).items()} == found, self.log()
        assert [] == litter(self.data)

    def found(self) -> dict[str, str]:
        """All files in `data` that are not being staged, and what is in them."""
        found = {}
        for path in self.data.rglob("*"):
            name = str(path.relative_to(self.data))
            if path.is_file() and ".atomik-" not in name:
                found[name] = gzip.decompress(path.read_bytes()).decode() if name == "compressed" else path.read_text()
        return found

    def close(self) -> None:
        """Kill what is still running."""
        for process in self.running:
            kill_all(process)


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill -9 a process and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(TIMEOUT)


def until(condition: Callable[[], bool], explain: Callable[[], str]) -> None:
    """Wait until CONDITION holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


@pytest.fixture
def luigi(tmp_path: Path) -> Iterator[Luigi]:
    """The Luigi that is installed."""
    need_tool("gzip")
    luigi = Luigi(tmp_path)
    yield luigi
    luigi.close()


@pytest.mark.parametrize("workers", ["1", "4"])
def test_every_kind_of_output_is_made_by_any_number_of_workers(luigi, workers):
    """With one worker (in its own process) and with four (forked), all outputs are made, and a second run leaves them."""
    assert 0 == luigi.run("--workers", workers), luigi.log()
    luigi.assert_whole(*JOBS)
    inodes = [path.stat().st_ino for path in sorted(luigi.data.rglob("*"))]
    assert 0 == luigi.run("--workers", workers)

    assert inodes == [path.stat().st_ino for path in sorted(luigi.data.rglob("*"))]


def test_the_oldest_luigi_makes_every_kind_of_output(tmp_path, oldest_luigi):
    """Luigi 3.5 does the same."""
    luigi = Luigi(tmp_path, oldest_luigi)
    try:
        assert 0 == luigi.run("--workers", "4"), luigi.log()
        luigi.assert_whole(*JOBS)
    finally:
        luigi.close()


def test_a_worker_that_is_killed_leaves_no_output_and_the_next_run_makes_all(luigi):
    """Kill -9 of the worker and all that it has started, in the middle of every output: none is there; a rerun makes them."""
    (luigi.signs / "wait").touch()
    worker = luigi.start("--workers", str(len(JOBS) + 1))
    luigi.wait_for(*JOBS)
    kill_all(worker)
    assert {"late": HALF} == luigi.found()
    assert [] != litter(luigi.data)
    (luigi.signs / "wait").unlink()
    assert 0 == luigi.run("--workers", "4"), luigi.log()

    luigi.assert_whole(*JOBS)


def test_a_task_process_that_is_killed_is_tidied_up_after_by_the_next_run(luigi):
    """Kill -9 of one task's process (as the kernel does when memory is short): the worker goes on, a rerun makes it."""
    (luigi.signs / "wait").touch()
    worker = luigi.start("--workers", "2", "--only", "Folder")
    (process,) = luigi.wait_for("Folder")
    os.kill(process, signal.SIGKILL)
    (luigi.signs / "wait").unlink()
    assert 0 != luigi.finish(worker)
    assert {} == luigi.found()
    assert 0 == luigi.run("--only", "Folder"), luigi.log()

    luigi.assert_whole("Folder")


def test_a_workers_timeout_leaves_nothing(luigi):
    """A task that takes too long gets SIGTERM: none of its outputs is there, nor anything that was staged for them."""
    (luigi.signs / "wait").touch()
    worker = luigi.start("--workers", str(len(JOBS) + 1), "--worker-timeout", "10")
    luigi.wait_for(*JOBS)
    assert 30 == luigi.finish(worker), luigi.log()

    assert "timed out" in luigi.log()
    assert {"late": HALF} == luigi.found()
    assert [] == litter(luigi.data)


@pytest.mark.parametrize("job", ["Opened", "Several", "Dynamic"])
def test_the_same_task_twice_at_once_is_made_once(luigi, job):
    """Two `luigi` processes that know nothing of each other make the same outputs: both succeed, and nothing is mixed."""
    (luigi.signs / "wait").touch()
    first = luigi.start("--only", job)
    luigi.wait_for(job)
    (luigi.signs / job).unlink()
    second = luigi.start("--only", job)
    luigi.wait_for(job)
    (luigi.signs / "wait").unlink()
    assert [0, 0] == [luigi.finish(first), luigi.finish(second)], luigi.log()

    luigi.assert_whole(job)


def test_a_target_that_refuses_to_be_replaced_is_made_by_one_of_two_luigis(luigi):
    """With `temporary_path()`, which does not replace, one of two `luigi` processes succeeds; the other is told so."""
    (luigi.signs / "wait").touch()
    first = luigi.start("--only", "Staged")
    luigi.wait_for("Staged")
    (luigi.signs / "Staged").unlink()
    second = luigi.start("--only", "Staged")
    luigi.wait_for("Staged")
    (luigi.signs / "wait").unlink()
    assert [0, 30] == sorted([luigi.finish(first), luigi.finish(second)]), luigi.log()

    assert "TargetExists" in luigi.log()
    luigi.assert_whole("Staged")


def test_a_central_scheduler_and_two_workers_make_everything(luigi):
    """With luigid, a process of its own, two `luigi` processes share the work."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    daemon = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-c", "from luigi.cmdline import luigid; luigid()"),
            *("--address", "127.0.0.1", "--port", port, "--state-path", str(luigi.base / "state")),
        ],
        env=luigi.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    luigi.running.append(daemon)
    until(lambda: listens(port), lambda: "luigid does not answer")
    url = f"--scheduler-url=http://127.0.0.1:{port}"
    workers = [luigi.start("--workers", "2", "--worker-keep-alive", scheduler=url) for _ in range(2)]
    codes = {luigi.finish(worker) for worker in workers}

    # All other codes say, one way or another, that a task was left to the other process.
    assert not codes & {30, 35, 40}, luigi.log()
    luigi.assert_whole(*JOBS)


def listens(port: str) -> bool:
    """Say whether somebody answers there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


LEFTOVERS = """
import os, signal, sys
from luigi_atomik import AtomicLocalTarget

def in_child(work):
    if os.fork() == 0:
        work()
        os._exit(0)
    os.wait()

def die_with_something_staged():
    with AtomicLocalTarget("killed").temporary_path() as path:
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

def write():
    with AtomicLocalTarget("x").open("w") as file:
        file.write("x")

if sys.argv[1] == "die":
    in_child(die_with_something_staged)
in_child(write)
in_child(write)
print(len([name for name in os.listdir() if name.startswith(".atomik-")]))
"""


def test_a_worker_sweeps_a_directory_once_with_all_its_processes(tmp_path):
    """Looking for what killed runs left takes time for each entry: it is done once by a worker, not for each task."""
    first = run(LEFTOVERS, "die", cwd=tmp_path)  # the process that was killed had looked already
    second = run(LEFTOVERS, "write", cwd=tmp_path)

    assert ("1\n", "0\n") == (first.out, second.out), first.err + second.err
