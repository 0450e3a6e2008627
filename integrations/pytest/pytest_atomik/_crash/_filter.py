"""The seccomp filter: which calls of a thread, and of all that it starts, are stopped until the supervisor answers."""

from __future__ import annotations

import ctypes
import errno
import posix
import re
import struct
import sys
from typing import Final

from ._calls import MACHINES, Machine

#: Where a stopped thread writes its Python traceback. The filter lets that pass.
TRACE_FD: Final = 963

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 8

# Offsets in the data that a filter is given (struct seccomp_data), and its instructions (linux/bpf_common.h).
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_LOAD, _EQUAL, _HAS_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW = (_RETURN, 0, 0, 0x7FFF0000)
_NOTIFY = (_RETURN, 0, 0, 0x7FC00000)

#: Until then (Linux 5.5) a supervisor could not let a call go on.
_OLDEST: Final = (5, 5)


class Unavailable(Exception):  # noqa: N818 - a reason, not a fault
    """The calls of a function cannot be stopped here; the text says why."""


def machine() -> Machine:
    """Return what this machine is.

    Raises:
        Unavailable: it is none on which calls can be stopped.
    """
    if sys.platform != "linux":
        msg = f"it needs Linux, and this is {sys.platform}"
        raise Unavailable(msg)
    system = posix.uname()
    found = MACHINES.get(system.machine)
    if found is None or sys.maxsize < 1 << 32:
        msg = f"it knows the system calls of {' and '.join(MACHINES)}, and this is {system.machine}"
        raise Unavailable(msg)
    version = tuple(map(int, re.findall(r"\d+", system.release)[:2]))
    if version < _OLDEST:
        msg = f"it needs Linux 5.5 or newer, and this is {system.release}"
        raise Unavailable(msg)
    return found


def program(target: Machine) -> bytes:
    """Return the filter for a machine, in the kernel's form."""
    code = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, target.audit), _ALLOW, (_LOAD, 0, 0, _NUMBER)]
    for number, call in target.calls.items():
        body: list[tuple[int, int, int, int]] = []
        if call.name == "write":
            body += [(_LOAD, 0, 0, _ARGUMENTS), (_EQUAL, 0, 1, TRACE_FD), _ALLOW]
        for argument, bits in call.when:
            body += [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_HAS_BIT, 1, 0, bits), _ALLOW]
        code += [(_EQUAL, 0, len(body) + 1, number), *body, _NOTIFY]
    code.append(_ALLOW)
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def install(target: Machine) -> int:
    """Stop the calls of this thread and of all that it starts, for good; return the descriptor of the supervisor.

    Raises:
        Unavailable: the kernel, or a filter that is there already, refuses.
    """
    instructions = program(target)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(instructions)
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(buffer)))
    fd: int = -1
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        fd = libc.syscall(target.seccomp, _SET_MODE_FILTER, _NEW_LISTENER, whole)
    if fd < 0:
        code = ctypes.get_errno()
        why = "another filter is listening already" if code == errno.EBUSY else posix.strerror(code)
        msg = f"the kernel refuses seccomp user notification: {why}"
        raise Unavailable(msg)
    return fd
