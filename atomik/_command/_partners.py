"""The other processes of a proof: on this host, or on another one that sees the same directory.

Two hosts need no network but that directory. They meet in one folder, whose making only one of them can succeed in, and
write to each other in files that are there from the start: opened again for each look, a file's content is asked of the
server, where a name that was looked for and not found may be remembered for half a minute.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from ._tasks import Worker

#: How long the other host may say nothing, in seconds, before it is taken for gone.
_SILENCE: Final = 60.0
_POLL: Final = 0.005
_BEAT: Final = 5.0
_JOINING: Final = 10.0
_LOOK: Final = 0.05

_ENDED: Final = "ended"

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The two files in which hosts write to each other.
_TO_FOLLOWER: Final = ".to-follower"
_TO_LEADER: Final = ".to-leader"


class GoneError(OSError):
    """The other process has ended, or says nothing any more."""


class Partner(Protocol):
    """A process that carries out tasks, one after the other."""

    name: str
    #: What its clock is ahead of ours, in seconds.
    ahead: float

    def start(self, task: str, **arguments: Any) -> None:
        """Have it begin a task."""

    def result(self) -> Any:
        """Wait for what the task gives.

        Raises:
            GoneError: it has ended.
        """

    def close(self) -> None:
        """Let it end."""


class Fork:
    """A process of its own on this host; it ends when this one does."""

    ahead = 0.0

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        theirs, task = os.pipe()
        answer, ours = os.pipe()
        # Python drops what a signal's handler raises in what is registered to run after a fork.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        self._child = os.fork()
        if not self._child:
            for number in _ENDING:
                # Ctrl-C reaches the whole group; the first process ends the others.
                signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(task)
            os.close(answer)
            _serve(theirs, ours, directory)
        os.close(theirs)
        os.close(ours)
        self._tasks, self._answers = os.fdopen(task, "w"), os.fdopen(answer)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def start(self, task: str, **arguments: Any) -> None:
        """Have it begin a task."""
        with suppress(BrokenPipeError):  # its answer says that it is gone
            self._tasks.write(json.dumps([task, arguments]) + "\n")
            self._tasks.flush()

    def result(self) -> Any:
        """Wait for what the task gives."""
        line = self._answers.readline()  # one at a time: nothing is read ahead of `has_answer`
        if not line:
            msg = f"process {self.name} of the proof ended before its time"
            raise GoneError(msg)
        return json.loads(line)

    def has_answer(self, patience: float) -> bool:
        """Wait for as long as `patience`, in seconds; say whether `result` will not have to wait."""
        return bool(select.select([self._answers], [], [], patience)[0])

    def close(self) -> None:
        """End it."""
        child, self._child = self._child, 0
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for pipe in (self._tasks, self._answers):
            with suppress(OSError):
                pipe.close()


def _serve(tasks: int, answers: int, directory: Path) -> None:
    """Carry out tasks until nobody asks any more; in the forked child, which never returns."""
    try:
        worker = Worker(str(directory))
        with open(tasks) as asked, open(answers, "w") as answered:
            for line in asked:
                task, arguments = json.loads(line)
                answered.write(json.dumps(worker.do(task, arguments)) + "\n")
                answered.flush()
    finally:
        os._exit(0)


@contextmanager
def _still_there() -> Iterator[None]:
    """Take a mailbox that is gone for a host that has ended; NFS says ESTALE of one that another host has removed."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ESTALE}:
            raise
        msg = "the other host has ended"
        raise GoneError(msg) from error


