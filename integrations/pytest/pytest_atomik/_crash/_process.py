"""Looking into a process that is stopped, and ending processes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import posix
import re
import signal
import struct
from typing import Final, NamedTuple

from ._calls import Machine
from ._filter import TRACE_FD

#: Asks a thread for its Python traceback: the last but one of those that nobody uses.
TRACE_SIGNAL: Final = getattr(signal, "SIGRTMAX", 65) - 1

_PAGE: Final = posix.sysconf("SC_PAGESIZE")
_LONGEST_PATH: Final = 4096
#: The bits of an address that say where. On aarch64 a process may keep a mark in those above, which its calls pass over
#: (PR_SET_TAGGED_ADDR_CTRL), but /proc does not; elsewhere an address with some of them leads nowhere.
_WHERE: Final = (1 << 56) - 1


class Descriptor(NamedTuple):
    """What is known of another process's open file."""

    position: int
    flags: int


def read_file(path: str) -> bytes:
    """Return the whole content of a file that has no length, as those in /proc."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        content = b""
        while chunk := posix.read(fd, 1 << 16):
            content += chunk
        return content
    finally:
        posix.close(fd)


def read_memory(pid: int, address: int, length: int) -> bytes:
    """Return a part of a process's memory."""
    fd = posix.open(f"/proc/{pid}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        content = posix.pread(fd, length, address & _WHERE)
    finally:
        posix.close(fd)
    if len(content) < length:
        raise OSError(errno.EFAULT, posix.strerror(errno.EFAULT))
    return content


def read_string(pid: int, address: int) -> bytes:
    """Return a string in a process's memory; it ends before a page that may not be there."""
    fd = posix.open(f"/proc/{pid}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
    text = b""
    try:
        while b"\0" not in text and len(text) < _LONGEST_PATH:
            at = (address & _WHERE) + len(text)
            chunk = posix.pread(fd, min(256, _PAGE - at % _PAGE), at)
            if not chunk:
                raise OSError(errno.EFAULT, posix.strerror(errno.EFAULT))
            text += chunk
    finally:
        posix.close(fd)
    return text.split(b"\0", 1)[0]


def read_lengths(pid: int, address: int, count: int) -> int:
    """Return how long the buffers of an iovec are together."""
    raw = read_memory(pid, address, 16 * min(count, 1024))
    return sum(length for _, length in struct.iter_unpack("=QQ", raw))


def descriptor(pid: int, number: int) -> Descriptor:
    """Return the position and the flags of an open file."""
    text = read_file(f"/proc/{pid}/fdinfo/{number}")
    found = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
    return Descriptor(int(found[b"pos"]), int(found[b"flags"], 8))


def process_of(thread: int) -> int:
    """Return the process that a thread belongs to; the thread's own number if it is gone."""
    with contextlib.suppress(OSError):
        if found := re.search(rb"^Tgid:\s*(\d+)", read_file(f"/proc/{thread}/status"), re.MULTILINE):
            return int(found[1])
    return thread


def birth_of(pid: int) -> bytes:
    """Return what distinguishes a process from an earlier one of the same number; nothing if it is gone."""
    with contextlib.suppress(OSError):
        return read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19]
    return b""


def is_alive(thread: int) -> bool:
    """Return whether a thread is there."""
    try:
        posix.stat(f"/proc/{thread}")
    except OSError:
        return False
    return True


def ask_for_traceback(target: Machine, thread: int) -> bool:
    """Let a stopped thread write its Python traceback to TRACE_FD; return whether it will, and repeat its call.

    A thread that has not the handler (another program), or would not be interrupted, is left alone.
    """
    try:
        status = read_file(f"/proc/{thread}/status")
        caught, blocked = (
            int(found[1], 16) if (found := re.search(field + rb":\s*(\w+)", status)) else 0
            for field in (b"SigCgt", b"SigBlk")
        )
        bit = 1 << (TRACE_SIGNAL - 1)
        if not caught & bit or blocked & bit:
            return False
        posix.stat(f"/proc/{thread}/fd/{TRACE_FD}")
    except OSError:
        return False
    return bool(ctypes.CDLL(None).syscall(target.tgkill, process_of(thread), thread, int(TRACE_SIGNAL)) == 0)


def state_of(pid: int) -> bytes:
    """Return the letter of a process's state; nothing if it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0]
    return b""


def children_of(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`."""
    found = []
    for name in posix.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int(read_file(f"/proc/{name}/stat").rpartition(b")")[2].split()[1]) == pid:
                    found.append(int(name))
    return found


def kill(pid: int) -> None:
    """Send SIGKILL; it is no matter if the process is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        posix.kill(pid, signal.SIGKILL)
