"""Where the version that is replaced goes, so that it has a name on disk at every moment."""

from __future__ import annotations

import errno
import os
import stat

from .._os import mounts, names, paths, remove, rename
from ..errors import FileAlreadyExistsError, InvalidCrossDeviceError
from .destination import Destination, Directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .staging import Holder, Sibling, Wrapped


class Backup:
    """The path at which the replaced version is kept; an older one there is replaced in one instant.

    Between the exchange and its arrival here the old version has a name that no cleaner touches (`atomik-kept-…`).
    """

    __slots__ = ("_older", "_place", "_tried")

    def __init__(self, path: str, destination: Destination) -> None:
        """Remember where to.

        Raises:
            ValueError: `path` is no name, or is the destination, inside it or around it.
        """
        self._place = Destination(path, accepts_slash=True)
        self._older: tuple[Holder, str] | None = None
        self._tried = False
        there = self._place.real_path()
        for here in {destination.real_path(), os.path.realpath(destination.path)}:
            if paths.is_in(here, there) or paths.is_in(there, here):
                msg = f"backup {path!r} is the destination itself, or one lies inside the other; keep the old version beside it"
                raise ValueError(msg)

    def open(self, directories: Directories, destination: Destination, old: os.stat_result | None) -> None:
        """Check that the old version can go there.

        Raises:
            ValueError: it is the destination, after all.
            InvalidCrossDeviceError: it is on another mount; a rename would not reach it.
            PermissionError: its directory may not be written to.
            FileAlreadyExistsError, IsADirectoryError, NotADirectoryError: what stands there is of another kind.
            OSError: its directory cannot be opened; something is mounted on it.
        """
        place = self._place
        try:
            place.open(directories, parents=False)
        except OSError as error:
            msg = f"The directory of the backup {place.path!r} cannot be opened ({os.strerror(error.errno or 0)}); make it first"
            raise OSError(error.errno, msg, destination.path) from error
        if mounts.mount_id(place.directory.fd) != mounts.mount_id(destination.directory.fd):
            msg = f"The backup {place.path!r} is on another filesystem than the destination; choose a place on the same one"
            raise InvalidCrossDeviceError(errno.EXDEV, msg, destination.path)
        same = os.path.samestat(os.fstat(place.directory.fd), os.fstat(destination.directory.fd))
        if same and place.name == destination.name:
            msg = f"backup is the destination itself, {place.path!r}; give the old version another name"
            raise ValueError(msg)
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=place.directory.fd, effective_ids=True):
            msg = f"The directory of the backup {place.path!r} may not be written to; choose another place"
            raise PermissionError(errno.EACCES, msg, destination.path)
        there = place.stat()
        if there is not None:
            self._check(there, destination, old)

    def _check(self, there: os.stat_result, destination: Destination, old: os.stat_result | None) -> None:
        where = f"at the backup {self._place.path!r}"
        if not stat.S_ISREG(there.st_mode) and not stat.S_ISDIR(there.st_mode) and not stat.S_ISLNK(there.st_mode):
            msg = f"A device, FIFO or socket stands {where}; choose another place"
            raise FileAlreadyExistsError(errno.EEXIST, msg, destination.path)
        if mounts.is_mount_point(self._place.directory.fd, self._place.name):
            msg = f"Something is mounted {where}, which cannot be replaced; choose another place"
            raise OSError(errno.EBUSY, msg, destination.path)
        if old is None:
            return
        if stat.S_ISDIR(old.st_mode) and not stat.S_ISDIR(there.st_mode):
            msg = f"A file stands {where}, and a folder does not replace it; remove it first, or choose another place"
            raise NotADirectoryError(errno.ENOTDIR, msg, destination.path)
        if stat.S_ISDIR(there.st_mode) and not stat.S_ISDIR(old.st_mode):
            msg = f"A folder stands {where}, and a file does not replace it; remove it first, or choose another place"
            raise IsADirectoryError(errno.EISDIR, msg, destination.path)

    def take(self, staging: Sibling | Wrapped) -> list[Holder]:
        """Move the old version here from the staging name; return the directories to be synced before `drop_older`.

        Raises:
            OSError: it stays where it is, and the error says where.
        """
        self._tried = True
        directory, name = staging.source
        try:
            if rename.is_folder(directory, name):
                self._take_folder(staging.holder, name)
            else:
                self._take_file(directory, name)
        except OSError as error:
            msg = (
                f"Published, but the version before could not be moved here ({error.strerror}); "
                f"it is kept as {staging.path!r}"
            )
            raise OSError(error.errno, msg, self._place.path) from error
        return [self._place.directory, staging.holder]

    def rescue(self, staging: Sibling | Wrapped) -> bool:
        """Move the old version here even though its replacement may not be durable; say whether it is here.

        An older backup stays beside it, as a leftover.
        """
        if self._tried:
            return False
        try:
            self.take(staging)
        except OSError:
            return False
        return True

    def _take_file(self, directory: int, name: str) -> None:
        place = self._place
        rename.replace_file(directory, name, place.directory.fd, place.name)
        left = rename.identity(directory, name)
        if left is not None and place.holds(left):
            # rename(2) does nothing for two links of one inode: what stood there was a link to the old version.
            os.unlink(name, dir_fd=directory)

    def _take_folder(self, holder: Holder, name: str) -> None:
        directory = holder.fd
        source_and_target = (directory, name, self._place.directory.fd, self._place.name)
        if rename.swap_in(*source_and_target, is_folder=True) != "old":
            return
        if not rename.is_folder(directory, name):
            rename.exchange(*source_and_target)
            raise NotADirectoryError(errno.ENOTDIR, "A file stands there meanwhile")
        # By this name readers and cleaners know that nobody needs the older one.
        unneeded = names.staging_name()
        os.rename(name, unneeded, src_dir_fd=directory, dst_dir_fd=directory)
        self._older = (holder, unneeded)

    def drop_older(self) -> None:
        """Remove the backup that this one has replaced; what a reader holds it removes itself."""
        if self._older is not None:
            holder, name = self._older
            remove.remove_if_unlocked(holder.fd, name)
            self._older = None
