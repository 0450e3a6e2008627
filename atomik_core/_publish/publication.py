"""The handle of one publication: its state, `with`, and what becomes of it when nobody finishes it."""

from __future__ import annotations

from .._plugins import hooks
from .block import Block
from .content import FileContent
from .entry import Entry
from .transaction import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Generic, TypeVar

    from .entry import Content, State
    from .options import Options
    from .placing import Kind

    H_co = TypeVar("H_co", covariant=True)
else:
    H_co = object

    class Generic:
        """Stands for typing's, which takes longer to import than a publication takes."""

        __slots__ = ()
        __class_getitem__ = classmethod(type(list[int]))


class Publication(Block, Generic[H_co]):
    """One file or folder on its way to its destination: it is there, complete, when the block ends, or not at all.

    Made by :func:`atomik.file`, :func:`atomik.folder` and :func:`atomik.path`. Use it with ``with``, or call `open`,
    then `publish` or `discard`. A publication that is garbage-collected unfinished is discarded; in a forked child it does
    nothing. It belongs to one thread at a time.
    """

    __slots__ = ("__weakref__", "_entry", "_transaction")

    def __init__(self, path: str, options: Options, content: Content, transaction: Transaction | None = None) -> None:
        self._transaction = transaction
        self._entry = Entry(path, options, content)

    @property
    def destination(self) -> Path:
        """The path to publish to, as it was given."""
        from pathlib import Path

        return Path(self._entry.destination.path)

    @property
    def kind(self) -> Kind | None:
        """``"file"``, ``"folder"`` or ``"symlink"``; None for a path at which nothing is known to have been made yet."""
        return self._entry.kind

    @property
    def state(self) -> State:
        """``"new"`` before `open`, then ``"open"``, and in the end ``"published"`` or ``"discarded"``."""
        return self._entry.state

    @property
    def staged(self) -> Path:
        """A path at which the content can be read while the publication is open.

        Raises:
            ValueError: before it is opened, and after its end.
        """
        from pathlib import Path

        entry = self._entry
        if entry.state != "open":
            msg = f"nothing is staged for {entry.destination.path!r}: the publication is {entry.state}"
            raise ValueError(msg)
        return Path(entry.staged_path)

    def open(self) -> H_co:
        """Check everything that can be checked, stage, and return what to fill.

        Returns:
            the open file, or the path of the staged folder or file.

        Raises:
            FileAlreadyExistsError: the destination exists, and `overwrite` is false (or it is a device, FIFO, socket).
            IsADirectoryError, NotADirectoryError: a folder stands where a file is to be published, or the reverse.
            FileNotFoundError: the parent directory is missing, and `parents` is false.
            UnsupportedFilesystemError: the filesystem is known to be unable to keep a promise.
            OSError: whatever else the kernel says.
            ValueError: it was opened before.
        """
        entry = self._entry
        if entry.state != "new":
            msg = f"the publication of {entry.destination.path!r} was opened before; it is {entry.state}"
            raise ValueError(msg)
        hooks.load()
        if self._transaction is None:
            self._transaction = Transaction(entry.options.sync, is_shared=False, must_exchange=False)
        handle: H_co = self._transaction.open(entry, self)
        return handle

    def publish(self) -> None:
        """Make it visible at the destination, and as durable as `sync` says. Repeated, it does nothing.

        For a member of a group, this only completes the member; the group publishes it.

        Raises:
            FileAlreadyExistsError: a rival was first; ours is discarded.
            NothingStagedError: nothing was made at the staged path.
            NotDurableError: it is published, but the sync of its directory failed.
            OSError: it could not be written, synced or published. If it was complete, it is kept, and the error says where.
            ValueError: it was never opened, or has been discarded.
        """
        entry, transaction = self._entry, self._transaction
        if entry.state == "published":
            return
        if entry.state != "open" or transaction is None:
            msg = f"{entry.destination.path!r} cannot be published: the publication is {entry.state}"
            raise ValueError(msg)
        if transaction.is_foreign or entry.is_complete:
            return
        if not transaction.is_shared:
            transaction.commit({entry: self})
            return
        try:
            transaction.complete(entry, self)
        except BaseException as error:
            transaction.drop(entry, self, error)
            raise

    def discard(self) -> None:
        """Remove what is staged and publish nothing. Repeated, or after `publish`, it does nothing."""
        if self._entry.state == "new":
            self._entry.state = "discarded"
        else:
            self._drop(None)

    def __enter__(self) -> H_co:
        return self.open()

    def _drop(self, error: BaseException | None) -> None:
        entry, transaction = self._entry, self._transaction
        if entry.state == "open" and transaction is not None and not transaction.is_foreign:
            transaction.drop(entry, self, error)

    def _call_before_writes(self, call: Callable[[], object]) -> bool:
        content = self._entry.content
        if not isinstance(content, FileContent):
            return False
        content.handle.call_before_writes(call)
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._entry.destination.path!r}: {self._entry.state}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            msg = (
                f"{type(self).__name__!r} object has no attribute {name!r}: it publishes, and is not what is published; "
                "that is what its `with` gives, or its open()"
            )
            raise AttributeError(msg, name=name, obj=self)
