"""`AtomicLocalFileSystem`: what Luigi does to files and folders by name, each in one instant."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from functools import cache

from luigi.local_target import LocalFileSystem

import atomik
from atomik import Sync

from ._errors import CopyDestinationExists, NotAFolder, ParentMissing, TargetExists, make, to_luigi_error
from ._parents import durable, level_of, make_folder, make_parents, sync_folder


class AtomicLocalFileSystem(LocalFileSystem):
    """A luigi.local_target.LocalFileSystem whose every change appears as a whole or not at all, for trees as for files.

    Missing parent directories of a destination are made. A file replaces a file and a folder a folder, unless
    `raise_if_exists`.

    Args:
        sync: as for :func:`atomik.file`: ``"full"`` (the default, or what ATOMIK_SYNC says), ``"normal"`` or ``"off"``.

    Raises:
        ValueError: `sync` is none of these.
    """

    def __init__(self, sync: Sync | None = None) -> None:
        super().__init__()
        level_of(sync)  # a word that is none is refused here
        self.sync = sync

    def copy(self, old_path: str, new_path: str, raise_if_exists: bool = False) -> None:
        """Copy a file or a tree, from any filesystem; nobody sees half of it.

        A file that is copied to a folder, or to a path with a slash at its end, lands in that folder, which is made if it
        is missing. A tree takes the place of a folder.

        Raises:
            CopyDestinationExists: `new_path` exists, and `raise_if_exists` is true. It is a RuntimeError, too.
            FileNotFoundError: there is nothing at `old_path`.
            IsADirectoryError, NotADirectoryError: one is a folder and the other is not.
            shutil.SameFileError: they are the same.
            OSError: whatever else Atomik or the kernel says; the destination is unchanged.
        """
        old_path, new_path = os.fsdecode(old_path), os.fsdecode(new_path)
        if raise_if_exists and os.path.lexists(new_path):
            raise make(CopyDestinationExists, errno.EEXIST, new_path, "The destination of the copy exists")
        if not os.path.isdir(old_path):
            os.stat(old_path)  # before a folder is made for it
            if new_path.endswith("/") or os.path.isdir(new_path):
                new_path = os.path.join(new_path, os.path.basename(old_path))
        if _is_same(old_path, new_path):
            msg = f"{old_path!r} and {new_path!r} are the same file"
            raise shutil.SameFileError(msg)
        make_parents(new_path, self.sync)
        try:
            with durable(new_path, self.sync) as sync:
                atomik.copy(old_path, new_path, overwrite=not raise_if_exists, sync=sync)
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error, CopyDestinationExists) from error

    def move(self, old_path: str, new_path: str, raise_if_exists: bool = False) -> None:
        """Move a file or a tree. Across filesystems it is copied, published there in one instant, and then removed here.

        Raises:
            TargetExists: `new_path` exists, and `raise_if_exists` is true; also if there is nothing at `old_path`.
            FileNotFoundError: there is nothing at `old_path`.
            IsADirectoryError, NotADirectoryError: one is a folder and the other is not, or is named by a slash as one.
            OSError: whatever else Atomik or the kernel says; the source is where it was.
        """
        old_path, new_path = os.fsdecode(old_path), os.fsdecode(new_path)
        if raise_if_exists and os.path.lexists(new_path):
            raise make(TargetExists, errno.EEXIST, new_path, "The destination of the move exists")
        if stat.S_ISDIR(os.lstat(old_path).st_mode):
            _check_is_no_link(old_path)
        elif new_path.endswith("/"):
            msg = "A path that ends with a slash names a folder, and a file does not become one"
            raise NotADirectoryError(errno.ENOTDIR, msg, new_path)
        make_parents(new_path, self.sync)
        if level_of(self.sync) != "off":
            _sync_content(old_path)
        try:
            with durable(old_path, self.sync) as sync, durable(new_path, sync) as sync:
                _rename(old_path, new_path, overwrite=not raise_if_exists, sync=sync)
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error) from error

    def remove(self, path: str, recursive: bool = True) -> None:  # type: ignore[override]  # as LocalFileSystem's
        """Remove a file or a tree: it is gone in one instant. Of a symbolic link, the link itself is removed.

        Raises:
            IsADirectoryError: it is a folder, and `recursive` is false.
            NotADirectoryError: the path ends with a slash, and no folder is there, or a symbolic link to one.
            FileNotFoundError: there is nothing.
            OSError: whatever else Atomik or the kernel says.
        """
        path = os.fsdecode(path)
        _check_is_no_link(path)
        if not recursive and os.path.isdir(path) and not os.path.islink(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        with durable(path, self.sync) as sync:
            atomik.remove(path, sync=sync)

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Make a directory; of N rivals with `raise_if_exists` exactly one makes it.

        Raises:
            TargetExists: something is there, and `raise_if_exists` is true.
            NotAFolder: a file is there.
            ParentMissing: its parent is missing, and `parents` is false.
            OSError: whatever else the kernel says.
        """
        path = os.fsdecode(path)
        parent = os.path.dirname(path.rstrip("/")) or "."
        if not os.path.isdir(parent) and not os.path.lexists(path):
            if not parents:
                raise make(ParentMissing, errno.ENOENT, path, "The parent directory is missing")
            make_folder(parent, self.sync)
        try:
            os.mkdir(path)
        except FileExistsError:
            if raise_if_exists:
                raise make(TargetExists, errno.EEXIST, path) from None
            if not os.path.isdir(path):
                raise make(NotAFolder, errno.ENOTDIR, path) from None
        else:
            if level_of(self.sync) == "full":
                sync_folder(parent)

    def listdir(self, path: str) -> Iterator[str]:
        """Yield the files below `path`, at any depth; not those that are being staged there."""
        for folder, folders, files in os.walk(path):
            staged = _staged_in(folder) if any(map(_is_hidden, (*folders, *files))) else frozenset[str]()
            folders[:] = [name for name in folders if os.fsdecode(name) not in staged]
            yield from (os.path.join(folder, name) for name in files if os.fsdecode(name) not in staged)


