"""Going through a tree of any depth, by descriptors, without following a link; a second tree can be made along with it."""

from __future__ import annotations

import errno
import os
import stat

from . import locks, mounts
from .calls import GONE
from .descriptors import REAL_DIRECTORY, Descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, Literal, TypeAlias

    Purpose: TypeAlias = Literal["read", "search", "remove"]

#: How many levels are held open at once; above them a level is opened again through "..", and compared.
_MOST_OPEN: Final = 64

#: What was a folder when its name was read may have been removed since, or be something else.
_NOT_TO_ENTER: Final = GONE | {errno.ENOTDIR, errno.ELOOP}
_NO_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE}

#: Needs no right to the folder itself. Only Linux has it; elsewhere what cannot be read stays.
_HANDLE: Final = REAL_DIRECTORY | getattr(os, "O_PATH", 0)
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_FILE_HANDLE: Final = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_PATH", 0)


class Level:
    """One folder of the tree, while the walk is in it or below it.

    Attributes:
        fd: its descriptor, open for reading since now: see `open_anew`.
        copy: the descriptor of the folder that is made along with it, or -1.
        name: its name in the folder above (empty at the top).
        above: that folder, or None at the top.
        identities: device and inode of the folder and of its copy.
        top_copy: those of the copy of the whole tree.
        files: the names in it that are not folders.
        special: those of `files` that are no regular files, either: links, FIFOs, sockets, devices.
        folders: the names of the folders in it that are still to be entered.
    """

    __slots__ = ("above", "copy", "fd", "files", "folders", "identities", "name", "special", "top_copy")

    def __init__(self, fd: int, copy: int, name: str, above: Level | None) -> None:
        self.fd = fd
        self.copy = copy
        self.name = name
        self.above = above
        self.files: list[str] = []
        self.special: set[str] = set()
        self.folders: list[str] = []
        self.identities = (_identity(fd), _identity(copy))
        self.top_copy: tuple[int, int] = self.identities[1] if above is None else above.top_copy
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    self.folders.append(entry.name)
                    continue
                self.files.append(entry.name)
                if not entry.is_file(follow_symlinks=False):
                    self.special.add(entry.name)

    @property
    def path(self) -> str:
        """The path of this folder from the top of the tree, with a slash at its end; empty for the top."""
        names: list[str] = []
        level = self
        while level.above is not None:  # no recursion: a tree may be deeper than Python's stack
            names.append(f"{level.name}/")
            level = level.above
        return "".join(reversed(names))


class Walk:
    """A walk through the tree below an open folder.

    Attributes:
        complete: False once something was passed over: a mount, or a folder that was removed or swapped meanwhile.
        held: whether a folder was passed over since somebody has locked it, which is looked at when removing.
    """

    def __init__(self, top: int, purpose: Purpose, *, copy: int = -1, origin: str = "") -> None:
        """Prepare to walk.

        Args:
            top: the folder's descriptor, open for reading; it stays the caller's.
            purpose: ``"read"``: everything, or raise; ``"search"``: what can be entered on this mount; ``"remove"``: all on
                this mount that nobody has locked, folders that lack u+rwx being given these bits.
            copy: the descriptor of an empty folder in which the same folders are to be made, mode 0700.
            origin: what the folder is called, for the errors.
        """
        self.complete = True
        self.held = False
        self._top = top
        self._copy = copy
        self._origin = origin
        self._purpose = purpose
        self._mount = None if purpose == "read" else mounts.mount_id(top)

    def __iter__(self) -> Iterator[tuple[Level, bool]]:
        """Yield (level, False) as a folder is entered and (level, True) when everything below it is done."""
        fds = Descriptors()
        try:
            yield from self._walk(fds)
        finally:
            fds.close_all()

    def _walk(self, fds: Descriptors) -> Iterator[tuple[Level, bool]]:
        levels = [Level(open_anew(fds, self._top), self._copy, "", None)]
        yield levels[0], False
        while levels:
            level = levels[-1]
            if level.folders:
                entered = self._enter(fds, levels, level.folders.pop())
                if entered is None:
                    self.complete = False
                    continue
                levels.append(entered)
                if len(levels) > _MOST_OPEN + 1:
                    _close_until_needed(fds, levels[-_MOST_OPEN])
                yield entered, False
                continue
            if level.above is not None and level.above.fd == -1 and not _reopen(fds, level, level.above):
                if self._purpose == "read":
                    raise OSError(errno.ESTALE, "The tree was moved about while it was read", level.path)
                self.complete = False
                return
            yield level, True
            levels.pop()
            if level.above is not None:
                _close(fds, level)

    def _enter(self, fds: Descriptors, levels: list[Level], name: str) -> Level | None:
        try:
            try:
                return self._open_level(fds, levels[-1], name)
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS or len(levels) < 3:
                    raise
            # Where descriptors have run out, those of the levels between the top and here can be spared.
            for level in levels[1:-1]:
                _close_until_needed(fds, level)
            return self._open_level(fds, levels[-1], name)
        except OSError as error:
            error.filename = os.path.join(self._origin, levels[-1].path, name)
            raise

    def _open_level(self, fds: Descriptors, above: Level, name: str) -> Level | None:
        fd = self._open(fds, above.fd, name)
        if fd is None:
            return None
        copy = -1
        try:
            if above.copy != -1:
                try:
                    os.mkdir(name, stat.S_IRWXU, dir_fd=above.copy)
                except FileExistsError:
                    pass  # the second try
                copy = fds.open(name, REAL_DIRECTORY, dir_fd=above.copy)
            return Level(fd, copy, name, above)
        except OSError as error:
            fds.close(fd)
            if copy != -1:
                fds.close(copy)
            if error.errno not in GONE or self._purpose == "read":
                raise
            return None

    def _open(self, fds: Descriptors, directory: int, name: str) -> int | None:
        """Open the folder `name` for reading, or return None where it is none any more, or not to be entered."""
        try:
            fd = fds.open(name, REAL_DIRECTORY, dir_fd=directory)
        except PermissionError:
            if self._purpose == "read":
                raise
            return self._force(fds, directory, name) if self._purpose == "remove" else None
        except OSError as error:
            if error.errno in _NOT_TO_ENTER and self._purpose != "read":
                return None
            raise
        if self._purpose != "read" and not _is_on(fd, self._mount):
            fds.close(fd)
            return None
        if self._purpose == "remove":
            if locks.try_lock_exclusive(fd) == "busy":
                self.held = True
                fds.close(fd)
                return None
            ensure_u_rwx(fd)
        return fd

    def _force(self, fds: Descriptors, directory: int, name: str) -> int | None:
        try:
            handle = fds.open(name, _HANDLE, dir_fd=directory)
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                raise
            return None
        try:
            return _open_via_proc(fds, handle) if _is_on(handle, self._mount) else None
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                raise
            return None
        finally:
            fds.close(handle)


