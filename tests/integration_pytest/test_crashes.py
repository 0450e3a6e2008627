"""`atomic_tmp.crashes`: whatever a function writes with, each state that a kill could leave is shown, and put back."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import logging
import mmap
import multiprocessing
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import atomik
from pytest_atomik import AtomicTmp, Crash
from support.needs import need_root
from support.processes import NOBODY
from support.waiting import wait_until

Failed = pytest.fail.Exception


def look(top):
    """All that there is: type, mode, content, links and attributes, by name."""
    found = {}
    for path in (top, *sorted(Path(top).rglob("*"))):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        links = status.st_nlink if stat.S_ISREG(status.st_mode) else None
        extended = [] if path.is_symlink() else [(n, os.getxattr(path, n)) for n in sorted(os.listxattr(path))]
        found[str(path.relative_to(top))] = (status.st_mode, content, links, extended)
    return found


def identities(top):
    """The number of each entry, and when it was changed."""
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in Path(top).rglob("*")}


def start(top):
    """What each function finds."""
    (top / "old").write_text("old content")
    (top / "long").write_bytes(bytes(range(256)) * 64)
    (top / "folder").mkdir()
    (top / "folder" / "inner").write_text("inner")
    (top / "link").symlink_to("old")
    os.link(top / "folder" / "inner", top / "second name")


# Functions that write in every way there is, and how many different states a kill leaves at least.


def in_place(top):
    """Empty the old file, and write."""
    (top / "old").write_text("new")


def appends(top):
    """Write to the end."""
    with (top / "old").open("a") as f:
        for word in ("a", "b"):
            f.write(word)
            f.flush()
    # Wherever the descriptor stands, and whatever offset is given.
    with (top / "old").open("r+b", buffering=0) as f:
        os.pwritev(f.fileno(), [b"c"], 0, os.RWF_APPEND)
    fd = os.open(top / "old", os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"d")
    os.pwrite(fd, b"e", 0)
    os.close(fd)


def in_the_middle(top):
    """Write, resize and allocate by every call that takes an offset."""
    with (top / "long").open("r+b", buffering=0) as f:
        f.seek(1000)
        f.write(b"x" * 100)
        os.pwrite(f.fileno(), b"y" * 20000, 10000)
        os.pwritev(f.fileno(), [b"1", b"22"], 5)
        os.writev(f.fileno(), [b"three", b"four"])
        f.truncate(50)
        os.posix_fallocate(f.fileno(), 0, 100)


def replaces(top):
    """Write a temporary file, and rename it."""
    (top / "tmp").write_text("new")
    os.replace(top / "tmp", top / "old")


def names(top):
    """Make, move, link and remove names."""
    os.rename(top / "folder", top / "moved")
    (top / "moved" / "inner").write_text("changed")
    os.link(top / "old", top / "linked")
    os.symlink("nowhere", top / "dangling")
    os.unlink(top / "old")
    os.mkdir(top / "d")
    os.rename(top / "moved", top / "d" / "moved")
    os.mkfifo(top / "fifo")
    os.rmdir(top / "d" / "moved" / "empty") if (top / "d" / "moved" / "empty").exists() else None
    shutil.rmtree(top / "d")


def exchanges(top):
    """Exchange a file and a folder."""
    syscall = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
    done = ctypes.CDLL(None, use_errno=True).syscall(
        syscall, -100, os.fsencode(top / "old"), -100, os.fsencode(top / "folder"), 2
    )
    assert done == 0, os.strerror(ctypes.get_errno())


def attributes(top):
    """Change modes and extended attributes."""
    os.chmod(top / "old", 0o600)
    os.setxattr(top / "old", "user.note", b"1")
    with (top / "long").open() as f:
        os.fchmod(f.fileno(), 0o640)
        os.setxattr(f.fileno(), "user.more", b"2")
    os.removexattr(top / "old", "user.note")


def through_a_link(top):
    """Write through links, also through one that leads nowhere yet."""
    (top / "link").write_text("through it")
    (top / "to come").symlink_to("folder/new")
    (top / "to come").write_text("made by a link that led nowhere")


def relative(top):
    """Change the working directory first."""
    os.chdir(top / "folder")
    Path("inner").write_text("from there")
    Path("../beside").write_text("and from there")


def by_descriptor(top):
    """Name things relative to an open folder."""
    fd = os.open(top / "folder", os.O_RDONLY)
    with os.fdopen(os.open("x", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "w") as f:
        f.write("x")
    os.rename("x", "y", src_dir_fd=fd, dst_dir_fd=fd)
    os.unlink("inner", dir_fd=fd)
    os.close(fd)


def unnamed(top):
    """Write files without a name, and link them."""
    for number in range(3):
        fd = os.open(top, os.O_TMPFILE | os.O_WRONLY)
        os.write(fd, b"%d" % number)
        os.link(f"/proc/self/fd/{fd}", top / "unnamed", src_dir_fd=fd, follow_symlinks=True)
        os.close(fd)
        os.unlink(top / "unnamed") if number < 2 else None


def copies(top):
    """Copy within the kernel."""
    shutil.copy2(top / "long", top / "copy")
    shutil.copytree(top / "folder", top / "tree")
    with (top / "long").open() as source, (top / "range").open("w") as target:
        os.copy_file_range(source.fileno(), target.fileno(), 5000, 100, 50)
        os.sendfile(target.fileno(), source.fileno(), 0, 200)


def moves_in(top):
    """Move a folder in from outside."""
    outside = top.parent / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    (outside / "f").write_text("from outside")
    os.rename(outside, top / "came")


def moves_out(top):
    """Move a folder out."""
    shutil.rmtree(top.parent / "away", ignore_errors=True)
    (top / "second name").unlink()
    os.rename(top / "folder", top.parent / "away")


def threads(top):
    """Write from four threads at once."""

    def write(number):
        for round_ in range(5):
            (top / f"thread{number}").write_text(f"{number} {round_}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))


def shell(top):
    """Let other programs do it."""
    subprocess.run("echo new >old; cp -a folder copy; rm long; mv copy moved", shell=True, check=True, cwd=top)


def workers(top):
    """Let worker processes do it."""
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            pool.submit(Path.write_text, top / method, "x").result()


def database(top):
    """Let SQLite do it."""
    with contextlib.closing(sqlite3.connect(top / "db")) as db:
        db.execute("create table t (x)")
        db.execute("insert into t values (1)")
        db.commit()


def archive(top):
    """Write a zip file."""
    with zipfile.ZipFile(top / "z.zip", "w") as z:
        z.writestr("a", "a" * 1000)
        z.write(top / "long")


def a_thread_that_is_not_joined(top):
    """Leave it to a thread that goes on."""
    threading.Thread(target=lambda: (time.sleep(0.05), (top / "late").write_text("late"))).start()


def at_exit(top):
    """Leave it to the end of the process."""
    atexit.register((top / "late").write_text, "late")


def sys_exit(top):
    """Leave by `sys.exit`, as command-line programs do."""
    (top / "x").write_text("x")
    sys.exit(0)


def logs(top):
    """Write a log."""
    handler = logging.FileHandler(top / "log")
    logger = logging.getLogger("of a crash")
    logger.addHandler(handler)
    for word in ("a", "b", "c"):
        logger.warning(word)
    handler.close()


def closed_folder(top):
    """Take permissions away."""
    (top / "closed").mkdir()
    (top / "closed" / "x").write_text("x")
    (top / "closed").chmod(0o500)
    (top / "old").chmod(0o400)


def publishes(top):
    """Publish with Atomik."""
    for text in ("one", "two", "three"):
        with atomik.file(top / "old", overwrite=True) as f:
            f.write(text)
    with atomik.folder(top / "folder", overwrite=True) as d:
        (d / "new").write_text("new")
    atomik.remove(top / "long")


FUNCTIONS = {
    in_place: 3, appends: 6, in_the_middle: 8, replaces: 4, names: 9, exchanges: 2, attributes: 6, through_a_link: 6,
    relative: 5, by_descriptor: 5, unnamed: 6, copies: 9, moves_in: 2, moves_out: 3, threads: 12, shell: 6, workers: 5,
    database: 10, archive: 3, a_thread_that_is_not_joined: 3, at_exit: 3, sys_exit: 3, logs: 5, closed_folder: 5, publishes: 10,
}  # fmt: skip


@pytest.mark.parametrize(("func", "least"), FUNCTIONS.items(), ids=lambda f: getattr(f, "__name__", ""))
@pytest.mark.parametrize("power_cuts", [False, True], ids=["kills", "power cuts"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads: xdist has one
def test_every_way_to_write_is_seen_and_undone(atomic_tmp, tmp_path_factory, func, least, power_cuts):
    """The last state is what the function leaves when nothing is in its way; afterwards all is as it was."""
    direct = tmp_path_factory.mktemp("direct")
    for top in (direct, atomic_tmp.path):
        start(top)
    child = multiprocessing.get_context("fork").Process(target=run_whole, args=(func, direct))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    before, numbers = look(atomic_tmp), identities(atomic_tmp)

    crashes, states = [], []
    for crash in atomic_tmp.crashes(lambda: func(atomic_tmp.path), power_cuts=power_cuts, engine="syscalls"):
        crashes.append(crash)
        states.append(look(atomic_tmp))

    kills = [state for crash, state in zip(crashes, states, strict=True) if crash.kind == "kill"]
    assert kills[0] == before
    assert strip(kills[-1]) == strip(look(direct))
    assert len(kills) >= least, [crash.step for crash in crashes]
    assert look(atomic_tmp) == before
    kept = {name for name, entry in identities(atomic_tmp).items() if entry[0] == numbers[name][0]}
    assert len(kept) >= len(numbers) // 3
    assert {name: m for name, (_, m) in identities(atomic_tmp).items()} == {name: m for name, (_, m) in numbers.items()}


def run_whole(func, top):
    """Run a function in a process of its own, to the end of that."""
    try:
        func(top)
    except SystemExit:
        pass
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    if func is at_exit:
        atexit._run_exitfuncs()


def strip(state):
    """A state without what depends on the moment: SQLite's counters, the times in a zip file, staging names, the top's mode."""
    return {name: entry for name, entry in state.items() if name not in {".", "db", "z.zip"}}


def test_each_state_is_what_a_kill_leaves_then(atomic_tmp):
    """Before the first step nothing has happened; before each next one, all before it; at the end, everything."""
    path = atomic_tmp / "settings.json"
    path.write_text("old")

    def save():
        (atomic_tmp / "settings.json.tmp").write_text("new")
        os.replace(atomic_tmp / "settings.json.tmp", path)

    seen = [(crash.step, crash.kind, crash.path.name, look_short(atomic_tmp)) for crash in atomic_tmp.crashes(save)]

    assert seen == [
        ("create settings.json.tmp", "kill", "settings.json.tmp", {"settings.json": "old"}),
        ("write settings.json.tmp", "kill", "settings.json.tmp", {"settings.json": "old", "settings.json.tmp": ""}),
        (
            "rename settings.json.tmp -> settings.json",
            "kill",
            "settings.json",
            {"settings.json": "old", "settings.json.tmp": "new"},
        ),
        ("the end", "kill", "settings.json", {"settings.json": "new"}),
    ]
    assert look_short(atomic_tmp) == {"settings.json": "old"}


def look_short(top):
    """Contents, by name."""
    return {path.name: path.read_text() for path in Path(top).iterdir()}


def test_the_line_that_was_about_to_do_it_is_told(atomic_tmp):
    """The innermost that is the user's own, and all those that led there."""

    def inner():
        (atomic_tmp / "a").write_text("x")

    def outer():
        inner()

    first, *_, last = atomic_tmp.crashes(outer)

    assert first.line.partition(":")[0].endswith("test_crashes.py")
    assert first.line.endswith('  (atomic_tmp / "a").write_text("x")')
    functions = [line.rpartition(" in ")[2] for line in first.traceback.splitlines() if line.startswith("  File")]
    assert functions[:2] == ["outer", "inner"]
    assert "write_text" in functions
    assert (last.line, last.traceback) == ("", "")


