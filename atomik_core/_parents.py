"""What the members of a group share: a directory's descriptor and staging folders, a filesystem's sync."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from . import _rename, _sync, _syscalls
from ._descriptors import Descriptors
from ._staging import Staging
from ._sync import Sync
from .errors import NothingStagedError


class Filesystem:
    """What is synced at once: all that the group has on one filesystem."""

    def __init__(self, fd: int) -> None:
        """Begin to collect.

        Args:
            fd: a descriptor on it, older than everything that the group makes there: syncfs reports each error since.
        """
        self._fd = fd
        self._whole = _sync.can_sync_whole(fd)
        self._files: list[Shared] = []
        self._many = False

    def add(self, file: Shared, sync: Sync) -> None:
        """Take a finished file: a handful stay open to be synced each, more are synced as a whole, or now."""
        if sync == "off":
            _sync.flush(file.content)
            file.close()
        elif not self._whole:
            os.fsync(file.content)
            file.close()
        else:
            self._files.append(file)
            self._many |= len(self._files) > _sync.HANDFUL
            while self._many and self._files:
                self._files.pop().close()

    def forget(self, file: Staging) -> None:
        """Leave out a file that is not to be published."""
        self._files = [each for each in self._files if each is not file]

    def sync(self, others: Iterable[int]) -> None:
        """Make the files, and `others` that are open as these descriptors, durable."""
        if self._many:
            _syscalls.syncfs(self._fd)
        else:
            _sync.contents([*(file.content for file in self._files), *others], self._fd)


class Parent:
    """One directory. Descriptors and staging folders grow with these, not with the members.

    Attributes:
        directory: its descriptor.
        filesystem: the one that it is on.
        wrappers: the staging folders for files in it; more than one only where a name is taken in the first.
        taken: the names in it that are members' destinations.
    """

    def __init__(self, fds: Descriptors, directory: int, folder: str, filesystem: Filesystem) -> None:
        self._fds = fds
        self.directory = directory
        self.filesystem = filesystem
        self.wrappers: list[Staging] = []
        self.taken: set[str] = set()
        self._folder = folder
        self._names: list[set[str]] = []

    def shared(self, fds: Descriptors, name: str) -> Shared:
        """Return a staging called `name` in a wrapper where that is not taken, by a member or by what a program made."""
        for wrapper, names in zip(self.wrappers, self._names, strict=True):
            if name not in names and _rename.identity(wrapper.fd, name) is None:
                names.add(name)
                return Shared(fds, wrapper, name)
        wrapper = Staging(self._fds, self.directory, self._folder)
        self.wrappers.append(wrapper)
        self._names.append({name})
        wrapper.make_wrapper("")
        wrapper.inner = None
        wrapper.content = wrapper.fd
        return Shared(fds, wrapper, name)


class Shared(Staging):
    """A file, or what a program makes under this name, in a staging folder that several members share."""

    __slots__ = ()

    def __init__(self, fds: Descriptors, wrapper: Staging, inner: str) -> None:
        super().__init__(fds, wrapper.directory, wrapper.folder)
        self.name = wrapper.name
        self.fd = wrapper.fd
        self.inner = inner

    def make_unnamed(self, mode: int) -> bool:  # noqa: ARG002
        """Say no: what has no name cannot be published so that it can be undone."""
        return False

    def make_wrapper(self, inner: str) -> None:
        """Do nothing: there is one."""

    def make_file(self, inner: str, mode: int) -> None:  # noqa: ARG002
        """Make the file in the shared folder."""
        self._create(mode)

    def others(self) -> list[str]:
        """Return nothing: what else is in the shared folder is other members'."""
        return []

    def close(self) -> None:
        """Close the content's descriptor; its name is enough from now on."""
        self._fds.close_one(self.content)
        self.content = -1

    def remove(self) -> bool:
        """Leave it to the group, which removes the whole folder."""
        return True


def require(staging: Staging, identity: tuple[int, int] | None, destination: str) -> None:
    """See that complete content is still at its staging name: a program that works beside it may have replaced it.

    Raises:
        NothingStagedError: it is not.
    """
    if _rename.identity(*staging.source) != identity:
        msg = "The complete content was removed or replaced by another program; there is nothing to publish"
        raise NothingStagedError(errno.ENOENT, msg, destination)
