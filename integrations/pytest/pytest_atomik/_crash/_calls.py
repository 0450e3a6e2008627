"""The system calls that can change a file or make it durable, and what their arguments mean."""

from __future__ import annotations

import enum
import posix
from dataclasses import dataclass
from typing import Final

#: Stands for the argument of a directory's descriptor where a call has none: the working directory.
CWD: Final = -1
#: What a descriptor's argument is to mean the working directory, too (AT_FDCWD).
AT_FDCWD: Final = -100

_O_CREATES: Final = posix.O_CREAT | posix.O_TRUNC
_IOC_WRITE: Final = 0x40000000
_MAP_SHARED: Final = 1
_PROT_WRITE: Final = 2


class Does(enum.Enum):
    """What a call does to files."""

    OPEN = "may create a file, or empty one"
    NAMES = "makes, moves or removes names"
    WRITE = "changes a part of a file"
    RESIZE = "changes the length of a file"
    ATTRIBUTES = "changes mode, owner or extended attributes"
    TIMES = "changes times, which no crash is told of"
    SYNC = "makes a file durable"
    SYNC_ALL = "makes everything durable"
    MAP = "maps a file, which is then changed without any call"
    REFUSED = "would lead to changes that cannot be seen"


@dataclass(frozen=True)
class Call:
    """A system call.

    Attributes:
        name: what it is called.
        x86_64: its number there; None if there is none.
        aarch64: the same for the other machine.
        does: what it does.
        verb: how it is told to people.
        names: the arguments that are names: that of the directory's descriptor, and that of the path.
        file: the argument that is a descriptor of the file.
        follows: whether a name that is a symbolic link means what the link leads to.
        when: is stopped only if each of these arguments has one of these bits.
    """

    name: str
    x86_64: int | None
    aarch64: int | None
    does: Does
    verb: str = ""
    names: tuple[tuple[int, int], ...] = ()
    file: int | None = None
    follows: bool = False
    when: tuple[tuple[int, int], ...] = ()


_AT = ((0, 1),)
_PATH = ((CWD, 0),)

