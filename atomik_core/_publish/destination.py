"""Where publications appear: names in directories that are held, so that nobody can swap them meanwhile."""

from __future__ import annotations

import errno
import os
import stat

from .._os import calls, metadata, rename
from .._os.descriptors import DIRECTORY, Descriptors
from .._os.filesystems import Filesystem
from .staging import Wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: As many symbolic links as the kernel follows (path_resolution(7)).
_MOST_LINKS: Final = 40

#: How often a neighbour may take back a parent directory between its making and its opening.
_ROUNDS: Final = 100

#: So many directories of one transaction are open at once; more than any one step works on.
_MOST_OPEN: Final = 64

#: A directory that may be written to, but not read, can be held by this.
_PATH_ONLY: Final = DIRECTORY | getattr(os, "O_PATH", 0)

_LOOK: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class DestinationDirectory:
    """A directory that is held for everything that is published, or staged, in it.

    Attributes:
        readable: whether it is open for reading; one that may only be written to cannot be synced.
        wrappers: the staging folders that were made in it.
        device: the number of its filesystem's device, where several directories may be on one; else -1.
    """

    __slots__ = ("_append_only", "_filesystem", "_folder", "device", "readable", "wrappers")

    def __init__(self, folder: str, *, readable: bool = True) -> None:
        self.readable = readable
        self.device = -1
        self.wrappers: list[Wrapper] = []
        self._folder = folder
        self._filesystem: Filesystem | None = None
        self._append_only: bool | None = None

    @property
    def fd(self) -> int:
        """Its descriptor: to be used now, and asked for anew when another directory has been used."""
        raise NotImplementedError

    @property
    def filesystem(self) -> Filesystem:
        """The filesystem that it is on."""
        if self._filesystem is None:
            self._filesystem = Filesystem(self.fd)
        return self._filesystem

    @property
    def path(self) -> str:
        """An absolute path of it, for people and child processes; the working directory counts when first asked."""
        if not self._folder.startswith("/"):
            self._folder = os.getcwd() if self._folder == "." else os.path.join(os.getcwd(), self._folder)
        return self._folder

    @property
    def current_path(self) -> str:
        """Where it is now, whatever was renamed meanwhile; the path that was given where /proc cannot tell."""
        try:
            return os.readlink(f"/proc/self/fd/{self.fd}")
        except OSError:
            return self.path

    def read_attributes(self) -> dict[str, bytes] | None:
        """Return its extended attributes; None if they cannot be read.

        Through /proc, which needs no right to the directory itself; else by the descriptor.
        """
        found = metadata.read_attributes(f"/proc/self/fd/{self.fd}")
        return metadata.read_attributes(self.fd) if found is None and self.readable else found

    @property
    def is_append_only(self) -> bool:
        """Whether names can be made in it, but neither renamed nor removed (chattr +a)."""
        if self._append_only is None:
            found = calls.entry_attributes(self.fd, "")
            self._append_only = found is not None and bool(found[0] & calls.ATTRIBUTE_APPEND)
        return self._append_only

    def was_removed(self) -> bool:
        """Say whether it has been removed meanwhile."""
        try:
            return os.fstat(self.fd).st_nlink == 0
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESTALE}:  # as FUSE and NFS say it
                raise
            return True

    def new_wrapper(self, fds: Descriptors) -> Wrapper:
        """Make a staging folder in it, which is removed with the others."""
        wrapper = Wrapper(fds, self)
        self.wrappers.append(wrapper)
        wrapper.make()
        return wrapper

    def shared_wrapper(self, fds: Descriptors, name: str) -> Wrapper:
        """Return a staging folder in which `name` is not taken, by a neighbour or by what a program made."""
        for wrapper in self.wrappers:
            if wrapper.is_shared and name not in wrapper.taken and rename.identity(wrapper.fd, name) is None:
                break
        else:
            wrapper = self.new_wrapper(fds)
            wrapper.is_shared = True
        wrapper.taken.add(name)
        return wrapper


class OpenDirectory(DestinationDirectory):
    """One that is open all the time."""

    __slots__ = ("fd",)
    fd: int

    def __init__(self, fd: int, folder: str, *, readable: bool = True) -> None:
        super().__init__(folder, readable=readable)
        self.fd = fd


