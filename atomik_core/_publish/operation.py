"""What watchers see of a rename, an exchange or a removal, which have the steps of a publication from `synced` on."""

from __future__ import annotations

from . import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from .entry import State
    from .placing import Kind
    from .step_types import Step


class Operation:
    """One call of :func:`atomik.rename`, :func:`atomik.exchange` or :func:`atomik.remove`, told to watchers step by step.

    Attributes:
        kind: what it works on.
        state: ``"open"``, then ``"published"`` or ``"discarded"``.
    """

    __slots__ = ("__weakref__", "_path", "kind", "state")

    def __init__(self, path: str, *, is_folder: bool) -> None:
        """Prepare to tell.

        Args:
            path: the name that changes, as the caller gave it.
            is_folder: whether a folder is renamed, exchanged or removed.
        """
        self._path = path
        self.kind: Kind = "folder" if is_folder else "file"
        self.state: State = "open"

    @property
    def destination(self) -> Path:
        """The name that changes, as the caller gave it."""
        from pathlib import Path

        return Path(self._path)

    @property
    def staged(self) -> Path:
        """Nothing is staged.

        Raises:
            ValueError: always.
        """
        msg = f"nothing is staged for {self._path!r}: it is not published, but renamed, exchanged or removed"
        raise ValueError(msg)

    def __enter__(self) -> Self:
        self.reach("synced")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is not None and self.state == "open":
            self.state = "discarded"
            self.reach("discarded")

    def reach(self, step: Step) -> None:
        """Tell every watcher of a step, unless it is a watcher's own operation."""
        if step == "published":
            self.state = "published"
        if steps.watchers and not steps.is_watching.get():
            steps.notify(self, step)

    def __repr__(self) -> str:
        return f"<Operation at {self._path!r}: {self.state}>"
