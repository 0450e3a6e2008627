"""What is published: how each kind of content is begun, sealed and let go. An entry is composed with one of these."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from .._os import calls, metadata, names
from .._os.copying import Transfer
from ..errors import ExtrasError, NothingStagedError
from . import explain
from .staging import Wrapped, keep, open_content
from .work import LinkAdapter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, Final, Literal, TypeAlias

    from .entry import Entry
    from .handle import Handle
    from .placing import Kind

    #: What becomes of what is made beside the content.
    Extras: TypeAlias = Literal["refuse", "publish", "discard"]

_EXTRAS: Final[tuple[Extras, ...]] = ("refuse", "publish", "discard")


def require_extras(extras: str) -> None:
    """Check what is to become of what is made beside the content.

    Raises:
        ValueError: it is none of the three words.
    """
    if extras not in _EXTRAS:
        msg = f"extras is {extras!r}; it takes {', '.join(map(repr, _EXTRAS))}"
        raise ValueError(msg)


class _Content:
    """What most kinds of content have in common: they may be named with a slash, and hold nothing that is to be let go."""

    __slots__ = ()
    accepts_slash = True
    is_written_by_name = False

    def set_metadata(self, entry: Entry, default_mode: int | None) -> None:
        """That of what is replaced, else the mode that was asked for, else the default one."""
        entry.inherit_metadata(default_mode)

    def release(self) -> None:
        """Hold nothing."""


class FileContent(_Content):
    """A file that is open for writing."""

    __slots__ = ("handle",)
    kind: Final = "file"
    accepts_slash = False
    is_written_by_name = True

    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    def begin(self, entry: Entry) -> Any:
        """Stage a file and open it as the built-in :func:`open` does."""
        content = entry.stage_file(0o666)
        if self.handle.raw_mode[0] in "ar":
            self._start_from_old(entry, content)
        return self.handle.open(content, entry.destination.path)

    def _start_from_old(self, entry: Entry, content: int) -> None:
        """Copy what is there, to be appended to or changed; a reflink where the filesystem has them."""
        destination = entry.destination
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            old = entry.fds.open(destination.name, flags, dir_fd=destination.directory.fd)
        except FileNotFoundError:
            if self.handle.raw_mode[0] == "r":
                msg = (
                    f"mode {self.handle.mode!r} changes a file that exists, and none does; "
                    "use 'w+' or 'a+' to begin a new one"
                )
                raise FileNotFoundError(errno.ENOENT, msg, destination.path) from None
        else:
            Transfer().file(old, content)
            entry.fds.close(old)
        if self.handle.raw_mode[0] == "a":
            # Not before: pwrite would append whatever its offset, and a reflink would be refused (pwrite(2), EBADF).
            fcntl.fcntl(content, fcntl.F_SETFL, fcntl.fcntl(content, fcntl.F_GETFL) | os.O_APPEND)

    def seal(self, entry: Entry) -> int | None:
        """Flush and close what the user has written to."""
        self.handle.close()
        entry.sealed = status = entry.require_same_content()
        entry.wrote_nothing = status.st_size == 0 and self.handle.raw_mode[0] in "wx"
        return None

    def release(self) -> None:
        """Close without flushing."""
        self.handle.abandon()


class FolderContent(_Content):
    """A folder to be filled."""

    __slots__ = ("_mode",)
    kind: Final = "folder"

    def __init__(self) -> None:
        self._mode: int | None = None

    def begin(self, entry: Entry) -> Path:
        """Stage an empty folder."""
        from pathlib import Path

        content = entry.stage_folder()
        self._mode = metadata.new_folder_mode(content, names.staging_name())
        destination = entry.destination
        old = destination.stat() if entry.options.overwrite else None
        if old is not None and stat.S_ISDIR(old.st_mode):
            metadata.prepare_folder(content, old, destination.read_attributes(entry.fds))
        elif entry.options.tmp_dir is not None:
            entry.prepare_like_destination(content)
        else:
            metadata.require_chmod(content)
        path = Path(entry.staged_path)
        entry.close_shared_content()
        return path

    def seal(self, entry: Entry) -> int | None:
        """See that the folder is still there; return the mode that mkdir would have given it."""
        status = open_content(entry.fds, entry.named)
        if status is None or not stat.S_ISDIR(status.st_mode):
            msg = (
                "The staged folder was removed or replaced by something else in the block; there is nothing to publish"
            )
            raise NothingStagedError(errno.ENOENT, msg, entry.destination.path)
        return self._mode


class PathContent(_Content):
    """Whatever some program makes at a path: a file, a folder or a symbolic link."""

    __slots__ = ("_extras",)
    kind: Final = None

    def __init__(self, extras: Extras) -> None:
        """Say what becomes of what is made beside it.

        Raises:
            ValueError: `extras` is none of the three words.
        """
        require_extras(extras)
        self._extras = extras

    def begin(self, entry: Entry) -> Path:
        """Stage a folder in which the content is to be made under the destination's own name."""
        from pathlib import Path

        entry.staging = Wrapped(entry.shared_wrapper(), entry.destination.given_name)
        return Path(entry.staged_path)

    def seal(self, entry: Entry) -> int | None:
        """Find out what was made; return its maker's mode, which may have been opened up to look at it."""
        staging = entry.named
        assert isinstance(staging, Wrapped)  # noqa: S101 - made so above
        extras = sorted(set(staging.wrapper.entries()) - staging.wrapper.taken)
        staging.wrapper.taken.update(extras)
        status = open_content(entry.fds, staging)
        entry.kind = _kind_of(status)
        if status is None or entry.kind is None:
            nothing = self._nothing(entry, status, extras)
            if extras and self._extras != "discard":
                keep([staging.wrapper], nothing)
            raise nothing
        if entry.destination.ends_with_slash and entry.kind == "file":
            msg = "The destination ends with a slash, which names a folder, and a file was made; drop the slash, or make a folder"
            wrong = NotADirectoryError(errno.ENOTDIR, msg, entry.destination.path)
            keep([staging.wrapper], wrong)
            raise wrong
        if extras and self._extras == "refuse":
            error = _refused_extras(entry, extras)
            keep([staging.wrapper], error)
            raise error
        if not entry.fits_old():
            misfit = explain.wrong_kind(entry.destination.path, entry.kind)
            keep([staging.wrapper], misfit)
            raise misfit
        if extras and self._extras == "publish":
            entry.extras, entry.made_in = extras, staging.wrapper
        _adapt_links(entry, staging)
        return stat.S_IMODE(status.st_mode)

    @staticmethod
    def _nothing(entry: Entry, status: os.stat_result | None, extras: list[str]) -> NothingStagedError:
        if status is not None:
            msg = "What was made at the staged path is no file, folder or symbolic link, and nothing else is published"
        elif extras:
            made = ", ".join(map(repr, extras))
            msg = f"Nothing was made at the staged path, but beside it: {made}; a program that adds a suffix wants it in the name"
        else:
            msg = "Nothing was made at the staged path; make a file or a folder there, or call discard() in the block"
        return NothingStagedError(errno.ENOENT, msg, entry.destination.path)


