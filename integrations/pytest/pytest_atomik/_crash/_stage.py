"""A real directory, which is made to hold one state after the other by changing only what differs."""

from __future__ import annotations

import contextlib
import posix
import stat
from collections.abc import Iterable
from typing import Final

from ._keep import remove
from ._log import Attributes, Edit, Inode, Name, Store, clone, copy_range
from ._states import Layer

_ALL: Final = 1 << 62


class Stage:
    """The directory. What is not in the state that it shows waits beside it, and comes back by a rename."""

    def __init__(self, top: str, root: Inode, park: str, store: Store, layer: Layer) -> None:
        """Take a directory over.

        Args:
            top: the directory.
            root: what it is in the log.
            park: where what is not shown waits: a new folder on the same filesystem.
            store: what contents are made from.
            layer: what is in the directory now.
        """
        posix.mkdir(park, 0o700)
        self._top = top
        self._root = root
        self._park = park
        self._store = store
        self._children: dict[Inode, dict[str, Inode]] = {}
        self._places: dict[Inode, list[Name]] = {}
        self._parked: dict[Inode, str] = {}
        self._versions: dict[Inode, int | None] = dict(layer.versions)
        self._attributes: dict[Inode, Attributes | None] = dict(layer.attributes)
        self._stamps: dict[Inode, tuple[int, ...]] = {}
        self._closed: set[Inode] = set()
        self._touched: set[Inode] = {root}
        below: dict[Inode, dict[str, Inode]] = {}
        for (folder, name), inode in layer.names.items():
            below.setdefault(folder, {})[name] = inode
        # What is in a folder that has been moved away, or removed, is not here.
        folders = [root]
        for folder in folders:
            self._children[folder] = below.get(folder, {})
            for name, inode in self._children[folder].items():
                self._places.setdefault(inode, []).append((folder, name))
                if inode.is_folder:
                    folders.append(inode)
        self._closed = {folder for folder in folders if self._is_closed(layer.attributes[folder])}
        for inode in layer.versions:
            # What is gone may still be there under its second name.
            if inode not in self._places and inode.backup is not None and not inode.is_copied:
                self._parked[inode] = inode.backup
        self._open_up(self._touched)
        self._stamp(layer.versions)

    def names_that_differ(self, layer: Layer) -> set[Name]:
        """Return the names that do not mean what they mean in a layer."""
        here = {(folder, name): inode for folder, names in self._children.items() for name, inode in names.items()}
        return {name for name in here.keys() | layer.names.keys() if here.get(name) is not layer.names.get(name)}

    def inodes_that_differ(self, layer: Layer) -> set[Inode]:
        """Return the files whose content or attributes are not as in a layer."""
        return {
            inode
            for inode, version in layer.versions.items()
            if self._versions.get(inode) != version or self._attributes.get(inode) != layer.attributes[inode]
        }

    def show(self, layer: Layer, names: Iterable[Name], inodes: Iterable[Inode]) -> None:
        """Make the directory hold a layer.

        Args:
            layer: the layer.
            names: the names that may differ from what is shown.
            inodes: the files that may differ.
        """
        touched = self._touched | set(inodes)
        self._touched = set()
        self._open_up(touched)
        changes = [name for name in names if self._children.get(name[0], {}).get(name[1]) is not layer.names.get(name)]
        for name in changes:
            if (inode := self._children.get(name[0], {}).get(name[1])) is not None:
                self._take_away(name, inode)
                touched |= {inode, name[0]}
        for name in changes:
            if (inode := layer.names.get(name)) is not None:
                self._place(name, inode)
                touched |= {inode, name[0]}
        for inode in touched:
            version = layer.versions.get(inode)  # none, if it has not come yet
            if inode.is_file and version is not None and self._exists(inode) and self._versions.get(inode) != version:
                self._fill(inode, version)
        for inode in sorted(touched, key=self._depth, reverse=True):
            if inode in layer.attributes and self._exists(inode):
                self._give(inode, layer.attributes[inode])
                self._stamp([inode])  # before the folder is closed in which it is

    # Names.

    def where(self, inode: Inode) -> str:
        """Return the path of a file or folder; what is nowhere yet is made, and waits."""
        if inode is self._root:
            return self._top
        if places := self._places.get(inode):
            folder, name = places[0]
            return f"{self.where(folder)}/{name}"
        if inode not in self._parked:
            self._make(inode, path := f"{self._park}/{id(inode)}")
            self._parked[inode] = path
        return self._parked[inode]

    def _exists(self, inode: Inode) -> bool:
        return inode is self._root or bool(self._places.get(inode)) or inode in self._parked

    def _depth(self, inode: Inode) -> int:
        depth = 0
        while places := self._places.get(inode):
            inode = places[0][0]
            depth += 1
        return depth

    def _take_away(self, name: Name, inode: Inode) -> None:
        folder, text = name
        path, places = f"{self.where(folder)}/{text}", self._places[inode]
        if len(places) > 1:
            posix.unlink(path)
        else:
            self._parked[inode] = f"{self._park}/{id(inode)}"
            posix.rename(path, self._parked[inode])
        places.remove(name)
        del self._children[folder][text]

    def _place(self, name: Name, inode: Inode) -> None:
        folder, text = name
        path = f"{self.where(folder)}/{text}"
        if self._places.get(inode):
            posix.link(self.where(inode), path, follow_symlinks=False)
        else:
            posix.rename(self.where(inode), path)
            self._parked.pop(inode, None)
        self._places.setdefault(inode, []).append(name)
        self._children.setdefault(folder, {})[text] = inode

    def _make(self, inode: Inode, path: str) -> None:
        """Make an entry, as yet without content."""
        mode = inode.first.mode
        self._versions[inode] = self._attributes[inode] = None
        if inode.is_folder:
            posix.mkdir(path, 0o700)
        elif stat.S_ISLNK(mode):
            posix.symlink(inode.target, path)
        elif inode.is_file:
            if inode.backup is not None and not inode.is_copied:
                posix.link(inode.backup, path, follow_symlinks=False)
                self._versions[inode] = len(inode.edits)
            else:
                posix.close(posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600))
        else:
            posix.mknod(path, mode, inode.device)

    # Contents.

    def _fill(self, inode: Inode, version: int) -> None:
        """Give a file a version of its content."""
        fd = self._open(inode)
        try:
            now = self._versions.get(inode)
            if now is None or not all(edit.is_reversible for edit in inode.edits[version:now]):
                self._start_anew(inode, fd)
                now = 0
            for edit in inode.edits[now:version]:
                self._do(fd, edit)
            for edit in reversed(inode.edits[version:now]):
                self._undo(fd, edit)
        finally:
            posix.close(fd)
        self._versions[inode] = version
        self._attributes[inode] = None

    def _open(self, inode: Inode) -> int:
        path = self.where(inode)
        try:
            return posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)
        except PermissionError:
            posix.chmod(path, 0o600)
            self._attributes[inode] = None
            return posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)

    def _start_anew(self, inode: Inode, fd: int) -> None:
        """Give a file the content that it had at the beginning."""
        posix.ftruncate(fd, 0)
        if inode.backup is None:
            return
        if not inode.is_copied:
            msg = (
                f"{self.where(inode)} is too large to have been copied, and was changed between two crashes or unseen: "
                "it cannot be put back. On a filesystem with reflinks (xfs, btrfs) it could be"
            )
            raise RuntimeError(msg)
        backup = posix.open(inode.backup, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            if not clone(backup, fd):
                copy_range(backup, fd, _ALL, 0, 0)
        finally:
            posix.close(backup)

    def _do(self, fd: int, edit: Edit) -> None:
        if edit.new is not None:
            self._store.write_to(fd, edit.offset, edit.new)
        posix.ftruncate(fd, edit.new_size)

    def _undo(self, fd: int, edit: Edit) -> None:
        posix.ftruncate(fd, edit.old_size)
        if edit.old is not None:
            self._store.write_to(fd, edit.offset, edit.old)

    # Attributes.

    def _open_up(self, touched: set[Inode]) -> None:
        """Let us into folders that are closed to everybody but root."""
        for folder in sorted(self._closed, key=self._depth):
            if self._exists(folder):
                posix.chmod(self.where(folder), 0o700)
                self._attributes[folder] = None
                touched.add(folder)
        self._closed.clear()

    def _give(self, inode: Inode, attributes: Attributes) -> None:
        """Give a file its attributes."""
        path = self.where(inode)
        now = self._attributes.get(inode)
        self._attributes[inode] = attributes
        status = posix.lstat(path)
        if (status.st_uid, status.st_gid) != (attributes.owner, attributes.group):
            with contextlib.suppress(PermissionError):
                posix.chown(path, attributes.owner, attributes.group, follow_symlinks=False)
                status = posix.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            if attributes.extended is not None and (now is None or now.extended != attributes.extended):
                self._give_extended(path, dict(attributes.extended))
            if status.st_mode != attributes.mode:
                posix.chmod(path, stat.S_IMODE(attributes.mode))
        if status.st_mtime_ns != attributes.modified:
            posix.utime(path, ns=(status.st_atime_ns, attributes.modified), follow_symlinks=False)
        if inode.is_folder and self._is_closed(attributes):
            self._closed.add(inode)

    def _is_closed(self, attributes: Attributes) -> bool:
        """Return whether a folder has to be opened up before anything can be done in it."""
        return attributes.mode & 0o700 != 0o700 and posix.geteuid() != 0

    def _give_extended(self, path: str, wanted: dict[str, bytes]) -> None:
        with contextlib.suppress(OSError):
            for name in posix.listxattr(path):
                if name not in wanted:
                    with contextlib.suppress(OSError):
                        posix.removexattr(path, name)
        for name, value in wanted.items():
            with contextlib.suppress(OSError):  # those of the system, which an ordinary user cannot set
                posix.setxattr(path, name, value)

    # What others have done.

    def repair(self) -> None:
        """Undo what somebody else has done to the state that is shown; `show` completes it."""
        self._open_up(self._touched)
        if not _is_folder(self._top):
            remove(self._top)
            posix.mkdir(self._top, 0o700)
            self._attributes[self._root] = None
            self._touched.add(self._root)
        #: A path of each that is where it should be, and the names that have to be made.
        right: dict[Inode, str] = {}
        missing: list[tuple[str, Inode]] = []
        folders = [(self._top, self._root)]
        for path, folder in folders:
            expected = self._children.get(folder, {})
            there = self._entries(path, folder)
            for name in there.keys() - expected.keys():
                remove(f"{path}/{name}")
                self._touched.add(folder)
            for name, inode in expected.items():
                below = f"{path}/{name}"
                found = there.get(name)
                if found is not None and self._is_it(inode, found, below):
                    right[inode] = below
                else:
                    self._touched |= {inode, folder}
                    if found is not None:
                        remove(below)
                    if inode.is_folder:
                        self._make(inode, below)
                    else:
                        missing.append((below, inode))  # perhaps it has another name, which comes later
                if inode.is_folder:
                    folders.append((below, inode))
            if self._stamps.get(folder) != _stamp(posix.lstat(path)):
                self._attributes[folder] = None
                self._touched.add(folder)
        for path, inode in missing:
            if inode in right:
                posix.link(right[inode], path, follow_symlinks=False)
            else:
                self._make(inode, path)
                right[inode] = path

    def _entries(self, path: str, folder: Inode) -> dict[str, posix.stat_result]:
        try:
            with posix.scandir(path) as entries:
                return {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
        except PermissionError:
            posix.chmod(path, 0o700)
            self._attributes[folder] = None
            self._touched.add(folder)
            with posix.scandir(path) as entries:
                return {entry.name: entry.stat(follow_symlinks=False) for entry in entries}

    def _is_it(self, inode: Inode, status: posix.stat_result, path: str) -> bool:
        """Return whether an entry is what it should be, if perhaps with another content or other attributes."""
        stamp, now = self._stamps.get(inode), _stamp(status)
        if stamp == now:
            return True
        if stamp is None or stat.S_IFMT(status.st_mode) != stat.S_IFMT(inode.first.mode):
            return False
        if inode.is_file:
            if inode.backup is not None and not inode.is_copied and now[0] == stamp[0] and now[2:] == stamp[2:]:
                self._attributes[inode] = None
                self._touched.add(inode)
                return True
            if now[0] != stamp[0]:
                return False
            self._versions[inode] = None
        elif stat.S_ISLNK(status.st_mode) and posix.readlink(path) != inode.target:
            return False
        self._attributes[inode] = None
        self._touched.add(inode)
        return True

    def _stamp(self, inodes: Iterable[Inode]) -> None:
        for inode in inodes:
            if inode is self._root or self._places.get(inode):
                self._stamps[inode] = _stamp(posix.lstat(self.where(inode)))


def _stamp(status: posix.stat_result) -> tuple[int, ...]:
    """Return what shows that an entry is still the same."""
    if stat.S_ISDIR(status.st_mode):
        return status.st_ino, status.st_mode, status.st_mtime_ns
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(posix.lstat(path).st_mode)
    except OSError:
        return False