def test_a_file_that_gets_its_name_later_is_told_by_it(atomic_tmp):
    """Atomik writes a new file before it has a name."""
    paths = {crash.path.name for crash in atomic_tmp.crashes(lambda: [publish(atomic_tmp / name) for name in "ab"])}

    assert paths == {"a", "b"}


def test_what_a_thread_does_has_its_line_too(atomic_tmp):
    """A thread of Python's has a traceback like the main one."""

    def func():
        thread = threading.Thread(target=(atomic_tmp / "a").mkdir)
        thread.start()
        thread.join()

    first, _ = atomic_tmp.crashes(func)

    assert "in mkdir" in first.traceback


def test_another_program_has_no_line(atomic_tmp):
    """But its steps are seen."""
    first, *_ = atomic_tmp.crashes(lambda: subprocess.run(["touch", atomic_tmp / "a"], check=True))

    assert (first.step, first.line) == ("create a", "")


def test_a_long_write_may_be_cut_in_two(atomic_tmp):
    """A kill ends a write of many pages after any of them."""
    sizes = [
        (crash.step, (atomic_tmp / "a").stat().st_size)
        for crash in atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_bytes(bytes(40960)))
        if (atomic_tmp / "a").exists()
    ]

    assert sizes == [("write a", 0), ("write a, half of it written", 20480), ("the end", 40960)]