def open_anew(fds: Descriptors, folder: int) -> int:
    """Return a descriptor by which a folder that is open is listed as it is now; the same one where no other is to be had.

    SMB may answer a second listing by the same descriptor from what it has answered before, though names were made and removed
    by ourselves meanwhile (seen, Linux 6.1); btrfs lists what was there when the descriptor was opened, or rewound (Linux >= 6.5;
    seen).
    """
    try:
        return fds.open(".", REAL_DIRECTORY, dir_fd=folder)
    except OSError:  # its mode allows no search, or descriptors have run out
        os.lseek(folder, 0, os.SEEK_SET)
        return folder


def list_folder(folder: int) -> list[str]:
    """Return the names in a folder that is open, as they are now."""
    fds = Descriptors()
    try:
        return os.listdir(open_anew(fds, folder))
    finally:
        fds.close_all()


def open_for_removal(fds: Descriptors, directory: int, name: str) -> int:
    """Open a folder that is to be removed and that may lack u+rwx: it is given these bits.

    Only if it cannot be opened without, since a reader of it may depend on its mode; and through a descriptor that needs
    no right to the folder itself, so that no swapped link leads astray.

    Raises:
        OSError: it is no folder, or is somebody else's.
    """
    try:
        return fds.open(name, REAL_DIRECTORY, dir_fd=directory)
    except PermissionError:
        return _open_via_proc(fds, fds.open(name, _HANDLE, dir_fd=directory))


def open_file(fds: Descriptors, directory: int, name: str) -> int:
    """Open a file of one's own for reading, whatever its mode, which it keeps.

    Raises:
        OSError: it is no file, or is somebody else's.
    """
    try:
        return fds.open(name, _FILE, dir_fd=directory)
    except PermissionError:
        handle = fds.open(name, _FILE_HANDLE, dir_fd=directory)
        path, mode = f"/proc/self/fd/{handle}", os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise
    os.chmod(path, stat.S_IMODE(mode) | stat.S_IRUSR)
    try:
        return fds.open(path, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.chmod(path, stat.S_IMODE(mode))
        fds.close(handle)


def _open_via_proc(fds: Descriptors, handle: int) -> int:
    ensure_u_rwx(handle, f"/proc/self/fd/{handle}")
    return fds.open(".", REAL_DIRECTORY, dir_fd=handle)


def ensure_u_rwx(fd: int, path: str | None = None) -> None:
    """Give the folder `fd` u+rwx, if it lacks that; by a path that leads to it where the descriptor is a mere handle (O_PATH)."""
    if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(fd if path is None else path, stat.S_IRWXU)


def _is_on(fd: int, mount: int | None) -> bool:
    """Say whether `fd` is on that mount. Without /proc nobody can tell: then it is not."""
    return mount is not None and mounts.mount_id(fd) == mount


def _identity(fd: int) -> tuple[int, int]:
    if fd == -1:
        return (-1, -1)
    status = os.fstat(fd)
    return (status.st_dev, status.st_ino)


def _close(fds: Descriptors, level: Level) -> None:
    for fd in (level.fd, level.copy):
        if fd != -1:
            _close_folder(fds, fd)


def _close_folder(fds: Descriptors, fd: int) -> None:
    try:
        fds.close(fd)
    except OSError:
        pass  # nothing is written through the descriptor of a folder


def _close_until_needed(fds: Descriptors, level: Level) -> None:
    if level.fd != -1:
        _close(fds, level)
        level.fd = -1


def _reopen(fds: Descriptors, level: Level, above: Level) -> bool:
    """Open a level again from the one below it; False if a tree was moved about, and ".." leads elsewhere."""
    try:
        above.fd = fds.open("..", REAL_DIRECTORY, dir_fd=level.fd)
        if above.copy != -1:
            above.copy = fds.open("..", REAL_DIRECTORY, dir_fd=level.copy)
    except (FileNotFoundError, PermissionError):
        return False
    return above.identities == (_identity(above.fd), _identity(above.copy))
