"""The system calls that Python's os module lacks, through ctypes. Where there is none: OSError ENOSYS."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from ctypes import c_char_p, c_int, c_long, c_uint, c_uint64, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeAlias

    Function: TypeAlias = Callable[..., int]

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
_AT_EMPTY_PATH: Final = 0x1000
_AT_SYMLINK_NOFOLLOW: Final = 0x100

#: What a kernel, a filesystem or a container answers for a call that it does not have.
UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

#: What is said of a name that somebody has removed; ESTALE is NFS's, where another host has.
GONE: Final = frozenset({errno.ENOENT, errno.ESTALE})

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

#: struct statx as 64-bit words, the same on every ABI (statx(2)): stx_mask is in the first, stx_attributes is the second,
#: stx_attributes_mask the eighth, stx_btime the eleventh and twelfth, stx_mnt_id the nineteenth.
_Statx: Final = c_uint64 * 32
_STATX_MNT_ID: Final = 0x1000
_STATX_BTIME: Final = 0x800
ATTRIBUTE_IMMUTABLE: Final = 0x10
ATTRIBUTE_APPEND: Final = 0x20
ATTRIBUTE_MOUNT_ROOT: Final = 0x2000

#: struct file_handle as 32-bit words: the size of what follows the second one, which is at most 128 bytes (name_to_handle_at(2)).
_FileHandle: Final = c_uint * (2 + 128 // 4)
_AT_HANDLE_FID: Final = 0x200

#: The functions that were looked up; None where the C library has none.
_functions: Final[dict[str, Function | None]] = {}


def _kernel() -> tuple[int, ...]:
    if sys.platform != "linux":
        return (0,)
    return tuple(int(part) for part in os.uname().release.split(".")[:2] if part.isdecimal())


#: Linux's version as two numbers; (0,) on another system.
KERNEL: Final = _kernel()


def _function(name: str, *argtypes: type) -> Function | None:
    """Return the C library's function, or None where it has none (or is not Linux's)."""
    try:
        return _functions[name]
    except KeyError:
        found: Any = None
        if sys.platform == "linux":
            try:
                found = getattr(ctypes.CDLL(None, use_errno=True), name)
            except (AttributeError, OSError):
                pass
            else:
                found.argtypes = argtypes
                found.restype = c_int
        _functions[name] = found
        return _functions[name]


def _renameat2() -> Function | None:
    found = _function("renameat2", c_int, c_char_p, c_int, c_char_p, c_uint)
    if found is not None:
        return found
    number = _RENAMEAT2.get(getattr(sys.implementation, "_multiarch", "").partition("-")[0])
    syscall = _function("syscall", c_long, c_int, c_char_p, c_int, c_char_p, c_uint)
    if number is None or syscall is None:
        return None
    return lambda *arguments: syscall(number, *arguments)


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
    function = _function("linkat", c_int, c_char_p, c_int, c_char_p, c_int)
    if function is None:
        raise _failed(errno.ENOSYS, None, name)
    sys.audit("os.link", fd, name, -1, directory)
    if function(fd, b"", directory, os.fsencode(name), _AT_EMPTY_PATH) != 0:
        raise _failed(ctypes.get_errno(), None, name)


def syncfs(fd: int) -> None:
    """Write back the whole filesystem of `fd`; report its errors since `fd` was opened (Linux >= 5.8, syncfs(2))."""
    function = _function("syncfs", c_int)
    if function is None:
        raise _failed(errno.ENOSYS)
    while function(fd) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise _failed(code)


def filesystem_magic(fd: int) -> int | None:
    """Return the magic number of the filesystem of `fd` (fstatfs(2), `f_type`), or None where that is unknown."""
    function = _function("fstatfs", c_int, c_void_p)
    if function is None:
        return None
    buffer = _Statfs()
    if function(fd, buffer) != 0:
        return None
    return buffer[0] & 0xFFFFFFFF


def _statx(directory: int, name: str, mask: int) -> ctypes.Array[c_uint64] | None:
    """Look at an entry (a symbolic link itself; with an empty name, at the descriptor); None where that cannot be done."""
    function = _function("statx", c_int, c_char_p, c_int, c_uint, c_void_p)
    if function is None:
        return None
    buffer = _Statx()
    flags = _AT_SYMLINK_NOFOLLOW if name else _AT_EMPTY_PATH
    if function(directory, os.fsencode(name), flags, mask, buffer) != 0:
        return None
    return buffer


def _has(buffer: ctypes.Array[c_uint64], mask: int) -> bool:
    return bool((buffer[0] if sys.byteorder == "little" else buffer[0] >> 32) & mask)


def entry_attributes(directory: int, name: str) -> tuple[int, int] | None:
    """Return the attributes of an entry that are set, and those that the filesystem knows; None where nobody can tell."""
    buffer = _statx(directory, name, 0)
    return None if buffer is None else (buffer[1], buffer[7])


def mount_id(fd: int) -> int | None:
    """Return the id of the mount of `fd` (STATX_MNT_ID, Linux 5.8), or None."""
    buffer = _statx(fd, "", _STATX_MNT_ID)
    return None if buffer is None or not _has(buffer, _STATX_MNT_ID) else buffer[18]


def birth(directory: int, name: str = "") -> tuple[int, tuple[int, int]] | None:
    """Return the number of an entry's inode and when it was made, in seconds and nanoseconds, as one look has found them.

    None where the filesystem does not say.
    """
    buffer = _statx(directory, name, _STATX_BTIME)
    if buffer is None or not _has(buffer, _STATX_BTIME):
        return None
    return buffer[4], (buffer[10], buffer[11] & 0xFFFFFFFF)


def birth_time(directory: int, name: str = "") -> tuple[int, int] | None:
    """Return when an entry's inode was made, in seconds and nanoseconds, or None where the filesystem does not say."""
    found = birth(directory, name)
    return None if found is None else found[1]


def file_handle(directory: int, name: str) -> bytes | None:
    """Return what no later inode shares with an entry's, its number included; None where the filesystem has no such thing.

    Overlayfs has one only for comparing (AT_HANDLE_FID, Linux 6.5).
    """
    function = _function("name_to_handle_at", c_int, c_char_p, c_void_p, c_void_p, c_int)
    if function is None:
        return None
    buffer = _FileHandle(128)
    flags = _AT_HANDLE_FID if KERNEL >= (6, 5) else 0
    if function(directory, os.fsencode(name), buffer, ctypes.byref(c_int()), flags) != 0:
        return None
    return bytes(buffer)