def test_the_function_runs_once(atomic_tmp, tmp_path_factory):
    """So it need not do the same twice."""
    counter = tmp_path_factory.mktemp("elsewhere") / "count"

    def func():
        with counter.open("a") as f:
            f.write("x")
        for number in range(3):
            (atomic_tmp / str(number)).write_text("x")

    assert len(list(atomic_tmp.crashes(func))) == 7
    assert counter.read_text() == "x"


def test_what_is_done_elsewhere_is_no_step(atomic_tmp, tmp_path_factory):
    """Only this directory is looked at."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def func():
        (elsewhere / "a").write_text("x")
        (atomic_tmp / "a").mkdir()

    assert [crash.step for crash in atomic_tmp.crashes(func)] == ["make folder a", "the end"]


def test_forked_workers_die_with_the_function(atomic_tmp):
    """No handler of the parent's runs between the kill of a worker and its own."""

    def func():
        try:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
                pool.submit((atomic_tmp / "a").write_text, "x").result()
        except Exception:
            (atomic_tmp / "handler").write_text("ran after the kill")

    for _ in atomic_tmp.crashes(func):
        assert not (atomic_tmp / "handler").exists()


@pytest.mark.system
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("orphaned", [False, True])
def test_processes_that_it_has_started_die_with_it(atomic_tmp, detached, orphaned):
    """They could otherwise go on writing into a directory that is put back; also daemons: in a session of their own, and orphans."""

    def func():
        command = "sleep 600 > /dev/null 2>&1 & echo $!" if orphaned else "echo $$; exec sleep 600"
        process = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=detached)
        (atomic_tmp / "pid").write_text(process.stdout.readline().strip())
        if orphaned:
            process.wait()

    pids = [(atomic_tmp / "pid").read_text() for crash in atomic_tmp.crashes(func) if crash.step == "the end"]
    # Killed, and soon reaped by whoever inherits it.
    wait_until(lambda: not is_alive(pids[0]), "the end of the process", timeout=60)


