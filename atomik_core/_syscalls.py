"""The system calls that Python's os module lacks, through ctypes. Where there is none: OSError ENOSYS."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_uint, c_void_p
from functools import cache
from typing import Final, TypeAlias

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
_AT_EMPTY_PATH: Final = 0x1000

#: What a kernel, a filesystem or a container answers for a call that it does not have.
UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

#: renameat2's number by the ABI that Python was built for, where the C library has no wrapper (musl, glibc < 2.28). Not by
#: `platform.machine()`: a 32-bit Python runs on 64-bit kernels. (the kernel's syscall tables)
_RENAMEAT2: Final = {
    "x86_64": 316,
    "i386": 353,
    "aarch64": 276,
    "arm": 382,
    "powerpc64le": 357,
    "riscv64": 276,
    "s390x": 347,
    "loongarch64": 276,
}

#: struct statfs begins with f_type, a word of the ABI; 256 bytes hold it on every one of them.
_Statfs: Final = c_long * (256 // ctypes.sizeof(c_long))

_Function: TypeAlias = "Callable[..., int] | None"


def kernel() -> tuple[int, ...]:
    """Return Linux's version as two numbers; (0,) on another system."""
    if sys.platform != "linux":
        return (0,)
    return tuple(int(part) for part in os.uname().release.split(".")[:2] if part.isdecimal())


def _bind(name: str, *argtypes: type) -> _Function:
    """Return the C library's function, or None where it has none (or is not Linux's)."""
    if sys.platform != "linux":
        return None
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError):
        return None
    function.argtypes = argtypes
    function.restype = c_int
    found: Callable[..., int] = function
    return found


@cache
def _renameat2() -> _Function:
    found = _bind("renameat2", c_int, c_char_p, c_int, c_char_p, c_uint)
    if found is not None:
        return found
    number = _RENAMEAT2.get(getattr(sys.implementation, "_multiarch", "").partition("-")[0])
    syscall = _bind("syscall", c_long, c_int, c_char_p, c_int, c_char_p, c_uint)
    if number is None or syscall is None:
        return None
    return lambda *arguments: syscall(number, *arguments)


@cache
def _linkat() -> _Function:
    return _bind("linkat", c_int, c_char_p, c_int, c_char_p, c_int)


@cache
def _syncfs() -> _Function:
    return _bind("syncfs", c_int)


@cache
def _fstatfs() -> _Function:
    return _bind("fstatfs", c_int, c_void_p)


def _failed(code: int, source: str | None = None, target: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), source, None, target)


def renameat2(source_dir: int, source: str, target_dir: int, target: str, flags: int) -> None:
    """Rename `source` to `target`, each relative to a directory descriptor; see renameat2(2).

    Raises:
        OSError: with both names. ENOSYS also where the C library or the system has no such call.
    """
    function = _renameat2()
    if function is None:
        raise _failed(errno.ENOSYS, source, target)
    sys.audit("os.rename", source, target, source_dir, target_dir)
    if function(source_dir, os.fsencode(source), target_dir, os.fsencode(target), flags) != 0:
        raise _failed(ctypes.get_errno(), source, target)


def link_descriptor(fd: int, directory: int, name: str) -> None:
    """Give the unnamed file `fd` a name by linkat(2) with AT_EMPTY_PATH.

    Raises:
        OSError: ENOENT without CAP_DAC_READ_SEARCH before Linux 6.10, or if the credentials have changed since `fd` was
            opened; ENOSYS as above.
    """
    function = _linkat()
    if function is None:
        raise _failed(errno.ENOSYS, None, name)
    sys.audit("os.link", fd, name, -1, directory)
    if function(fd, b"", directory, os.fsencode(name), _AT_EMPTY_PATH) != 0:
        raise _failed(ctypes.get_errno(), None, name)


def syncfs(fd: int) -> None:
    """Write back the whole filesystem of `fd`; report its errors since `fd` was opened (Linux >= 5.8, syncfs(2))."""
    function = _syncfs()
    if function is None:
        raise _failed(errno.ENOSYS)
    while function(fd) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise _failed(code)


def filesystem_magic(fd: int) -> int | None:
    """Return the magic number of the filesystem of `fd` (fstatfs(2), `f_type`), or None where that is unknown."""
    function = _fstatfs()
    if function is None:
        return None
    buffer = _Statfs()
    if function(fd, buffer) != 0:
        return None
    return buffer[0] & 0xFFFFFFFF
