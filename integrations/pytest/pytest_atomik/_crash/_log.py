"""The log of a run: what has happened to which file, in order, so that every moment of it can be shown again."""

from __future__ import annotations

import contextlib
import fcntl
import posix
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

_FICLONE: Final = 0x40049409
_CHUNK: Final = 1 << 30
#: Parts of this length or longer are stored so that filesystems with reflinks need not copy them.
_ALIGNED: Final = 1 << 16
_BLOCK: Final = 4096


class Span(NamedTuple):
    """Bytes in the store."""

    start: int
    length: int


@dataclass(frozen=True)
class Edit:
    """A change of a part of a file.

    Attributes:
        offset: where in the file it is.
        old: what was there before, if anything was.
        new: what is there now.
        old_size: how long the file was before.
        new_size: how long it is now.
        is_reversible: whether `old` is known.
    """

    offset: int
    old: Span | None
    new: Span | None
    old_size: int
    new_size: int
    is_reversible: bool = True


class Attributes(NamedTuple):
    """What a file is, besides its content and its names."""

    mode: int
    owner: int
    group: int
    modified: int
    extended: tuple[tuple[str, bytes], ...] | None


@dataclass(eq=False, repr=False)
class Inode:
    """A file, folder, link or other entry, however many names it has.

    Attributes:
        first: its attributes when it was first seen.
        target: of a symbolic link.
        device: of a device.
        edits: what has become of its content since it was first seen. The version n is that after n of them.
        backup: a copy of the content that it had at the beginning of the run; None where there is none.
        is_copied: whether the backup is a copy. If not, it is the file itself, under a name more.
        size: how long it is now, during the run.
        stamp: what it looked like when it was looked at last, during the run.
        attributes: what they are now, during the run.
    """

    first: Attributes
    target: str = ""
    device: int = 0
    edits: list[Edit] = field(default_factory=list)
    backup: str | None = None
    is_copied: bool = False
    size: int = 0
    stamp: Stamp | None = None
    attributes: Attributes = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = self.first

    @property
    def is_file(self) -> bool:
        """Whether it has a content."""
        return stat.S_ISREG(self.first.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it has names in it."""
        return stat.S_ISDIR(self.first.mode)


#: A name: the folder in which it is, and what it is called there.
Name: TypeAlias = tuple[Inode, str]
#: Changes of names that are one: each now means the inode, or nothing.
Names: TypeAlias = dict[Name, "Inode | None"]
#: Length and time of modification.
Stamp: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Appeared:
    """An inode was seen for the first time."""

    inode: Inode


@dataclass(frozen=True)
class Renamed:
    """Names have come, gone, or now mean something else."""

    names: Names


@dataclass(frozen=True)
class Edited:
    """The content of a file has got to a version."""

    inode: Inode
    version: int


@dataclass(frozen=True)
class Changed:
    """A file has other attributes."""

    inode: Inode
    attributes: Attributes


@dataclass(frozen=True)
class Synced:
    """A file or folder is durable; everything is, for None."""

    inode: Inode | None


@dataclass
class Point:
    """A moment at which the function may be killed.

    Attributes:
        step: what comes next, in words.
        path: what that is about, relative to the directory.
        frames: the Python frames that ask for it, innermost first: file, line, function.
    """

    step: str
    path: str
    frames: list[tuple[str, int, str]] = field(default_factory=list)


Event: TypeAlias = Appeared | Renamed | Edited | Changed | Synced | Point


class Store:
    """Bytes put aside, in one file. `read_from` and `write_to` let the kernel copy, or share, where it can."""

    def __init__(self, path: str) -> None:
        """Keep the bytes in a new file at `path`."""
        self._fd = posix.open(path, posix.O_RDWR | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
        self._end = 0

    def read_from(self, fd: int, offset: int, length: int) -> Span | None:
        """Put aside what is in a file from `offset` on; None if there is nothing."""
        start = self._end
        if length >= _ALIGNED:
            # At the same place in a block as in the file, else nothing can be shared.
            start += (offset - start) % _BLOCK
        copied = copy_range(fd, self._fd, length, offset, start)
        self._end = start + copied
        return Span(start, copied) if copied else None

    def write_to(self, fd: int, offset: int, span: Span) -> None:
        """Put bytes back into a file."""
        copy_range(self._fd, fd, span.length, span.start, offset)

    def put(self, content: bytes) -> Span | None:
        """Put bytes aside; None if there are none."""
        start = self._end
        while content:
            count = posix.pwrite(self._fd, content, self._end)
            self._end += count
            content = content[count:]
        return Span(start, self._end - start) if self._end > start else None

    def get(self, span: Span | None) -> bytes:
        """Return bytes that were put aside."""
        content = b""
        while span is not None and len(content) < span.length:
            content += posix.pread(self._fd, span.length - len(content), span.start + len(content))
        return content

    def close(self) -> None:
        """Close the file."""
        posix.close(self._fd)


def copy_range(source: int, target: int, length: int, source_offset: int, target_offset: int) -> int:
    """Copy a part of a file to a place in another; return how much there was to be copied."""
    done = 0
    with contextlib.suppress(OSError, AttributeError):  # other filesystems, and files of /proc and the like; not Linux
        while length >= _ALIGNED and done < length:
            count = posix.copy_file_range(
                source, target, min(length - done, _CHUNK), source_offset + done, target_offset + done
            )
            if not count:
                return done
            done += count
    while done < length:
        chunk = posix.pread(source, min(length - done, 1 << 20), source_offset + done)
        if not chunk:
            break
        rest = memoryview(chunk)
        while rest:
            count = posix.pwrite(target, rest, target_offset + done)
            rest = rest[count:]
            done += count
    return done


def open_to_read(path: str) -> int:
    """Open a file for reading, also if its owner, who we are, may only write it."""
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK
    try:
        return posix.open(path, flags)
    except PermissionError:
        with opened_up(path):
            return posix.open(path, flags)


@contextlib.contextmanager
def opened_up(path: str) -> Iterator[None]:
    """Give the owner every right for a moment."""
    mode = stat.S_IMODE(posix.stat(path).st_mode)
    posix.chmod(path, mode | 0o700)
    try:
        yield
    finally:
        posix.chmod(path, mode)


def clone(source: int, target: int) -> bool:
    """Let a new file share the whole content of another; return whether the filesystem can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def stamp_of(status: posix.stat_result) -> Stamp:
    """Return what is compared to see whether a file has been changed."""
    return status.st_size, status.st_mtime_ns


def attributes_of(status: posix.stat_result, path: str | None = None) -> Attributes:
    """Return the attributes of a file.

    Args:
        status: what they are read from.
        path: a path of it, to read the extended ones, too.
    """
    return Attributes(
        status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, None if path is None else extended_of(path)
    )


def extended_of(path: str) -> tuple[tuple[str, bytes], ...]:
    """Return the extended attributes of what is at a path, as far as they can be read."""
    found = []
    with contextlib.suppress(OSError):
        for name in sorted(posix.listxattr(path)):
            with contextlib.suppress(OSError):
                found.append((name, posix.getxattr(path, name)))
    return tuple(found)
