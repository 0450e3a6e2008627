"""`atomik.rename`, `atomik.exchange` and `atomik.remove`: the primitives themselves, on the same ladders."""

from __future__ import annotations

import errno
import os
import stat

from ._os import locks, mounts, names
from ._os import remove as _remove
from ._os import rename as _rename
from ._os import sync as _sync
from ._os.descriptors import DIRECTORY, REAL_DIRECTORY, Descriptors
from ._publish import explain, required
from ._publish.destination import Destination, Directories
from ._publish.operation import Operation
from .errors import LeftoverError, NotDurableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._os.levels import Sync
    from ._publish.options import StrPath


def rename(src: StrPath, dst: StrPath, *, overwrite: bool = False, sync: Sync | None = None) -> None:
    """Rename a file or folder in one instant; by default never over anything that exists, and without a race.

    Of a symbolic link, the link itself is renamed or replaced. A folder that is replaced is exchanged away, then removed.

    Args:
        src: what to rename.
        dst: its new name, on the same filesystem.
        overwrite: replace a file by a file, a folder by a folder.
        sync: with ``"full"`` (the default, or what ATOMIK_SYNC says), the new name survives a power cut; the content is not
            synced. With ``"normal"`` and ``"off"``, nothing is synced.

    Raises:
        FileAlreadyExistsError: `dst` exists, and `overwrite` is false.
        FileNotFoundError: `src` does not exist.
        IsADirectoryError, NotADirectoryError: one is a folder and the other is not.
        InvalidCrossDeviceError: they are on different filesystems; use :func:`atomik.copy`.
        UnsupportedFilesystemError: the filesystem has no primitive for it.
        ValueError: a path ends in ``.`` or ``..``, or is the root.
        OSError: whatever else the kernel says.
    """
    level = _sync.resolve_level(sync)
    fds = Descriptors()
    try:
        source, target = _open(fds, src, level), _open(fds, dst, level)
        status = _existing(source)
        is_folder = stat.S_ISDIR(status.st_mode)
        there = target.stat()
        if there is not None and not overwrite:
            kind = "symlink" if stat.S_ISLNK(status.st_mode) else "folder" if is_folder else "file"
            raise explain.already_exists(target.path, there, kind)
        if there is not None and is_folder != stat.S_ISDIR(there.st_mode):
            raise explain.is_not_a_folder(target.path) if is_folder else explain.is_a_folder(target.path)
        try:
            with Operation(target.path, is_folder=is_folder) as operation:
                try:
                    replaced = _move(source, target, status, overwrite=overwrite)
                except OSError as error:
                    _refuse_nested(fds, error, source, target)
                    primitive = "RENAME_EXCHANGE" if overwrite else "RENAME_NOREPLACE or link(2)"
                    raise _translate_error(error, source, target, primitive) from error
                _make_durable(operation, level, target, source)
            if replaced:
                _remove_displaced(fds, source, target, level)
        except BaseException as error:
            if is_folder and not isinstance(error, Exception):
                _finish_interrupted(fds, source, target, status, level, error)
            raise
    finally:
        fds.close_all()


def _finish_interrupted(
    fds: Descriptors,
    source: Destination,
    target: Destination,
    status: os.stat_result,
    level: Sync,
    interrupt: BaseException,
) -> None:
    """Take away what a folder has replaced: who tries again would take it for the new version, and put it back."""
    try:
        left, there = source.stat(), target.stat()
        if left is None or there is None or os.path.samestat(left, status) or not os.path.samestat(there, status):
            return
        _make_durable(None, level, target, source)
        _remove_displaced(fds, source, target, level)
    except OSError as error:
        interrupt.add_note(f"atomik: {error}")