CALLS: Final = (
    Call("open", 2, None, Does.OPEN, "create", _PATH, follows=True, when=((1, _O_CREATES),)),
    Call("openat", 257, 56, Does.OPEN, "create", _AT, follows=True, when=((2, _O_CREATES),)),
    Call("openat2", 437, 437, Does.OPEN, "create", _AT, follows=True),
    Call("creat", 85, None, Does.OPEN, "create", _PATH, follows=True),
    Call("mknod", 133, None, Does.NAMES, "create", _PATH),
    Call("mknodat", 259, 33, Does.NAMES, "create", _AT),
    Call("mkdir", 83, None, Does.NAMES, "make folder", _PATH),
    Call("mkdirat", 258, 34, Does.NAMES, "make folder", _AT),
    Call("rmdir", 84, None, Does.NAMES, "remove folder", _PATH),
    Call("unlink", 87, None, Does.NAMES, "remove", _PATH),
    Call("unlinkat", 263, 35, Does.NAMES, "remove", _AT),
    Call("rename", 82, None, Does.NAMES, "rename", ((CWD, 0), (CWD, 1))),
    Call("renameat", 264, 38, Does.NAMES, "rename", ((0, 1), (2, 3))),
    Call("renameat2", 316, 276, Does.NAMES, "rename", ((0, 1), (2, 3))),
    Call("link", 86, None, Does.NAMES, "link", ((CWD, 1),)),
    Call("linkat", 265, 37, Does.NAMES, "link", ((2, 3),)),
    Call("symlink", 88, None, Does.NAMES, "make link", ((CWD, 1),)),
    Call("symlinkat", 266, 36, Does.NAMES, "make link", ((1, 2),)),
    Call("write", 1, 64, Does.WRITE, "write", file=0),
    Call("pwrite64", 18, 68, Does.WRITE, "write", file=0),
    Call("writev", 20, 66, Does.WRITE, "write", file=0),
    Call("pwritev", 296, 70, Does.WRITE, "write", file=0),
    Call("pwritev2", 328, 287, Does.WRITE, "write", file=0),
    Call("sendfile", 40, 71, Does.WRITE, "write", file=0),
    Call("splice", 275, 76, Does.WRITE, "write", file=2),
    Call("copy_file_range", 326, 285, Does.WRITE, "write", file=2),
    Call("fallocate", 285, 47, Does.WRITE, "allocate", file=0),
    Call("ioctl", 16, 29, Does.WRITE, "clone into", file=0, when=((1, _IOC_WRITE),)),
    Call("ftruncate", 77, 46, Does.RESIZE, "resize", file=0),
    Call("truncate", 76, 45, Does.RESIZE, "resize", _PATH, follows=True),
    Call("chmod", 90, None, Does.ATTRIBUTES, "change mode of", _PATH, follows=True),
    Call("fchmod", 91, 52, Does.ATTRIBUTES, "change mode of", file=0),
    Call("fchmodat", 268, 53, Does.ATTRIBUTES, "change mode of", _AT, follows=True),
    Call("fchmodat2", 452, 452, Does.ATTRIBUTES, "change mode of", _AT, follows=True),
    Call("chown", 92, None, Does.ATTRIBUTES, "change owner of", _PATH, follows=True),
    Call("lchown", 94, None, Does.ATTRIBUTES, "change owner of", _PATH),
    Call("fchown", 93, 55, Does.ATTRIBUTES, "change owner of", file=0),
    Call("fchownat", 260, 54, Does.ATTRIBUTES, "change owner of", _AT, follows=True),
    Call("setxattr", 188, 5, Does.ATTRIBUTES, "set attribute of", _PATH, follows=True),
    Call("lsetxattr", 189, 6, Does.ATTRIBUTES, "set attribute of", _PATH),
    Call("fsetxattr", 190, 7, Does.ATTRIBUTES, "set attribute of", file=0),
    Call("setxattrat", 463, 463, Does.ATTRIBUTES, "set attribute of", _AT, follows=True),
    Call("removexattr", 197, 14, Does.ATTRIBUTES, "remove attribute of", _PATH, follows=True),
    Call("lremovexattr", 198, 15, Does.ATTRIBUTES, "remove attribute of", _PATH),
    Call("fremovexattr", 199, 16, Does.ATTRIBUTES, "remove attribute of", file=0),
    Call("removexattrat", 466, 466, Does.ATTRIBUTES, "remove attribute of", _AT, follows=True),
    Call("utime", 132, None, Does.TIMES, "", _PATH, follows=True),
    Call("utimes", 235, None, Does.TIMES, "", _PATH, follows=True),
    Call("futimesat", 261, None, Does.TIMES, "", _AT, 0, follows=True),
    Call("utimensat", 280, 88, Does.TIMES, "", _AT, 0, follows=True),
    Call("fsync", 74, 82, Does.SYNC, "sync", file=0),
    Call("fdatasync", 75, 83, Does.SYNC, "sync", file=0),
    Call("syncfs", 306, 267, Does.SYNC_ALL, "sync"),
    Call("sync", 162, 81, Does.SYNC_ALL, "sync"),
    Call("msync", 26, 227, Does.SYNC_ALL, "sync memory"),
    Call("mmap", 9, 222, Does.MAP, "map", file=4, when=((2, _PROT_WRITE), (3, _MAP_SHARED))),
    Call("io_uring_setup", 425, 425, Does.REFUSED),
)


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Attributes:
        audit: what the kernel calls it in a filter's data.
        seccomp: the number of the call that installs a filter.
        tgkill: the number of the call that sends a signal to one thread.
        calls: the calls to be stopped, by number.
    """

    audit: int
    seccomp: int
    tgkill: int
    calls: dict[int, Call]


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 317, 234, {c.x86_64: c for c in CALLS if c.x86_64 is not None}),
    "aarch64": Machine(0xC00000B7, 277, 131, {c.aarch64: c for c in CALLS if c.aarch64 is not None}),
}
