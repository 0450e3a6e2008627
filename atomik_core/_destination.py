"""Where a publication appears: a name in a directory that is held open, so that nobody can swap it meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, TypeAlias

from . import _rename
from ._descriptors import DIRECTORY, Descriptors

#: A path, in each of the forms that os takes.
StrPath: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"

#: As many symbolic links as the kernel follows (path_resolution(7)).
_MOST_LINKS: Final = 40


class Destination:
    """A name in an open directory.

    Attributes:
        path: the destination as the caller named it.
        directory: the descriptor of the directory that it is in.
        folder: a path of that directory, for people and child processes.
        name: its name there.
        given_name: its name as the caller gave it, where `name` is what a symbolic link led to.
        made: the parent directories that were made for it, outermost first, each as (descriptor of its parent, name).
    """

    __slots__ = ("directory", "folder", "given_name", "made", "name", "path")

    def __init__(self, path: str, *, trailing_slash: bool) -> None:
        """Split `path`; nothing is opened yet.

        Args:
            path: as the caller named it.
            trailing_slash: whether one may be dropped (a folder), or means that a file was asked for as a folder.

        Raises:
            ValueError: where the last component is no name: empty, ``.``, ``..`` or the root.
            IsADirectoryError: for a file with a trailing slash.
        """
        self.path = path
        self.directory = -1
        self.made: list[tuple[int, str]] = []
        self._split(path, trailing_slash=trailing_slash)
        self.given_name = self.name

    @property
    def proc_path(self) -> str:
        """A path of the destination for calls that take no directory descriptor."""
        return f"/proc/self/fd/{self.directory}/{self.name}"

    def _split(self, path: str, *, trailing_slash: bool) -> None:
        if path.endswith("/"):
            bare = path.rstrip("/")
            if bare and not trailing_slash:
                msg = "A path that ends with a slash names a folder; drop the slash, or use atomik.folder"
                raise IsADirectoryError(errno.EISDIR, msg, self.path)
            path = bare
        folder, slash, name = path.rpartition("/")
        if name in {"", ".", ".."}:
            msg = f"{self.path!r} does not name a file or folder that could be published; give a name, not '.', '..' or '/'"
            raise ValueError(msg)
        if "\0" in path:
            msg = f"{self.path!r} holds a null character, which no path can"
            raise ValueError(msg)
        self.folder = folder or slash or "."
        self.name = name

    def open(self, fds: Descriptors, *, parents: bool) -> None:
        """Open the directory, made first if it is missing and `parents` says so.

        Raises:
            FileNotFoundError: it is missing.
            NotADirectoryError, PermissionError: as the kernel says.
        """
        try:
            self.directory = fds.open(self.folder, DIRECTORY)
        except FileNotFoundError:
            if not parents:
                msg = "The destination's parent directory does not exist; make it, or pass parents=True"
                raise FileNotFoundError(errno.ENOENT, msg, self.path) from None
            self._make_parents(fds)
        except OSError as error:
            msg = f"The destination's parent directory cannot be opened: {error.strerror}"
            raise OSError(error.errno, msg, self.path) from error
        if not self.folder.startswith("/"):
            self.folder = os.path.join(os.getcwd(), self.folder)

    def _make_parents(self, fds: Descriptors) -> None:
        """Make the missing directories one below the other, each relative to the one above it."""
        base, missing = self.folder, []
        while True:
            base, slash, name = base.rstrip("/").rpartition("/")
            missing.append(name)
            base = base or slash or "."
            try:
                here = fds.open(base, DIRECTORY)
            except FileNotFoundError:
                continue
            break
        for name in reversed(missing):
            # Recorded before it is made, for the interrupt in between; only an empty directory is ever taken back.
            self.made.append((here, name))
            try:
                os.mkdir(name, dir_fd=here)
            except FileExistsError:
                self.made.pop()
            here = fds.open(name, DIRECTORY, dir_fd=here)
        self.directory = here

    def unmake_parents(self) -> None:
        """Remove the directories that were made for this destination, as far as they are empty."""
        while self.made:
            above, name = self.made.pop()
            try:
                os.rmdir(name, dir_fd=above)
            except FileNotFoundError:
                continue  # recorded, and not made
            except OSError:
                self.made.clear()

    def was_removed(self) -> bool:
        """Say whether the open directory has been removed meanwhile."""
        return os.fstat(self.directory).st_nlink == 0

    def stat(self) -> os.stat_result | None:
        """Return what stands at the destination (a symbolic link itself), or None."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error

    def real_path(self) -> str:
        """Return the path with every symbolic link resolved but the last component; opens nothing."""
        return os.path.join(os.path.realpath(self.folder), self.name)

    def is_empty_folder(self) -> bool:
        """Say whether an empty folder stands there."""
        return _rename.is_empty_folder(self.directory, self.name)

    def follow(self, fds: Descriptors, status: os.stat_result | None, *, trailing_slash: bool) -> os.stat_result | None:
        """Go where a symbolic link at the destination points, by hand; return what stands there.

        Raises:
            PermissionError: the kernel does not follow this link for us (fs.protected_symlinks, proc_sys_fs(5)).
            OSError: ELOOP for more than 40 links; what opening the link's directory raises.
        """
        if status is not None and stat.S_ISLNK(status.st_mode):
            try:
                os.stat(self.name, dir_fd=self.directory)
            except FileNotFoundError:
                pass  # a dangling link: what it names is made, as open() does
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.path) from error
        links = 0
        while status is not None and stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.path)
            target = os.readlink(self.name, dir_fd=self.directory)
            above, here = self.folder, self.directory
            self._split(target, trailing_slash=trailing_slash)
            try:
                self.directory = fds.open(self.folder, DIRECTORY, dir_fd=here)
            except OSError as error:
                msg = f"The destination is a link to {target!r}, whose directory cannot be opened: {error.strerror}"
                raise OSError(error.errno, msg, self.path) from error
            self.folder = os.path.join(above, self.folder)
            status = self.stat()
        return status