class PooledDirectory(DestinationDirectory):
    """One of very many, which is closed when too many others are open, and opened again when it is needed."""

    __slots__ = ("_fd", "_identity", "_last_path", "_pool")

    def __init__(self, pool: _Pool, fd: int, identity: tuple[int, int], folder: str, *, readable: bool = True) -> None:
        super().__init__(folder, readable=readable)
        self._fd = fd
        self._identity = identity
        self._last_path = ""
        self._pool = pool

    @property
    def fd(self) -> int:
        """Its descriptor: to be used now, and asked for anew when another directory has been used.

        Raises:
            FileNotFoundError: it was closed to make room for others, and is not where it was then.
            OSError: it cannot be opened again.
        """
        self._pool.use(self)
        return self._fd

    def close(self, fds: Descriptors) -> None:
        """Make room for others."""
        try:
            self._last_path = os.readlink(f"/proc/self/fd/{self._fd}")
        except OSError:
            self._last_path = self.path
        fd, self._fd = self._fd, -1
        fds.close(fd)

    def reopen(self, fds: Descriptors) -> None:
        """Open it where it was when it was closed: it, and no other that stands there now.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be opened.
        """
        if self._fd != -1:
            return
        msg = "The directory was moved away or removed meanwhile"
        try:
            fd = fds.open(self._last_path, DIRECTORY if self.readable else _PATH_ONLY)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, msg, self._last_path) from None
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != self._identity:
            fds.close(fd)
            raise FileNotFoundError(errno.ENOENT, f"{msg}; another one stands there", self._last_path)
        self._fd = fd


class _Pool:
    """Those directories of a transaction that need not all be open at once; the one that was used last is the last to be closed."""

    __slots__ = ("_fds", "_last", "_open")

    def __init__(self, fds: Descriptors) -> None:
        self._fds = fds
        self._open: dict[PooledDirectory, None] = {}
        self._last: PooledDirectory | None = None

    def use(self, directory: PooledDirectory) -> None:
        """See that it is open; close those for it that were used least recently.

        Raises:
            OSError: it cannot be opened again.
        """
        if directory is self._last:
            return
        directory.reopen(self._fds)
        self._open.pop(directory, None)
        self._open[directory] = None
        self._last = directory
        while len(self._open) > _MOST_OPEN:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.close(self._fds)