def _kind_of(status: os.stat_result | None) -> Kind | None:
    if status is None:
        return None
    kinds: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}
    return kinds.get(stat.S_IFMT(status.st_mode))


def _refused_extras(entry: Entry, extras: list[str]) -> ExtrasError:
    made = ", ".join(map(repr, extras))
    msg = (
        f"More was made than the destination, and nothing is published: {made}; "
        "pass extras='publish' to publish it beside the destination, or extras='discard' to drop it"
    )
    return ExtrasError(errno.EEXIST, msg, entry.destination.path)


class MadeContent(_Content):
    """What a program has made already, beside what it was told to make."""

    __slots__ = ("_staging",)
    kind: Final = None

    def __init__(self, staging: Wrapped) -> None:
        self._staging = staging

    def begin(self, entry: Entry) -> None:
        """Take it where it was made."""
        entry.staging = self._staging

    def seal(self, entry: Entry) -> int | None:
        """Find out what it is; return its maker's mode."""
        return _seal_made(entry, self._staging)


class StagedContent(_Content):
    """What a program makes at a path in a folder that it shares with the other outputs of its directory."""

    __slots__ = ("_is_folder", "_stage")
    kind: Final = None

    def __init__(self, stage: Callable[[Entry], Wrapped], *, is_folder: bool) -> None:
        """Prepare.

        Args:
            stage: says where an entry's content is to be made.
            is_folder: whether a folder was asked for, by a slash.
        """
        self._stage = stage
        self._is_folder = is_folder

    def begin(self, entry: Entry) -> None:
        """Find its place."""
        entry.staging = self._stage(entry)

    def seal(self, entry: Entry) -> int | None:
        """Find out what was made; return its maker's mode."""
        staging = entry.named
        assert isinstance(staging, Wrapped)  # noqa: S101 - made so above
        mode = _seal_made(entry, staging)
        if self._is_folder and entry.kind == "file":
            msg = "The output is to be a folder, by the slash at its end, and a file was made"
            raise NotADirectoryError(errno.ENOTDIR, msg, entry.destination.path)
        return mode