@cache
def filesystem(sync: Sync | None) -> AtomicLocalFileSystem:
    """Return the filesystem for this level; every target of it has the same."""
    return AtomicLocalFileSystem(sync)


def _rename(old_path: str, new_path: str, *, overwrite: bool, sync: Sync | None) -> None:
    try:
        atomik.rename(old_path, new_path, overwrite=overwrite, sync=sync)
    except atomik.InvalidCrossDeviceError:
        atomik.copy(old_path, new_path, overwrite=overwrite, sync=sync)
        atomik.remove(old_path, sync=sync)


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False  # one is not there


def _check_is_no_link(path: str) -> None:
    """Raise NotADirectoryError if `path` ends with a slash, as a folder's does, and no folder is there itself."""
    if path.endswith("/") and not stat.S_ISDIR(os.lstat(path.rstrip("/") or "/").st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def _is_hidden(name: str | bytes) -> bool:
    return os.fsdecode(name).startswith(".")


def _staged_in(folder: str | bytes) -> frozenset[str]:
    """Return the names of what is being staged in a folder, or was left there by a run that was killed."""
    return frozenset(os.path.basename(leftover.path) for leftover in atomik.leftovers(os.fsdecode(folder)))


def _sync_content(path: str) -> None:
    """Make content durable before it gets its new name: a power cut after a rename would leave it empty."""
    try:
        if os.path.islink(path):
            return
        if not os.path.isdir(path):
            _fsync(path)
            return
        for folder, _, files in os.walk(path, topdown=False, onerror=_raise):
            for name in files:
                _fsync(os.path.join(folder, name))
            sync_folder(folder)
    except PermissionError:
        os.sync()  # moving takes no right to read


def _raise(error: OSError) -> None:
    raise error


def _fsync(path: str) -> None:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
