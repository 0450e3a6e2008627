"""Where the version that is replaced goes, so that it never exists nowhere."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from . import _mounts, _names, _remove, _rename, _sync
from ._descriptors import Descriptors
from ._destination import Destination
from ._staging import Staging
from ._sync import Sync
from .errors import FileAlreadyExistsError, InvalidCrossDeviceError


class Backup:
    """The path at which the replaced version is kept; an older one there is replaced in one instant.

    Between the exchange and its arrival here the old version has a name that no cleaner touches
    (:meth:`Staging.put_aside`).
    """

    def __init__(self, path: str, target: Destination, *, overwrite: bool) -> None:
        """Remember where to.

        Raises:
            ValueError: nothing is to be replaced; `path` is no name, or is the destination, inside it or around it.
        """
        if not overwrite:
            msg = "backup keeps the version that is replaced, and nothing is replaced without overwrite=True"
            raise ValueError(msg)
        self._place = Destination(path, trailing_slash=True)
        self._older: tuple[int, str] | None = None
        self._tried = False
        there = self._place.real_path()
        for here in {target.real_path(), os.path.realpath(target.path)}:
            if f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/"):
                msg = f"backup {path!r} is the destination itself, or one lies inside the other; keep the old version beside it"
                raise ValueError(msg)

    @property
    def path(self) -> str:
        """Where it is, as the caller named it."""
        return self._place.path

    def open(self, fds: Descriptors, target: Destination, old: os.stat_result | None) -> None:
        """Check that the old version can go there.

        Raises:
            ValueError: it is the destination, after all.
            InvalidCrossDeviceError: it is on another mount; a rename would not reach it.
            FileAlreadyExistsError, IsADirectoryError, NotADirectoryError: what stands there is of another kind.
            OSError: its directory cannot be opened; something is mounted on it.
        """
        place = self._place
        try:
            place.open(fds, parents=False)
        except OSError as error:
            msg = f"The directory of the backup {place.path!r} cannot be opened ({os.strerror(error.errno or 0)}); make it first"
            raise OSError(error.errno, msg, target.path) from error
        if _mounts.mount_id(place.directory) != _mounts.mount_id(target.directory):
            msg = f"The backup {place.path!r} is on another filesystem than the destination; choose a place on the same one"
            raise InvalidCrossDeviceError(errno.EXDEV, msg, target.path)
        same = os.path.samestat(os.fstat(place.directory), os.fstat(target.directory))
        if same and place.name == target.name:
            msg = f"backup is the destination itself, {place.path!r}; give the old version another name"
            raise ValueError(msg)
        there = place.stat()
        if there is not None:
            self._check(there, target, old)

    def _check(self, there: os.stat_result, target: Destination, old: os.stat_result | None) -> None:
        where = f"at the backup {self._place.path!r}"
        if not stat.S_ISREG(there.st_mode) and not stat.S_ISDIR(there.st_mode) and not stat.S_ISLNK(there.st_mode):
            msg = f"A device, FIFO or socket stands {where}; choose another place"
            raise FileAlreadyExistsError(errno.EEXIST, msg, target.path)
        if _mounts.is_mount_point(self._place.directory, self._place.name):
            msg = f"Something is mounted {where}, which cannot be replaced; choose another place"
            raise OSError(errno.EBUSY, msg, target.path)
        if old is None:
            return
        if stat.S_ISDIR(old.st_mode) and not stat.S_ISDIR(there.st_mode):
            msg = f"A file stands {where}, and a folder does not replace it; remove it first, or choose another place"
            raise NotADirectoryError(errno.ENOTDIR, msg, target.path)
        if stat.S_ISDIR(there.st_mode) and not stat.S_ISDIR(old.st_mode):
            msg = f"A folder stands {where}, and a file does not replace it; remove it first, or choose another place"
            raise IsADirectoryError(errno.EISDIR, msg, target.path)

    def keep(self, staging: Staging, sync: Sync) -> None:
        """Move the old version here from the staging name, and remove an older one.

        Raises:
            OSError: it stays where it is, and the error says where.
        """
        directories = self.take(staging)
        if sync == "full":
            _sync.names(directories, self._place.path)
        self.drop_older()

    def take(self, staging: Staging) -> list[int]:
        """Move the old version here; return the directories that are to be synced before :meth:`drop_older`.

        Raises:
            OSError: it stays where it is, and the error says where.
        """
        self._tried = True
        place = self._place
        directory, name = staging.source
        try:
            if _is_folder(directory, name):
                self._take_folder(directory, name)
            else:
                self._take_file(directory, name)
        except OSError as error:
            kept = os.path.join(staging.folder, name)
            msg = (
                f"Published, but the version before could not be moved here ({error.strerror}); it is kept as {kept!r}"
            )
            raise OSError(error.errno, msg, place.path) from error
        return [place.directory, directory]

    def rescue(self, staging: Staging) -> bool:
        """Move the old version here even though its replacement may not be durable; say whether it is here.

        An older backup stays beside it, as a leftover.
        """
        with suppress(OSError):
            if not self._tried:
                self.take(staging)
                return True
        return False

    def _take_file(self, directory: int, name: str) -> None:
        place = self._place
        _rename.replace_file(directory, name, place.directory, place.name)
        left = _rename.identity(directory, name)
        if left is not None and left == _rename.identity(place.directory, place.name):
            # rename(2) does nothing for two links of one inode: what stood there was a link to the old version.
            os.unlink(name, dir_fd=directory)

    def _take_folder(self, directory: int, name: str) -> None:
        names = (directory, name, self._place.directory, self._place.name)
        if not _rename.swap_in(*names, folder=True):
            return
        if not _is_folder(directory, name):
            _rename.exchange(*names)
            raise NotADirectoryError(errno.ENOTDIR, "A file stands there meanwhile")
        # By this name readers and cleaners know that nobody needs the older one.
        unneeded = _names.staging_name()
        os.rename(name, unneeded, src_dir_fd=directory, dst_dir_fd=directory)
        self._older = (directory, unneeded)

    def drop_older(self) -> None:
        """Remove the backup that this one has replaced; what a reader holds it removes itself."""
        if self._older is not None:
            _remove.unneeded(*self._older)
            self._older = None


def _is_folder(directory: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
