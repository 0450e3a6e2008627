"""A lock between processes that says who holds it, and finds those who wait for each other in a circle.

It is the kernel's (flock), so it is never stale: with the process that holds it, it is gone. What the file says of its holder
is for messages and for finding circles, never for deciding who has the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.05
#: For how many seconds a wait is not worth a message.
_NOTICE_AFTER: Final = 0.2

#: Descriptors of this process that hold locks. A forked child must not go on holding them when its parent is killed.
_descriptors: set[int] = set()


def _close_in_child() -> None:
    while _descriptors:
        with contextlib.suppress(OSError):
            os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_close_in_child)


class Holder(NamedTuple):
    """Who holds a lock, as its file says.

    Attributes:
        pid: its process.
        started: when that was started, in the kernel's ticks: a pid may be given again.
        thread: its thread there.
        worker: what the run calls that process: ``"gw0"``; ``"main"`` without xdist.
        since: when it took the lock, in seconds since the epoch.
        what: what it builds, by name.
        waits_for: the file of the lock for which it waits meanwhile; None if it does not.
    """

    pid: int
    started: int
    thread: int
    worker: str
    since: float
    what: str
    waits_for: str | None

    def __str__(self) -> str:
        return f"{self.worker} (pid {self.pid})"

    def clock(self) -> str:
        """Return since when, as people read it."""
        return time.strftime("%H:%M:%S", time.localtime(self.since))


class CircleError(RuntimeError):
    """Builders wait for each other."""


class BuildLock:
    """The lock of one build: exclusive for its builder, shared for those who use it.

    Attributes:
        path: its file. Whoever has the lock exclusively may remove it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def try_shared(self) -> bool:
        """Take it, or turn an exclusive one into it; a failure leaves nothing held."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self, worker: str, what: str) -> bool:
        """Take it, and write down who has it."""
        if not self._try(fcntl.LOCK_EX):
            return False
        holder = Holder(os.getpid(), _started(os.getpid()) or 0, threading.get_ident(), worker, time.time(), what, None)
        self._write(holder)
        _held_by_thread().append((self, holder))
        return True

    def share(self) -> bool:
        """Turn the exclusive lock into a shared one. In between somebody may have taken it, or removed what it is for."""
        self._forget()
        return self.try_shared()

    def release(self) -> None:
        """Let go of it, if it is held."""
        self._forget()
        self._close()

    def holder(self) -> Holder | None:
        """Return who has it exclusively, if that is known."""
        return _read(self.path)

    def touch(self) -> None:
        """Note that what it is for is used now."""
        os.utime(self._fd)

    def _try(self, kind: int) -> bool:
        if self._fd < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                return False  # whoever clears the cache has removed the folder again
            _descriptors.add(fd)
            self._fd = fd
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
            status = os.stat(self.path)
        except (BlockingIOError, FileNotFoundError):
            self._close()
            return False
        except OSError as error:
            self._close()
            error.add_note(
                f"{self.path} is on a filesystem without locks; choose another one by cache_dir or --basetemp"
            )
            raise
        if status.st_ino != os.fstat(self._fd).st_ino:  # removed by who pruned, and made again
            self._close()
            return False
        return True

    def _write(self, holder: Holder) -> None:
        content = json.dumps(holder).encode()
        os.ftruncate(self._fd, os.pwrite(self._fd, content, 0))

    def _forget(self) -> None:
        held = _held_by_thread()
        for entry in held:
            if entry[0] is self:
                os.ftruncate(self._fd, 0)
                held.remove(entry)
                break

    def _close(self) -> None:
        # Not of the parent's, in a forked child: the number may be another file by now.
        if self._fd in _descriptors:
            _descriptors.discard(self._fd)
            os.close(self._fd)
        self._fd = -1


def wait(attempt: Callable[[], Path | None], notice: Callable[[Holder], object]) -> None:
    """Try until `attempt` succeeds.

    Args:
        attempt: takes a lock, or finds that it is not needed any more, and returns None; or the file of the lock that
            somebody else has.
        notice: is called once with who is waited for, and again if that is somebody else.

    Raises:
        CircleError: its holder waits for a lock that this thread holds, directly or through others.
    """
    pause, reported, began = _FIRST_PAUSE, None, time.monotonic()
    held = tuple(_held_by_thread())
    noted = None
    try:
        while (path := attempt()) is not None:
            if noted != path:
                noted = path
                for lock, holder in held:
                    lock._write(holder._replace(waits_for=str(path)))
            circle = _circle(path) if held else []
            if circle:
                raise CircleError(_circle_message(circle))
            if time.monotonic() - began > _NOTICE_AFTER:
                current = _read(path)
                if current is not None and current[:3] != reported:
                    reported = current[:3]
                    notice(current)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    finally:
        if noted is not None:
            for lock, holder in held:
                lock._write(holder)


_here = threading.local()


def _held_by_thread() -> list[tuple[BuildLock, Holder]]:
    """Return the locks that this thread holds exclusively: one for each builder that it is in."""
    if getattr(_here, "pid", None) != os.getpid():
        _here.pid, _here.held = os.getpid(), []
    held: list[tuple[BuildLock, Holder]] = _here.held
    return held


def _circle(path: Path) -> list[Holder]:
    """Follow who waits for whom from the lock at `path`; return them all if that leads back to this thread."""
    chain: list[Holder] = []
    seen: set[str] = set()
    following: str | None = str(path)
    while following is not None and following not in seen:
        seen.add(following)
        holder = _read(Path(following))
        # A dead one's words are still there until the next one has the lock.
        if holder is None or _started(holder.pid) != holder.started:
            return []
        chain.append(holder)
        if (holder.pid, holder.thread) == (os.getpid(), threading.get_ident()):
            return chain
        following = holder.waits_for
    return []


def _circle_message(circle: list[Holder]) -> str:
    mine = circle[-1]
    if len(circle) == 1:
        return f"the builder of {mine.what!r} asks for {mine.what!r} itself, and would wait for ever"
    steps = " waits for ".join(f"{holder.what!r} in {holder}" for holder in [mine, *circle])
    return (
        f"builders wait for each other in a circle: {steps}; let one of them build what both need, under a third name"
    )


def _read(path: Path) -> Holder | None:
    try:
        fields: Any = json.loads(path.read_bytes())
        return Holder(*fields)
    except (OSError, ValueError, TypeError):
        return None  # free, removed, or just being written


def _started(pid: int) -> int | None:
    """Return when a process was started; None if there is none any more, 0 where that cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b")")[2].split()
            return None if state == b"Z" else int(fields[18])
    except OSError:
        return None if os.path.exists("/proc/self/stat") else 0
