"""What a program has made, or changed, while it was told a staged path: told from what stood there, and from what we put there."""

from __future__ import annotations

import errno
import os
import stat

from .._os import calls
from .._os.descriptors import REAL_DIRECTORY, Descriptors
from .._os.paths import is_in
from .._os.walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Literal, TypeAlias

    from .destination import Destination

    Change: TypeAlias = Literal["none", "written", "replaced"]
    Found: TypeAlias = Literal["work", "copy", "nothing"]


def change_of(destination: Destination, before: os.stat_result | None, since: int) -> Change:
    """Say what has become of what stood at a destination.

    ``"written"``: it was written to, or something made since stands there; ``"replaced"``: what stands there was made before,
    by a rival that has published it since, or it was moved or linked there; ``"none"``: it is as it was, or gone.

    Args:
        destination: where to look.
        before: what stood there.
        since: when that was, in nanoseconds of the filesystem's clock.
    """
    now = destination.stat()
    if now is None:
        return "none"
    if before is None or (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
        born = calls.birth_time(destination.directory.fd, destination.name)
        return "written" if born is None or born[0] * 10**9 + born[1] >= since else "replaced"
    if stat.S_ISDIR(now.st_mode):
        return "written" if is_newer(destination.directory.fd, destination.name, since) else "none"
    return "written" if now.st_mtime_ns != before.st_mtime_ns or now.st_size != before.st_size else "none"


def is_newer(directory: int, name: str, since: int) -> bool:
    """Say whether an entry, or anything in it, has changed since a moment."""
    try:
        return any(changed >= since for changed in _change_times(directory, name))
    except FileNotFoundError:
        return True  # it is being changed right now
    except PermissionError:
        return False  # what we may not read, we cannot know


def latest_change(directory: int, name: str) -> int:
    """Return when an entry, or anything in it, was last changed, in nanoseconds of the filesystem's clock."""
    try:
        return max(_change_times(directory, name))
    except (FileNotFoundError, PermissionError):
        return 0  # it is being changed, or we cannot know


def _change_times(directory: int, name: str) -> Iterator[int]:
    """Yield when an entry, and each thing in it, was last changed, by the one time that no program can set (ctime).

    A new link to a file changes that, too: of a file with several the time counts when it was last written to.
    """
    fds = Descriptors()
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            yield status.st_ctime_ns
            return
        for level, done in Walk(fds.open(name, REAL_DIRECTORY, dir_fd=directory), "search"):
            if not done:
                yield os.fstat(level.fd).st_ctime_ns
                for each in level.files:
                    status = os.stat(each, dir_fd=level.fd, follow_symlinks=False)
                    yield status.st_ctime_ns if status.st_nlink == 1 else status.st_mtime_ns
    finally:
        fds.close_all()


def find(directory: int, path: str, made: Collection[str], copied: Mapping[str, int]) -> Found:
    """Say whether the program's work is at a staged path, or only what we have put there ourselves.

    Args:
        directory: where the paths begin.
        path: what to look at.
        made: the folders that we made.
        copied: the copies that we made, and when each was complete, in nanoseconds of the filesystem's clock.
    """
    try:
        status = os.stat(path, dir_fd=directory, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    if path in copied:
        return "work" if is_newer(directory, path, copied[path]) else "copy"
    if path not in made or not stat.S_ISDIR(status.st_mode):
        return "work"
    fds = Descriptors()
    try:
        names = os.listdir(fds.open(path, REAL_DIRECTORY, dir_fd=directory))
    finally:
        fds.close_all()
    found = {find(directory, f"{path}/{name}", made, copied) for name in names}
    return "work" if "work" in found else "copy" if "copy" in found else "nothing"


def remove_unused(directory: int, made: Collection[str]) -> None:
    """Remove those of the folders that we made in which nothing is, innermost first."""
    for path in sorted(made, reverse=True):
        try:
            os.rmdir(path, dir_fd=directory)
        except OSError:
            continue  # it is in use, or gone


class LinkAdapter:
    """Has symbolic links say what they have to say where they are published, to lead where they led where they were made.

    An absolute path of the staging folder becomes one of the destination's. A relative one stays if it leads somewhere from
    the destination, or to what is published with it; if it leads somewhere only from where it was made, it is reckoned anew.
    """

    __slots__ = ("_pairs", "_published_root", "_staged_root")

    def __init__(self, staged_in: str, published_in: str, neighbours: Iterable[tuple[str, str]] = ()) -> None:
        """Prepare.

        Args:
            staged_in: the folder that the program was told to make things in.
            published_in: the folder that they are published in.
            neighbours: the same two of each staging folder that is published with this one.
        """
        self._staged_root, self._published_root = os.path.realpath(staged_in), os.path.realpath(published_in)
        self._pairs = [(staged_in, published_in), (self._staged_root, self._published_root)]
        for staged, published in neighbours:
            if staged != staged_in:
                self._pairs += [(staged, published), (os.path.realpath(staged), os.path.realpath(published))]

    def adapt(self, directory: int, name: str, folder: str = "") -> None:
        """Adapt one link.

        Args:
            directory: where it is.
            name: its name there.
            folder: the path of that directory from the staging folder.
        """
        target = os.readlink(name, dir_fd=directory)
        adapted = self.target(target, folder)
        if adapted != target:
            os.unlink(name, dir_fd=directory)
            os.symlink(adapted, name, dir_fd=directory)

    def adapt_tree(self, top: int, folder: str) -> None:
        """Adapt the links in a folder; `folder` is its path from the staging folder."""
        for level, done in Walk(top, "search"):
            for name in () if done else level.special:
                try:
                    self.adapt(level.fd, name, os.path.join(folder, level.path))
                except PermissionError:
                    continue  # its maker has made its folder read-only: it stays what it is
                except OSError as error:
                    if error.errno != errno.EINVAL:  # a FIFO or socket
                        raise

    def target(self, target: str, folder: str) -> str:
        """Return what a link has to say."""
        if target.startswith("/"):
            return self._final(target)
        made_in, published_in = os.path.join(self._staged_root, folder), os.path.join(self._published_root, folder)
        led_to = os.path.normpath(os.path.join(made_in, target))
        leads_to = os.path.normpath(os.path.join(published_in, target))
        if is_in(led_to, self._staged_root) or os.path.lexists(leads_to) or not os.path.lexists(led_to):
            return target
        return os.path.relpath(self._final(led_to), published_in)

    def _final(self, path: str) -> str:
        """Return what an absolute path will be, if it leads into a staging folder."""
        plain = os.path.normpath(path)
        for staged, published in self._pairs:
            if is_in(plain, staged):
                return published + plain[len(staged) :]
        return path