def is_alive(pid):
    """Whether a process runs."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_pytest_does_at_its_own_end_is_not_done_by_the_function(atomic_tmp):
    """The child has inherited it, and must not do it."""
    callback = atexit.register((atomic_tmp / "done by pytest").mkdir)
    try:
        steps = [crash.step for crash in atomic_tmp.crashes((atomic_tmp / "a").mkdir)]
    finally:
        atexit.unregister(callback)

    assert steps == ["make folder a", "the end"]


# What the loop does to the directory.


def test_the_next_state_is_right_whatever_the_loop_does_to_this_one(atomic_tmp):
    """Contents, modes, names, links, and the directory itself."""
    start(atomic_tmp.path)
    before = look(atomic_tmp)
    undisturbed = [look(atomic_tmp) for _ in atomic_tmp.crashes(lambda: names(atomic_tmp.path))]

    def disturb(number):
        match number % 7:
            case 0:
                shutil.rmtree(atomic_tmp)
            case 1:
                for path in list(Path(atomic_tmp).rglob("*")):
                    if path.is_file() and not path.is_symlink():
                        path.write_text("spoiled")
                        path.chmod(0o777)
            case 2:
                (atomic_tmp / "litter").mkdir()
                (atomic_tmp / "litter" / "more").write_text("x")
            case 3:
                for path in sorted(Path(atomic_tmp).iterdir()):
                    path.rename(path.with_name(f"other {path.name}"))
            case 4:
                (atomic_tmp / "link").unlink()
                (atomic_tmp / "link").mkdir()
            case 5:
                shutil.rmtree(atomic_tmp)
                Path(atomic_tmp).write_text("a file")
            case 6:
                (atomic_tmp / "new").write_text("one of two links")
                (atomic_tmp / "new").rename(atomic_tmp / "second name")

    for shift in range(7):
        seen = []
        for number, _ in enumerate(atomic_tmp.crashes(lambda: names(atomic_tmp.path))):
            seen.append(look(atomic_tmp))
            disturb(number + shift)
        assert seen == undisturbed
        assert look(atomic_tmp) == before


def test_who_leaves_the_loop_keeps_the_crash(atomic_tmp):
    """After a `break` the directory is as the crash left it, and nothing is left beside it."""
    for crash in atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("x")):
        if crash.step == "write a":
            break

    assert (atomic_tmp / "a").read_text() == ""


def test_nothing_is_left_beside_the_directory(atomic_tmp):
    """What was put aside is removed at the end of the loop."""
    beside = set(os.listdir(atomic_tmp.path.parent))

    list(atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("x")))

    assert set(os.listdir(atomic_tmp.path.parent)) == beside


def test_an_open_log_file_can_be_read_in_each_state(atomic_tmp):
    """What the function writes through a handle of the test's own is seen."""
    log = logging.getLogger("opened before")
    handler = logging.FileHandler(atomic_tmp / "log")
    log.addHandler(handler)
    try:
        texts = [(atomic_tmp / "log").read_text() for _ in atomic_tmp.crashes(lambda: log.error("hello"))]
    finally:
        log.removeHandler(handler)
        handler.close()

    assert texts == ["", "hello\n"]