def _move(source: Destination, target: Destination, status: os.stat_result, *, overwrite: bool) -> bool:
    """Climb the ladder that fits; say whether a folder that was replaced now stands at the source."""
    names = (source.directory.fd, source.name, target.directory.fd, target.name)
    if stat.S_ISDIR(status.st_mode):
        there = target.stat()
        if there is not None and os.path.samestat(status, there):
            # Itself: exchanged with itself, it would be taken for the old one. Another case of its name is a rename.
            os.rename(source.name, target.name, src_dir_fd=source.directory.fd, dst_dir_fd=target.directory.fd)
            return False
        if overwrite:
            replaced = _rename.swap_in(*names, is_folder=True) == "old"
            if replaced and _is_file(source):
                _rename.exchange(*names)
                raise explain.is_not_a_folder(target.path)
            return replaced
        _rename.new_folder(*names)
    elif overwrite:
        _rename.replace_file(*names)
        try:
            _drop_second_link(source, target, status)
        except OSError:
            pass  # it is renamed, and mostly there is none
    else:
        _rename.new_file(*names)
    return False


def _is_file(place: Destination) -> bool:
    """Say whether a file or link has come out of an exchange; what cannot be looked at is taken for a folder."""
    try:
        return not stat.S_ISDIR(_existing(place).st_mode)
    except OSError:
        return False


def _drop_second_link(source: Destination, target: Destination, status: os.stat_result) -> None:
    """Unlink the source if it is a second link of the target: rename(2) does nothing for these, and leaves it.

    One link under two names is one name in a directory that ignores case.
    """
    left = source.stat()
    same_name = (
        os.path.samestat(os.fstat(source.directory.fd), os.fstat(target.directory.fd)) and source.name == target.name
    )
    if left is not None and os.path.samestat(left, status) and left.st_nlink > 1 and not same_name:
        os.unlink(source.name, dir_fd=source.directory.fd)


def exchange(a: StrPath, b: StrPath, *, sync: Sync | None = None) -> None:
    """Swap two names in one instant, whatever they are: two folders, a file and a folder, a link (renameat2(2)).

    Args:
        a: one of them.
        b: the other, on the same filesystem.
        sync: with ``"full"`` (the default, or what ATOMIK_SYNC says), the swap survives a power cut; the contents are not
            synced. With ``"normal"`` and ``"off"``, nothing is synced.

    Raises:
        FileNotFoundError: one of them does not exist; the error names it.
        InvalidCrossDeviceError: they are on different filesystems.
        UnsupportedFilesystemError: the filesystem has no RENAME_EXCHANGE.
        ValueError: a path ends in ``.`` or ``..``, or is the root.
        OSError: whatever else the kernel says.
    """
    level = _sync.resolve_level(sync)
    fds = Descriptors()
    try:
        one, other = _open(fds, a, level), _open(fds, b, level)
        status = _existing(one)
        _existing(other)
        with Operation(one.path, is_folder=stat.S_ISDIR(status.st_mode)) as operation:
            try:
                _rename.exchange(one.directory.fd, one.name, other.directory.fd, other.name)
            except OSError as error:
                _refuse_nested(fds, error, one, other)
                _refuse_nested(fds, error, other, one)
                raise _translate_error(error, one, other, "RENAME_EXCHANGE") from error
            _make_durable(operation, level, one, other)
    finally:
        fds.close_all()


def remove(path: StrPath, *, sync: Sync | None = None) -> None:
    """Remove a file or a whole tree: it is gone in one instant. A tree is renamed away, then removed where nobody sees it.

    Of a symbolic link, the link itself is removed. What is mounted inside a tree is left alone, as a leftover beside it. What
    a reader still holds (:func:`atomik.snapshot`) is removed when the reader has left.

    Args:
        path: what to remove.
        sync: with ``"full"`` (the default, or what ATOMIK_SYNC says), it stays gone after a power cut, and is then never
            seen half removed. With ``"normal"`` and ``"off"``, nothing is synced.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        LeftoverError: it is gone from its name, but something in it could not be deleted; the message says where that is.
        ValueError: the path ends in ``.`` or ``..``, or is the root.
        OSError: whatever else the kernel says, such as EBUSY for a mount point; then all of it is still there.
    """
    level = _sync.resolve_level(sync)
    fds = Descriptors()
    try:
        target = _open(fds, path, level)
        is_folder = stat.S_ISDIR(_existing(target).st_mode)
        with Operation(target.path, is_folder=is_folder) as operation:
            if is_folder:
                _rename_away_and_remove(fds, target, level, operation)
                return
            try:
                os.unlink(target.name, dir_fd=target.directory.fd)
            except OSError as error:
                raise explain.rename_error(error, target.directory.fd, target.name, target.path, "unlink(2)") from error
            _make_durable(operation, level, target)
    finally:
        fds.close_all()