class Directories:
    """The directories of one transaction, each held once, and the parents that were made for them."""

    __slots__ = (
        "_by_identity",
        "_created",
        "_fds",
        "_first",
        "_noted",
        "_opened",
        "_paths",
        "_pool",
        "_shares",
        "notebook",
    )

    def __init__(self, fds: Descriptors, *, shares: bool) -> None:
        """Hold none yet.

        Args:
            fds: what owns their descriptors.
            shares: whether several destinations may be in one of them.
        """
        self._fds = fds
        self._shares = shares
        self._opened: list[DestinationDirectory] = []
        #: The staging folder in which it is noted in which other directories something is staged.
        self.notebook: Wrapper | None = None
        self._noted: set[DestinationDirectory] = set()
        if shares:
            self._paths: set[str] = set()
            self._by_identity: dict[tuple[int, int], DestinationDirectory] = {}
            #: By device, the one that is never closed: its descriptor's syncfs reports every error since the beginning.
            self._first: dict[int, DestinationDirectory] = {}
            self._pool = _Pool(fds)
        #: Each as (its parent, name), outermost first.
        self._created: list[tuple[DestinationDirectory, str]] = []

    def __iter__(self) -> Iterator[DestinationDirectory]:
        return iter(self._opened)

    @property
    def have_wrappers(self) -> bool:
        """Whether staging folders were made in any of them."""
        return any(directory.wrappers for directory in self._opened)

    def first_on(self, directory: DestinationDirectory) -> DestinationDirectory:
        """Return the one that was opened first on the filesystem of this one."""
        return self._first[directory.device] if self._shares else directory

    @property
    def above_created(self) -> list[DestinationDirectory]:
        """The directories in which parents were made, innermost first."""
        return [above for above, _ in reversed(self._created)]

    def note_in(self, notebook: Wrapper) -> None:
        """Note in this staging folder, from now on, where else something is staged; and where it is already."""
        self.notebook = notebook
        for directory in self._opened:
            if directory.wrappers:
                self.note(directory)

    def note(self, directory: DestinationDirectory) -> None:
        """Note, before anything is staged in a directory, that a cleaner has to look there, too.

        By a link, which is whole or absent, after a power cut, too.
        """
        notebook = self.notebook
        if notebook is None or directory is notebook.directory or directory in self._noted:
            return
        self._noted.add(directory)
        notebook.note(directory.path)

    def open(
        self, folder: str, *, parents: bool = False, dir_fd: int | None = None, path: str | None = None
    ) -> DestinationDirectory:
        """Open a directory, made first if it is missing and `parents` says so.

        Args:
            folder: its path, from `dir_fd` if that is given.
            parents: whether it may be made.
            dir_fd: the descriptor that a relative path begins at.
            path: what to call it, if `folder` is not the whole path.

        Raises:
            OSError: as the kernel says.
        """
        known = self._known(folder) if self._shares and dir_fd is None else None
        if known is not None:
            return known
        try:
            directory = self._open(folder, dir_fd, path or folder)
        except FileNotFoundError:
            if not parents:
                raise
            directory = self._create(folder)
        if self._shares and dir_fd is None:
            self._paths.add(folder)
        return directory

    def _known(self, folder: str) -> DestinationDirectory | None:
        """Return the directory that a path leads to, if we hold it; only a path that was opened before is looked at."""
        if folder not in self._paths:
            return None
        try:
            status = os.stat(folder)
        except FileNotFoundError:
            return None
        return self._by_identity.get((status.st_dev, status.st_ino))

    def _open(self, folder: str, dir_fd: int | None, path: str) -> DestinationDirectory:
        readable = True
        try:
            fd = self._fds.open(folder, DIRECTORY, dir_fd=dir_fd)
        except PermissionError as error:
            try:
                fd = self._fds.open(folder, _PATH_ONLY, dir_fd=dir_fd)
            except OSError:
                raise error from None
            readable = False
        if not self._shares:
            only = OpenDirectory(fd, path, readable=readable)
            self._opened.append(only)
            return only
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        if identity in self._by_identity:
            self._fds.close(fd)
            return self._by_identity[identity]
        directory: DestinationDirectory
        if status.st_dev in self._first:
            directory = pooled = PooledDirectory(self._pool, fd, identity, path, readable=readable)
            self._pool.use(pooled)
        else:
            directory = self._first[status.st_dev] = OpenDirectory(fd, path, readable=readable)
        directory.device = status.st_dev
        self._by_identity[identity] = directory
        self._opened.append(directory)
        return directory

    def _create(self, folder: str) -> DestinationDirectory:
        for _ in range(_ROUNDS):
            try:
                return self._create_missing(folder)
            except FileNotFoundError:
                continue  # a neighbour that discards has taken back what we found or made
        raise OSError(errno.EBUSY, "The parent directories are removed by others as fast as they are made", folder)

    def _create_missing(self, folder: str) -> DestinationDirectory:
        """Make the missing directories one below the other, each relative to the one above it."""
        base, missing = folder, []
        while True:
            base, slash, name = base.rstrip("/").rpartition("/")
            missing.append(name)
            base = base or slash or "."
            try:
                here = self.open(base)
            except FileNotFoundError:
                if base in {".", "/"}:
                    raise OSError(errno.ENOENT, "The working directory has been removed", folder) from None
                continue
            break
        for name in reversed(missing):
            _require_readable(here)
            # Recorded before it is made, for the interrupt in between; only an empty directory is ever taken back.
            self._created.append((here, name))
            try:
                os.mkdir(name, dir_fd=here.fd)
            except FileExistsError:
                self._created.pop()
            here = self._open(name, here.fd, os.path.join(here.path, name))
        _require_readable(here)
        return here

    def remove_created(self) -> None:
        """Remove the parents that were made, as far as they are empty."""
        while self._created:
            above, name = self._created.pop()
            try:
                os.rmdir(name, dir_fd=above.fd)
            except OSError:
                continue  # recorded and not made, or somebody has put something there

    def remove_wrappers(self) -> list[str]:
        """Remove every staging folder; return the paths of those that had to stay."""
        wrappers = [(wrapper, directory) for directory in self._opened for wrapper in directory.wrappers]
        wrappers.sort(key=lambda pair: pair[0] is self.notebook)  # last, since it says where the others are
        return [
            os.path.join(directory.current_path, wrapper.name or "")
            for wrapper, directory in wrappers
            if wrapper.remove() == "left"
        ]


def _require_readable(directory: DestinationDirectory) -> None:
    """Raise if a directory that we make something in, or have made, cannot be synced by this process."""
    if not directory.readable:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), directory.path)