def test_special_files_are_no_trouble(atomic_tmp, monkeypatch):
    """FIFOs and sockets are there in each state."""
    os.mkfifo(atomic_tmp / "fifo")
    monkeypatch.chdir(atomic_tmp)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
        for _ in atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("x")):
            assert {"fifo", "socket"} <= set(os.listdir(atomic_tmp))
            os.unlink(atomic_tmp / "fifo")
        assert stat.S_ISFIFO(os.stat(atomic_tmp / "fifo").st_mode)


def test_large_files_that_do_not_change_are_not_copied(atomic_tmp):
    """Beside a file of 1 GiB a small one is published within moments; who spoils the large one is told."""
    with (atomic_tmp / "large").open("wb") as f:
        f.truncate(1 << 30)
    began = time.process_time()
    for _ in atomic_tmp.crashes(lambda: (atomic_tmp / "a").write_text("x")):
        assert (atomic_tmp / "large").stat().st_size == 1 << 30
        (atomic_tmp / "large").unlink()
    assert (atomic_tmp / "large").stat().st_size == 1 << 30
    assert time.process_time() - began < 2


@pytest.mark.system
def test_an_ordinary_user_sees_all_of_it():
    """Without any privilege, in folders and files that are closed to oneself."""
    need_root()
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    try:
        process = multiprocessing.get_context("fork").Process(target=as_nobody, args=(place / "top",))
        process.start()
        process.join(60)
        assert process.exitcode == 0
    finally:
        shutil.rmtree(place)