class Mailbox:
    """A file that one process writes its last message to, and another one reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent = 0
        self._guard = threading.Lock()

    def create(self) -> None:
        """Make it, empty."""
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600))

    def send(self, message: Any) -> None:
        """Take the place of the message before.

        Raises:
            GoneError: the other host has removed it.
        """
        with self._guard:
            self._sent += 1
            self._write([self._sent, time.time(), message])
            self._last = message

    def beat(self) -> None:
        """Say the same again, to show that somebody is there."""
        with self._guard:
            if self._sent:
                self._write([self._sent, time.time(), self._last])

    def _write(self, content: list[Any]) -> None:
        data = json.dumps(content).encode() + b"\n"
        # In place: it must not be another file. Its length comes last, so that a reader knows half a message.
        with _still_there(), open(self._path, "r+b", buffering=0) as file:
            file.write(data)
            file.truncate()
            os.fsync(file.fileno())

    def read(self) -> tuple[int, float, Any] | None:
        """Return the number of the last message, when it was said, and the message; None if there is none yet.

        Raises:
            GoneError: the other host has removed it.
        """
        with _still_there(), open(self._path, "rb") as file:
            data = file.read()
        try:
            number, moment, message = json.loads(data)
        except ValueError:
            return None  # it is being written
        return number, moment, message

    def wait(self, after: int, silence: float = _SILENCE) -> tuple[int, Any]:
        """Wait for a message that comes after the one of this number.

        Raises:
            GoneError: nothing was written for as long as `silence`.
        """
        heard, last = time.monotonic(), 0.0
        while True:
            found = self.read()
            if found is not None and found[0] > after:
                return found[0], found[2]
            if found is not None and found[1] != last:
                heard, last = time.monotonic(), found[1]
            if time.monotonic() - heard > silence:
                msg = f"the other host has written nothing for {silence:.0f} s"
                raise GoneError(msg)
            time.sleep(_POLL)


class _Beating:
    """Show every few seconds that this process is there, while it is at work."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            with suppress(OSError):
                self._mailbox.beat()

    def close(self) -> None:
        self._over.set()
        self._thread.join()


class Remote:
    """The process on the other host that has joined this one in FOLDER."""

    def __init__(self, folder: Path) -> None:
        self._out, self._in = Mailbox(folder / _TO_FOLLOWER), Mailbox(folder / _TO_LEADER)
        self._seen = 0
        self.ahead = 0.0
        for mailbox in (self._out, self._in):
            mailbox.create()

    def meet(self, patience: float) -> None:
        """Wait for the other host to join, and compare the clocks.

        Raises:
            GoneError: none has joined for as long as `patience`, in seconds.
        """
        try:
            self._seen, joined = self._in.wait(0, patience)
        except GoneError as error:
            msg = f"no other host has joined within {patience:.0f} s; run the same command there, on the same directory"
            raise GoneError(msg) from error
        self.name = str(joined["host"])
        self._beating = _Beating(self._out)
        closest = float("inf")
        for _ in range(8):
            before = time.monotonic()
            self.start("clock")
            theirs = float(self.result())
            took = time.monotonic() - before
            if took < closest:
                closest, self.ahead = took, theirs - before - took / 2

    def start(self, task: str, **arguments: Any) -> None:
        """Have it begin a task."""
        self._out.send([task, arguments])

    def result(self) -> Any:
        """Wait for what the task gives."""
        self._seen, answer = self._in.wait(self._seen)
        return answer

    def close(self) -> None:
        """Stop showing that this host is there."""
        self._beating.close()

    def dismiss(self, report: Any) -> None:
        """Let it end, with the report that it is to print, too, or with None; wait until nothing of it is at work."""
        with suppress(GoneError):
            self.start("end", report=report)
            # What it was doing may have been answered meanwhile.
            answer = None
            while answer != _ENDED:
                self._seen, answer = self._in.wait(self._seen, 3 * _BEAT)


def follow(folder: Path, directory: Path) -> Any:
    """Carry out in `directory` what the host asks for that has made `folder`; return its report.

    Raises:
        GoneError: that host has ended, or is at work with another one, or `folder` was left behind.
    """
    inbox, out = Mailbox(folder / _TO_FOLLOWER), Mailbox(folder / _TO_LEADER)
    worker = Fork("", directory)  # before there is a thread
    try:
        _join(inbox, out)
        beating = _Beating(out)
        try:
            seen = 0
            while True:
                seen, (task, arguments) = inbox.wait(seen)
                if task == "end":
                    worker.close()  # or it would keep its finished work when its directory is removed
                    out.send(_ENDED)
                    if arguments["report"] is None:
                        msg = "the other host has ended"
                        raise GoneError(msg)
                    return arguments["report"]
                worker.start(task, **arguments)
                while not worker.has_answer(_LOOK):
                    found = inbox.read()
                    if found is not None and found[0] > seen:
                        break  # the first host ends before this one has answered
                else:
                    out.send(worker.result())
        finally:
            beating.close()
    except GoneError as error:
        msg = f"{error}; if no other host is at work there, remove {folder}"
        raise GoneError(msg) from error
    finally:
        worker.close()


def _join(inbox: Mailbox, out: Mailbox) -> None:
    """Say to the first host that this one has come; its mailboxes may be about to be made."""
    deadline = time.monotonic() + _JOINING
    while True:
        try:
            if inbox.read() is not None:
                break
            out.send({"host": socket.gethostname()})
        except GoneError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
        else:
            return
    msg = "two hosts are at work there already, or were killed"
    raise GoneError(msg)