def _seal_made(entry: Entry, staging: Wrapped) -> int:
    """Find out what a program has made, and have links say what they have to say at its destination; return its mode."""
    status = open_content(entry.fds, staging)
    entry.kind = _kind_of(status)
    if status is None or entry.kind is None:
        msg = "What was made is no file, folder or symbolic link, and is not published"
        raise NothingStagedError(errno.ENOENT, msg, entry.destination.path)
    _adapt_links(entry, staging)
    return stat.S_IMODE(status.st_mode)


def _adapt_links(entry: Entry, staging: Wrapped) -> None:
    if entry.kind == "file":
        return
    folder = os.path.dirname(staging.inner)
    published_in = staging.wrapper.mirrors
    if published_in is None:
        published_in = entry.destination.given_directory.path
        if folder:  # an extra of a folder that is merged into one that is there
            published_in = published_in.removesuffix(f"/{folder}")
    adapter = LinkAdapter(staging.wrapper.path, published_in, staging.wrapper.neighbours)
    if entry.kind == "symlink":
        adapter.adapt(staging.wrapper.fd, staging.inner, folder)
    else:
        adapter.adapt_tree(staging.content, staging.inner)


class SymlinkContent(_Content):
    """A symbolic link."""

    __slots__ = ("_target",)
    kind: Final = "symlink"
    accepts_slash = False

    def __init__(self, target: str) -> None:
        """Take what the link says.

        Raises:
            ValueError: that is nothing.
        """
        if not target:
            msg = "a symbolic link has to point somewhere: target is empty"
            raise ValueError(msg)
        self._target = target

    def begin(self, entry: Entry) -> None:
        """Make the link in a staging folder."""
        staging = Wrapped(entry.shared_wrapper(), entry.destination.given_name)
        entry.staging = staging
        try:
            os.symlink(self._target, staging.inner, dir_fd=staging.wrapper.fd)
        except OSError as error:
            if error.errno not in calls.UNSUPPORTED | {errno.EPERM}:
                raise
            place, code = entry.destination.directory, error.errno or errno.EPERM
            raise explain.unsupported(place.fd, entry.destination.path, "symbolic links", code) from error

    def seal(self, entry: Entry) -> int | None:
        """See that the link is still there."""
        status = open_content(entry.fds, entry.named)
        if status is None or not stat.S_ISLNK(status.st_mode):
            msg = "The staged link was removed or replaced by something else; there is nothing to publish"
            raise NothingStagedError(errno.ENOENT, msg, entry.destination.path)
        return None


class CopyContent(_Content):
    """A copy of a file or folder: sealing it fills it."""

    __slots__ = ("_is_held", "_path", "_source", "_status", "_transfer", "kind")

    def __init__(self, source: int, path: str, transfer: Transfer, *, is_held: bool) -> None:
        """Prepare to copy.

        Args:
            source: the original's descriptor.
            path: its path.
            transfer: what copies it.
            is_held: whether nobody removes anything of it meanwhile.
        """
        self._source = source
        self._path = path
        self._status = os.fstat(source)
        self._transfer = transfer
        self._is_held = is_held
        self.kind: Kind = "folder" if stat.S_ISDIR(self._status.st_mode) else "file"

    def begin(self, entry: Entry) -> None:
        """Stage an empty file or folder."""
        if self.kind == "folder":
            entry.stage_folder()
        else:
            entry.stage_file(stat.S_IRUSR | stat.S_IWUSR)

    def seal(self, entry: Entry) -> int | None:
        """Copy."""
        content = entry.staged.content
        if self.kind == "folder":
            self._transfer.tree(self._source, content)
            self._require_unreplaced()
        else:
            self._transfer.file(self._source, content)
        return None

    def _require_unreplaced(self) -> None:
        """See that nobody has replaced, and so perhaps begun to remove, what was copied, where no lock keeps them from it."""
        if self._is_held:
            return
        try:
            is_there = os.path.samestat(self._status, os.stat(self._path))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            msg = (
                "It was replaced while it was copied, and the copy may be incomplete; nothing was published; try again"
            )
            raise OSError(errno.ESTALE, msg, self._path)

    def set_metadata(self, entry: Entry, default_mode: int | None) -> None:  # noqa: ARG002
        """The original's metadata, not that of what is replaced."""
        entry.look_at_destination()
        if self.kind == "file":
            metadata.clone(entry.staged.content, self._status, self._source)
