"""`AtomicLocalTarget` and `AtomicLocalFolderTarget`: a luigi.LocalTarget that is there whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from luigi.format import Format
from luigi.local_target import LocalTarget

import atomik
from atomik import Publication, Sync

from ._errors import to_luigi_error
from ._filesystem import AtomicLocalFileSystem, filesystem
from ._parents import make_parents
from ._pipe import guarded
from ._sigterm import discarded_on_sigterm
from ._sweep import sweep
from ._warm import warm_up
from ._writer import AtomicWriter

_T = TypeVar("_T")

os.register_at_fork(before=warm_up)


class AtomicLocalTarget(LocalTarget):
    """A file (or folder) that exists complete or not at all, for every process, at every moment.

    ::

        def output(self):
            return AtomicLocalTarget("report.csv")

    Takes the place of luigi.LocalTarget, with the same arguments and these two:

    Args:
        path: where it is.
        format: what `open` reads and writes, from `luigi.format`; text by default.
        is_tmp: it is removed with this object, by the process that made it; `path` may be left out, then.
        overwrite: whether what exists may be replaced. None: ``open("w")`` replaces it, `temporary_path` and `folder`
            refuse to begin, as with LocalTarget. True and False hold for all three.
        sync: as :func:`atomik.file`'s: ``"full"`` (the default, or what ATOMIK_SYNC says): what is complete stays so after
            a power cut; ``"normal"``: it is old or new then, never torn; ``"off"``: for what may be lost.
    """

    fs = AtomicLocalFileSystem()

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        format: Format | None = None,  # noqa: A002 - LocalTarget's name for it
        is_tmp: bool = False,
        *,
        overwrite: bool | None = None,
        sync: Sync | None = None,
    ) -> None:
        if not path and is_tmp:
            path = os.path.join(tempfile.gettempdir(), f"luigi-tmp-{os.urandom(8).hex()}")
        super().__init__(path, format, is_tmp)
        self.overwrite = overwrite
        self.sync = sync
        if sync is not None:
            self.fs = filesystem(sync)
        if is_tmp:
            self._maker = os.getpid()

    def makedirs(self) -> None:
        """Make the parent directories that are missing, durably.

        Raises:
            OSError: what mkdir(2) says.
        """
        make_parents(os.fspath(self.path), self.sync)

    def open(self, mode: str = "r") -> Any:
        """Open the target as LocalTarget does: ``"r"`` to read, ``"w"`` to write; the format says of what kind that is.

        What was written is published by `close()` or by the end of the ``with`` block, and discarded by everything else:
        an exception in the block or on its way when `close()` is called, the format's process that dies or fails, the
        garbage collector, a full disk, kill -9. `abort()` discards it, too.

        Raises:
            TargetExists: ``"w"``, the target exists, and `overwrite` is False.
            IsADirectoryError: a folder is there.
            OSError: whatever else Atomik or the kernel says.
        """
        if mode.replace("b", "").replace("t", "") != "w":
            return super().open(mode)
        path = os.fspath(self.path)

        def start() -> AtomicWriter:
            replaces = self.overwrite is not False
            return AtomicWriter(
                atomik.file(path, "wb", overwrite=replaces, sync=self.sync, follow_symlinks=False, buffering=0), path
            )

        writer = self._begin(start)
        try:
            return guarded(self.format.pipe_writer(writer), writer)
        except BaseException:
            writer.abort()
            raise

    @contextmanager
    def temporary_path(self) -> Iterator[str]:
        """Yield a path that does not exist yet, with the target's own name; publish what was made there.

        ::

            with self.output().temporary_path() as path:
                subprocess.run(["sort", "-o", path, ...], check=True)

        A file or a folder. An exception in the block discards it.

        Raises:
            TargetExists: at the start, if the target exists and `overwrite` is not True; at the end, if a rival was first.
            atomik.NothingStagedError: nothing was made there.
            OSError: whatever else Atomik or the kernel says.
        """
        options = self._options()
        with self._published(lambda: atomik.path(self.path, **options)) as staged:
            path = str(staged) + ("/" if os.fspath(self.path).endswith("/") else "")
            yield path
            self._check(path)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield an empty folder; publish it with all that was made in it, in one instant.

        ::

            with self.output().folder() as folder:
                for name, part in parts:
                    (folder / f"{name}.csv").write_text(part)

        Raises:
            TargetExists: at the start, if the target exists and `overwrite` is not True; at the end, if a rival was first.
            NotADirectoryError: a file is there.
            OSError: whatever else Atomik or the kernel says.
        """
        options = self._options()
        with self._published(lambda: atomik.folder(self.path, **options)) as staged:
            yield staged

    def _options(self) -> dict[str, Any]:
        return {"overwrite": self.overwrite is True, "sync": self.sync, "follow_symlinks": False}

    def _begin(self, start: Callable[[], _T]) -> _T:
        """Call `start`, which opens a publication; again, with the parent directories made, if they were missing."""
        sweep(os.path.dirname(os.fspath(self.path).rstrip("/")) or ".")
        try:
            try:
                return start()
            except FileNotFoundError:
                pass  # not from here: what is opened remembers which exception was being handled
            self.makedirs()
            return start()
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error) from error

    @contextmanager
    def _published(self, make: Callable[[], Publication[Path]]) -> Iterator[Path]:
        publication, staged = self._begin(lambda: (one := make(), one.open()))
        with discarded_on_sigterm(publication):
            yield staged
        try:
            publication.publish()
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error) from error

    def _check(self, path: str) -> None:
        """Raise if what was made at the staged path is of the wrong kind for this target."""

    def __del__(self) -> None:
        # Attributes may be missing after an exception in a constructor; a forked or unpickled copy is not the maker.
        if getattr(self, "is_tmp", False) and getattr(self, "_maker", None) == os.getpid():
            super().__del__()


class AtomicLocalFolderTarget(AtomicLocalTarget):
    """A target that is a folder: it exists when a folder is there, and is made by `folder` or `temporary_path`.

    Args:
        path: where it is.
        overwrite: whether a folder that exists may be replaced, in one instant; None and False: it may not.
        sync: as :class:`AtomicLocalTarget`'s.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, overwrite: bool | None = None, sync: Sync | None = None
    ) -> None:
        super().__init__(path, overwrite=overwrite, sync=sync)

    def exists(self) -> bool:
        """Return whether a folder is there."""
        return os.path.isdir(self.path)

    def open(self, mode: str = "r") -> NoReturn:  # noqa: ARG002 - for every mode
        """Refuse: a folder is not opened.

        Raises:
            IsADirectoryError: always.
        """
        msg = "This target is a folder; make it with folder() or temporary_path(), and read what is in its path"
        raise IsADirectoryError(errno.EISDIR, msg, str(self.path))

    def _check(self, path: str) -> None:
        if os.path.lexists(path.rstrip("/")) and not os.path.isdir(path):
            msg = "A file was made at the staged path, and this target is a folder"
            raise NotADirectoryError(errno.ENOTDIR, msg, str(self.path))
