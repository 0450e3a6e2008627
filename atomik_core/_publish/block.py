"""How a ``with`` block ends, and what becomes of one that nobody has ended: for a publication, a group and a stage."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol

    from .entry import State
    from .transaction import Members, Transaction

    class Ending(Protocol):
        """What a block has to know to end itself."""

        @property
        def state(self) -> State:
            """How far it is."""

        def publish(self) -> None:
            """Make it visible."""

        def _drop(self, error: BaseException | None) -> None:
            """Discard it, if it is open."""


class Block:
    """Published at the end of its ``with``; discarded by an exception, and by the collector if nobody has finished it."""

    __slots__ = ()

    def __exit__(
        self: Ending, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is not None:
            self._drop(error)
        elif self.state == "open":
            self.publish()

    def __del__(self: Ending) -> None:
        try:
            self._drop(None)
        except AttributeError:
            pass  # interrupted while it was made, or refused

    def __dir__(self) -> list[str]:
        """Return the names that its users may know: the documented ones, and Python's own."""
        return [name for name in dir(type(self)) if not name.startswith("_") or name.endswith("__")]


class JointBlock(Block):
    """A block with several publications, all in one transaction."""

    __slots__ = ("_transaction", "_was_opened")
    _transaction: Transaction
    _was_opened: bool

    @property
    def state(self) -> State:
        """``"new"`` or ``"open"``, in the end ``"published"`` or ``"discarded"``."""
        return self._transaction.end or ("open" if self._was_opened else "new")

    def discard(self) -> None:
        """Remove what is staged and publish nothing. Repeated, or after `publish`, it does nothing."""
        self._drop(None)

    def _drop(self, error: BaseException | None) -> None:
        if self.state in {"new", "open"} and not self._transaction.is_foreign:
            self._transaction.abort(self._entries(), error)

    def _entries(self) -> Members:
        """Return what is in it, in the order in which it is published."""
        raise NotImplementedError