def as_nobody(top):
    """Give up every right, and look at the crashes of a function that takes rights away."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: as after an exec
    top.mkdir()
    (top / "closed").mkdir()
    (top / "closed" / "x").write_text("old")
    (top / "closed").chmod(0o500)
    (top / "secret").touch(0o200)

    def func():
        (top / "closed").chmod(0o700)
        (top / "closed" / "x").write_text("new")
        (top / "closed").chmod(0)
        with (top / "secret").open("w") as f:
            f.write("secret")

    watched = AtomicTmp(top, __file__, base=top)
    try:
        run = watched.crashes(func, power_cuts=True, engine="syscalls")
        sizes = [(crash.kind, (top / "secret").stat().st_size) for crash in run]
        assert run.notes == []
    finally:
        watched._close()
    assert ("kill", 6) in sizes
    assert sizes[0] == ("kill", 0)
    assert ("power cut", 0) in sizes
    assert (top / "closed" / "x").read_text() == "old"
    assert [stat.S_IMODE((top / name).stat().st_mode) for name in ("closed", "secret")] == [0o500, 0o200]


# Never green by accident.


async def coroutine(top):
    """Would write, if it were awaited."""
    (top / "x").write_text("x")


async def asynchronous(top):
    """Would write, if it were iterated over."""
    yield (top / "x").write_text("x")


def generator(top):
    """Would write, if it were iterated over."""
    yield (top / "x").write_text("x")


@contextlib.contextmanager
def context(top):
    """Would write, if it were entered."""
    (top / "x").write_text("x")
    yield


@pytest.mark.parametrize(
    ("func", "said"),
    [
        (lambda _: None, "changed nothing in this directory$"),
        (lambda top: (top / "old").read_text(), "changed nothing in this directory$"),
        (lambda top: top.joinpath, "changed nothing in this directory; it returned a function"),
        (coroutine, "did nothing; it returned a coroutine, which nobody has awaited"),
        (asynchronous, "did nothing; it returned an asynchronous generator"),
        (generator, "did nothing; it returned a generator, which nobody has iterated over"),
        (lambda top: map(Path.unlink, [top / "old"]), "it returned an iterator .map., which nobody has iterated over"),
        (context, "it returned a context manager .*, which nobody has entered"),
        (lambda top: atomik.file(top / "x"), "it returned a context manager .*, which nobody has entered"),
        (lambda _: os._exit(3), "the function ended the process with status 3"),
        (lambda _: sys.exit(3), "the function ended the process with status 3"),
        (lambda _: os.kill(os.getpid(), 15), "the function ended the process with signal 15"),
    ],
)
def test_a_function_that_does_nothing_fails_the_test(atomic_tmp, func, said):
    """A loop without a crash would prove nothing; the message says what was forgotten."""
    (atomic_tmp / "old").write_text("old")

    with pytest.raises(Failed, match=said):
        list(atomic_tmp.crashes(lambda: func(atomic_tmp.path)))

    assert os.listdir(atomic_tmp) == ["old"]


def test_a_function_that_raises_fails_the_test_with_its_traceback(atomic_tmp):
    """And the directory is what it was."""

    def func():
        sys.stdout.write("so far so good\n")
        (atomic_tmp / "a").write_text("x")
        os.rmdir(atomic_tmp / "a")

    with pytest.raises(Failed) as failure:
        list(atomic_tmp.crashes(func))

    message = str(failure.value)
    assert message.startswith("atomic_tmp.crashes: in the forked child the function raised:\nso far so good\nTraceback")
    assert message.rpartition("\n")[2].startswith("NotADirectoryError: ")
    assert "_child" not in message
    assert os.listdir(atomic_tmp) == []


def test_a_function_that_never_ends_fails_the_test(atomic_tmp):
    """It is killed after its time, and the directory put back."""

    def func():
        (atomic_tmp / "a").write_text("x")
        time.sleep(600)

    with pytest.raises(Failed, match=r"has not ended within 0.5 s, and was killed; crashes\(timeout=...\) allows more"):
        list(atomic_tmp.crashes(func, timeout=0.5))

    assert os.listdir(atomic_tmp) == []


def test_what_it_prints_does_not_reach_the_output_of_the_test(atomic_tmp, capfd):
    """It is told if the function fails."""

    def func():
        sys.stdout.write("on stdout\n")
        os.write(2, b"on stderr")
        (atomic_tmp / "a").write_text("x")

    list(atomic_tmp.crashes(func))

    assert capfd.readouterr() == ("", "")


def test_mocks_deceive_nobody(atomic_tmp, monkeypatch):
    """Neither those that the function needs to be mocked, nor those that would take the engine's own means away."""

    def refuse(*_, **__):
        raise AssertionError

    (atomic_tmp / "a").write_text("old")
    for name in (
        "kill", "killpg", "fork", "_exit", "rename", "unlink", "mkdir", "open", "stat", "lstat", "listdir", "waitpid", "getpid"
    ):  # fmt: skip
        monkeypatch.setattr(os, name, refuse)
    for name in ("exists", "stat", "read_text", "is_dir", "iterdir"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(time, "monotonic", refuse)

    with monkeypatch.context() as real:
        count = 0
        for _ in atomic_tmp.crashes(lambda: write_by_io(atomic_tmp / "a")):
            count += 1
        real.undo()
    monkeypatch.undo()

    assert count == 3
    assert (atomic_tmp / "a").read_text() == "old"


def write_by_io(path):
    """Write by what is not mocked."""
    import io

    with io.FileIO(str(path), "w") as f:
        f.write(b"new")


@pytest.mark.parametrize("func", [None, "save()", 3])
def test_what_cannot_be_called_is_refused_at_once(atomic_tmp, func):
    """`crashes(save())` is the usual slip."""
    with pytest.raises(TypeError, match=r"crashes\(lambda: save\(...\)\), not crashes\(save\(...\)\)"):
        atomic_tmp.crashes(func)


def test_an_engine_nobody_knows_is_refused(atomic_tmp):
    """The message lists those that there are."""
    with pytest.raises(ValueError, match="engine is 'strace'; it takes 'auto', 'syscalls', 'publications'"):
        atomic_tmp.crashes(lambda: None, engine="strace")


# What cannot be seen is said.


def test_what_is_written_through_a_mapping_is_seen_late_and_said(atomic_tmp):
    """At the next call, and at the end."""
    (atomic_tmp / "a").write_bytes(bytes(100))

    def func():
        with (atomic_tmp / "a").open("r+b") as f, mmap.mmap(f.fileno(), 0) as m:
            m[10:13] = b"new"
            (atomic_tmp / "b").mkdir()
            m[20:23] = b"end"

    run = atomic_tmp.crashes(func)
    contents = [(atomic_tmp / "a").read_bytes().strip(b"\0").replace(b"\0", b"") for _ in run]

    assert contents[-1] == b"newend"
    assert b"new" in contents
    assert (atomic_tmp / "a").read_bytes() == bytes(100)
    assert any("a is written through mmap" in note for note in run.notes)


def test_what_another_process_does_meanwhile_is_said(atomic_tmp):
    """A server that was there before is not stopped: what it has changed is found at the end, and put back."""
    (atomic_tmp / "a").write_text("old")
    program = (
        f"import sys\nfor line in sys.stdin:\n open({str(atomic_tmp / 'a')!r}, 'w').write('served')\n print(flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def func():
            (atomic_tmp / "b").mkdir()
            server.stdin.write("go\n")
            server.stdin.flush()
            server.stdout.readline()

        run = atomic_tmp.crashes(func)
        contents = [(atomic_tmp / "a").read_text() for _ in run]
        server.stdin.close()

    assert contents == ["old", "served"]
    assert (atomic_tmp / "a").read_text() == "old"
    assert any("a has changed, by no call that was seen" in note for note in run.notes)


def test_io_uring_is_refused_and_said(atomic_tmp):
    """Libraries fall back to calls that can be seen."""

    def func():
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.syscall(425, 1, 0) == -1
        assert ctypes.get_errno() == errno.ENOSYS
        (atomic_tmp / "a").mkdir()

    run = atomic_tmp.crashes(func)
    list(run)

    assert any("io_uring_setup was refused" in note for note in run.notes)


@pytest.mark.system
def test_where_the_kernel_refuses_the_other_engine_is_taken_and_that_is_said(atomic_tmp):
    """As within a sandbox that listens already; who insists is refused."""

    def outer():
        inner = atomic_tmp.crashes(lambda: publish(atomic_tmp / "inner"), power_cuts=True)
        steps = [crash.step for crash in inner]
        assert steps[0] == "opened inner", steps
        assert len(inner.notes) == 2
        assert "saw publications by Atomik only" in inner.notes[0]
        assert "another filter is listening already" in inner.notes[0]
        assert "tried no power cuts" in inner.notes[1]
        with pytest.raises(Failed, match=r"engine='syscalls'.*another filter is listening already"):
            list(atomic_tmp.crashes(lambda: None, engine="syscalls"))

    next(iter(atomic_tmp.crashes(outer)))  # what the inner engine does is not replayed: only what it says counts here


def publish(path):
    """Publish a file."""
    with atomik.file(path) as f:
        f.write("new")


def test_an_address_is_read_as_the_call_reads_it(atomic_tmp):
    """On aarch64 its highest byte may hold a mark; elsewhere such a call fails, as one does whose address leads nowhere."""
    is_read = os.uname().machine == "aarch64"
    libc = ctypes.CDLL(None)
    name = ctypes.create_string_buffer(os.fsencode(atomic_tmp / "marked"))

    def func():
        (atomic_tmp / "before").touch()
        libc.prctl(55, 1, 0, 0, 0)  # PR_SET_TAGGED_ADDR_CTRL
        made = [libc.mkdir(ctypes.c_void_p(at), 0o700) for at in (ctypes.addressof(name) | 0xAA << 56, -1)]
        assert made == [0 if is_read else -1, -1]

    run = atomic_tmp.crashes(func)
    seen = [sorted(os.listdir(atomic_tmp)) for _ in run]

    assert seen == [[], ["before"], ["before", "marked"] if is_read else ["before"]]
    assert run.notes == []


def test_a_crash_is_a_named_tuple(atomic_tmp):
    """With the fields that are documented."""
    assert Crash._fields == ("step", "kind", "path", "line", "traceback", "lost")