class Destination:
    """A name in an open directory.

    Attributes:
        path: the destination as the caller named it.
        directory: the directory that it is in, once that is open.
        given_directory: the one that the caller named, where a symbolic link was followed from it.
        name: its name there.
        given_name: its name as the caller gave it, where `name` is what a symbolic link led to.
        ends_with_slash: whether the caller asked for a folder by a slash at its end.
    """

    __slots__ = (
        "_accepts_slash",
        "_folder",
        "_preset",
        "directory",
        "ends_with_slash",
        "given_directory",
        "given_name",
        "name",
        "path",
    )
    directory: DestinationDirectory
    given_directory: DestinationDirectory

    def __init__(self, path: str, *, accepts_slash: bool) -> None:
        """Split `path`; nothing is opened yet.

        Args:
            path: as the caller named it.
            accepts_slash: whether one at the end may be dropped (a folder), or means that a file was asked for as a folder.

        Raises:
            ValueError: where the last component is no name: empty, ``.``, ``..`` or the root.
            IsADirectoryError: for a file with a trailing slash.
        """
        self.path = path
        self._preset: DestinationDirectory | None = None
        self.ends_with_slash = path.endswith("/")
        self._accepts_slash = accepts_slash
        self._split(path)
        self.given_name = self.name

    def _split(self, path: str) -> None:
        if path.endswith("/"):
            bare = path.rstrip("/")
            if bare and not self._accepts_slash:
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
        self._folder = folder or slash or "."
        self.name = name

    def read_attributes(self, fds: Descriptors) -> dict[str, bytes] | None:
        """Return the extended attributes of what stands there; None if they cannot be read.

        The calls take no directory descriptor: through /proc they need no right to the file itself. Where there is no /proc, it
        has to be opened.
        """
        found = metadata.read_attributes(f"/proc/self/fd/{self.directory.fd}/{self.name}")
        if found is None:
            try:
                fd = fds.open(self.name, _LOOK, dir_fd=self.directory.fd)
            except OSError:
                return None
            found = metadata.read_attributes(fd)
            fds.close(fd)
        return found

    def set_directory(self, place: DestinationDirectory) -> None:
        """Have it in a directory that is open, whatever its path leads to."""
        self._preset = place

    def open(self, directories: Directories, *, parents: bool) -> None:
        """Open the directory, made first if it is missing and `parents` says so; one that was set stays, if it is still there.

        Raises:
            FileNotFoundError: it is missing.
            NotADirectoryError, PermissionError: as the kernel says.
        """
        preset = self._preset
        if preset is not None and not preset.was_removed():
            self.directory = self.given_directory = preset
            return
        try:
            self.directory = self.given_directory = directories.open(self._folder, parents=parents)
        except FileNotFoundError as error:
            msg = "The destination's parent directory does not exist; make it, or pass parents=True"
            raise FileNotFoundError(errno.ENOENT, msg, self.path) from error
        except OSError as error:
            msg = f"The destination's parent directory cannot be opened: {error.strerror}"
            raise OSError(error.errno, msg, self.path) from error

    def reopen(self, directories: Directories) -> None:
        """Open the directory that the caller named again, made first if it is missing.

        Raises:
            OSError: as `open`.
        """
        self._split(self.path)  # a link that was followed has changed it
        self.open(directories, parents=True)

    @property
    def is_followed(self) -> bool:
        """Whether a symbolic link at the path that the caller named was followed."""
        return self.directory is not self.given_directory or self.name != self.given_name

    def stat(self) -> os.stat_result | None:
        """Return what stands at the destination (a symbolic link itself), or None."""
        try:
            return os.stat(self.name, dir_fd=self.directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error

    def holds(self, identity: tuple[int, int]) -> bool:
        """Say whether the inode that stands there is this one."""
        return rename.identity(self.directory.fd, self.name) == identity

    def real_path(self) -> str:
        """Return the path with every symbolic link resolved but the last component; opens nothing."""
        return os.path.join(os.path.realpath(self._folder), self.name)

    def is_folder(self) -> bool:
        """Say whether a folder stands there, and no link to one."""
        status = self.stat()
        return status is not None and stat.S_ISDIR(status.st_mode)

    def is_empty_folder(self) -> bool:
        """Say whether an empty folder stands there."""
        return rename.is_empty_folder(self.directory.fd, self.name)

    def follow(self, directories: Directories, status: os.stat_result | None) -> os.stat_result | None:
        """Go where a symbolic link at the destination points, by hand; return what stands there.

        Raises:
            PermissionError: the kernel does not follow this link for us (fs.protected_symlinks, proc_sys_fs(5)).
            OSError: ELOOP for more than 40 links; what opening the link's directory raises.
        """
        if status is not None and stat.S_ISLNK(status.st_mode):
            try:
                os.stat(self.name, dir_fd=self.directory.fd)
            except FileNotFoundError:
                pass  # a dangling link: what it names is made, as open() does
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.path) from error
        links = 0
        while status is not None and stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.path)
            target = os.readlink(self.name, dir_fd=self.directory.fd)
            here = self.directory
            self._split(target)
            try:
                self.directory = directories.open(
                    self._folder, dir_fd=here.fd, path=os.path.join(here.path, self._folder)
                )
            except OSError as error:
                msg = f"The destination is a link to {target!r}, whose directory cannot be opened: {error.strerror}"
                raise OSError(error.errno, msg, self.path) from error
            status = self.stat()
        return status

    def replace_link(self) -> None:
        """Go back to the place that the caller named: a symbolic link takes the place of a link, not of what that names."""
        self.directory = self.given_directory
        self.name = self.given_name