def _open(fds: Descriptors, path: StrPath, level: Sync) -> Destination:
    place = Destination(os.fsdecode(path), accepts_slash=True)
    place.open(Directories(fds, shares=False), parents=False)
    if level == "full":
        required.readable(place.directory, place.path)
    return place


def _existing(place: Destination) -> os.stat_result:
    status = place.stat()
    if status is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place.path)
    return status


def _refuse_nested(fds: Descriptors, error: OSError, outer: Destination, inner: Destination) -> None:
    """Say so if EINVAL came because one lies inside the other, and not because a primitive is missing.

    Raises:
        OSError: EINVAL.
    """
    if error.errno != errno.EINVAL:
        return
    top, here, above = _existing(outer), -1, inner.directory.fd
    while here == -1 or not os.path.samestat(os.fstat(here), os.fstat(above)):
        if os.path.samestat(os.fstat(above), top):
            msg = f"It lies inside {outer.path!r}, and a folder cannot take the place of what is in it"
            raise OSError(errno.EINVAL, msg, inner.path) from error
        here, above = above, fds.open("..", DIRECTORY, dir_fd=above)


def _translate_error(error: OSError, source: Destination, target: Destination, primitive: str) -> OSError:
    """Return what a failed rename or exchange of the two means; either may be the mount point."""
    if error.errno == errno.EBUSY and mounts.is_mount_point(source.directory.fd, source.name):
        return explain.is_mount_point(source.path)
    return explain.rename_error(error, target.directory.fd, target.name, target.path, primitive, source.directory.fd)


def _make_durable(operation: Operation | None, level: Sync, *places: Destination) -> None:
    """Sync the directories of names that have changed; an operation that is watched has two steps here."""
    try:
        if operation is not None:
            operation.reach("published")
        if level == "full":
            _sync.fsync_directories({place.directory.fd for place in places})
    except OSError as error:
        raise explain.not_durable(error, places[0].path) from error
    if operation is not None:
        operation.reach("durable")


def _remove_displaced(fds: Descriptors, source: Destination, target: Destination, level: Sync) -> None:
    try:
        _rename_away_and_remove(fds, source, level)
    except NotDurableError:
        raise
    except LeftoverError as error:
        import logging

        logging.getLogger("atomik").warning("%s: renamed, but of what was replaced: %s", target.path, error)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        msg = f"Renamed, but what was replaced could not be removed ({why}) and stands at {source.path!r} now"
        raise OSError(error.errno, msg, target.path) from error


def _rename_away_and_remove(
    fds: Descriptors, place: Destination, level: Sync, operation: Operation | None = None
) -> None:
    """Rename a folder to a staging name, locked so that no cleaner comes before that is durable; then remove it.

    Raises:
        LeftoverError: it is out of sight, but something of it could not be removed.
    """
    try:
        fd = fds.open(place.name, REAL_DIRECTORY, dir_fd=place.directory.fd)
        locks.try_lock_shared(fd)
    except PermissionError:
        fd = -1  # unreadable: nobody reads it, either
    name = names.staging_name()
    try:
        _rename.new_folder(place.directory.fd, place.name, place.directory.fd, name)
    except OSError as error:
        raise explain.rename_error(error, place.directory.fd, place.name, place.path, "RENAME_NOREPLACE") from error
    _make_durable(operation, level, place)
    if _remove.remove_if_unlocked(place.directory.fd, name, fd) == "left":
        where = os.path.join(place.directory.current_path, name)
        msg = (
            f"It is gone from its name, but something in it could not be deleted (immutable, somebody else's, or mounted) "
            f"and stays at {where!r}"
        )
        raise LeftoverError(errno.ENOTEMPTY, msg, place.path)
