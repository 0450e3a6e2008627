"""`AtomicLocalTarget` and `AtomicLocalFolderTarget`: a luigi.LocalTarget that is either complete or not there."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeGuard, TypeVar

from luigi.format import Format
from luigi.local_target import LocalTarget

import atomik
from atomik import Publication, Sync

from ._errors import to_luigi_error
from ._filesystem import AtomicLocalFileSystem, filesystem
from ._parents import durable, make_parents, needs_sync_of_all
from ._pipe import guarded
from ._settings import settings, wants_install
from ._sigterm import discarded_on_sigterm
from ._sweep import sweep
from ._warm import warm_up
from ._writer import AtomicWriter

_T = TypeVar("_T")

#: Where a target that is staged keeps its final path.
FINAL: Final = "_atomik_final_path"

os.register_at_fork(before=warm_up)

# Luigi's own, since `install` puts others in their place.
_plain_init = LocalTarget.__init__
_plain_open = LocalTarget.open
_plain_del = LocalTarget.__del__


class AtomicLocalTarget(LocalTarget):
    """A file (or folder) that is either complete or not there, for every process, at every moment.

    ::

        def output(self):
            return AtomicLocalTarget("report.csv")

    Takes the place of luigi.LocalTarget, with the same arguments and these two:

    Args:
        path: where it is.
        format: what `open` reads and writes, from `luigi.format`; text by default.
        is_tmp: the file is removed with this object, by the process that made it; `path` may then be left out.
        overwrite: whether what exists may be replaced. None: what ``overwrite`` in the section ``[atomik]`` of luigi.cfg
            says; without that ``open("w")`` replaces it, and `temporary_path` and `folder` refuse to begin, as with
            LocalTarget. True and False hold for all three.
        sync: as for :func:`atomik.file`: ``"full"``: what is complete is still there after a power cut; ``"normal"``: it is
            then old or new, never torn; ``"off"``: it may be lost. None: what ATOMIK_SYNC says, else ``sync`` in the
            section ``[atomik]``, else ``"full"``.

    Raises:
        ValueError: `sync` is no level, or the section ``[atomik]`` says something that cannot be understood.
    """

    fs = AtomicLocalFileSystem()
    # For instances that were made, or pickled, before they became atomic.
    overwrite: bool | None = None
    sync: Sync | None = None

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
        _plain_init(self, path, format, is_tmp)
        self.overwrite, self.sync = settings(overwrite, sync)
        if self.sync is not None:
            self.fs = filesystem(self.sync)
        if is_tmp:
            self._maker = os.getpid()

    @property
    def final_path(self) -> str:
        """Where the target is, or will be. It differs from `path` only in the `run()` of a task with AtomicOutputs, where
        `path` is the staged path. Use it for paths that are written down: manifests, rows of a database, names of partitions.
        """
        final: str = vars(self).get(FINAL, self.path)
        return final

    def makedirs(self) -> None:
        """Make the parent directories that are missing, durably.

        Raises:
            OSError: what mkdir(2) says.
        """
        make_parents(os.fspath(self.path), self.sync)

    def open(self, mode: str = "r") -> Any:
        """Open the target as LocalTarget does: ``"r"`` to read, ``"w"`` to write; the format decides the kind of file.

        `close()` or the end of the ``with`` block publishes what was written. Everything else discards it: an exception in
        the block, or one that is being handled when `close()` is called; a format's process that dies or fails; the garbage
        collector; a full disk; kill -9. `abort()` discards it, too.

        Raises:
            TargetExists: ``"w"``, the target exists, and `overwrite` is False.
            IsADirectoryError: a folder is there.
            OSError: whatever else Atomik or the kernel says.
        """
        if mode.replace("b", "").replace("t", "") != "w":
            return _plain_open(self, mode)
        path = os.fspath(self.path)

        def start() -> AtomicWriter:
            replaces = self.overwrite is not False
            sync_all = needs_sync_of_all(path, self.sync)
            sync: Sync | None = "normal" if sync_all else self.sync
            publication = atomik.file(path, "wb", overwrite=replaces, sync=sync, follow_symlinks=False, buffering=0)
            return AtomicWriter(publication, path, sync_all=sync_all)

        writer = _begin(self, start)
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

        That may be a file or a folder. An exception in the block discards it.

        Raises:
            TargetExists: at the start, if the target exists and `overwrite` is not True; at the end, if a rival was first.
            atomik.NothingStagedError: nothing was made there.
            OSError: whatever else Atomik or the kernel says.
        """
        with _published(self, partial(atomik.path, extras="publish")) as staged:
            yield str(staged) + ("/" if os.fspath(self.path).endswith("/") else "")

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield an empty folder; publish it, with everything that was made in it, in one instant.

        ::

            with self.output().folder() as folder:
                for name, part in parts:
                    (folder / f"{name}.csv").write_text(part)

        Raises:
            TargetExists: at the start, if the target exists and `overwrite` is not True; at the end, if a rival was first.
            NotADirectoryError: a file is there.
            OSError: whatever else Atomik or the kernel says.
        """
        with _published(self, atomik.folder) as staged:
            yield staged

    def __del__(self) -> None:
        # Attributes may be missing after an exception in a constructor; a forked or unpickled copy is not the maker.
        if getattr(self, "is_tmp", False) and getattr(self, "_maker", None) == os.getpid():
            _plain_del(self)


def _begin(target: Any, start: Callable[[], _T]) -> _T:
    """Call `start`, which opens a publication; again, with the parent directories made, if they were missing."""
    sweep(os.path.dirname(os.fspath(target.path).rstrip("/")) or ".")
    try:
        try:
            return start()
        except FileNotFoundError:
            pass  # not from here: what is opened remembers which exception was being handled
        target.makedirs()
        return start()
    except atomik.FileAlreadyExistsError as error:
        raise to_luigi_error(error) from error


@contextmanager
def _published(target: Any, make: Callable[..., Publication[Path]]) -> Iterator[Path]:
    def start() -> tuple[Publication[Path], Path]:
        one = make(target.path, overwrite=target.overwrite is True, sync=sync, follow_symlinks=False)
        return one, one.open()

    with durable(target.path, target.sync) as sync:
        publication, staged = _begin(target, start)
        with discarded_on_sigterm(publication):
            yield staged
        try:
            publication.publish()
        except atomik.FileAlreadyExistsError as error:
            raise to_luigi_error(error) from error


class AtomicLocalFolderTarget(AtomicLocalTarget):
    """A target that is a folder: it exists if a folder is there. Make it with `folder` or `temporary_path`.

    Args:
        path: where it is.
        overwrite: whether a folder that exists may be replaced, in one instant; with None or False it may not.
        sync: as for :class:`AtomicLocalTarget`.
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

    @contextmanager
    def temporary_path(self) -> Iterator[str]:
        """Yield a path that does not exist yet, and publish the folder that was made there.

        Raises:
            NotADirectoryError: a file was made there.
            OSError: what :meth:`AtomicLocalTarget.temporary_path` raises.
        """
        with super().temporary_path() as path:
            yield path
            if os.path.lexists(path.rstrip("/")) and not os.path.isdir(path):
                msg = "A file was made at the staged path, and this target is a folder"
                raise NotADirectoryError(errno.ENOTDIR, msg, str(self.path))


def is_atomic(target: LocalTarget) -> TypeGuard[AtomicLocalTarget]:
    """Say whether a target is an atomic one, or a luigi.LocalTarget that `install` has made so."""
    return hasattr(type(target), "final_path")


def install() -> None:
    """Make every luigi.LocalTarget an atomic one, in this process and those that it forks; repeated, it does nothing.

    The class itself is changed, and with it all its subclasses, wherever they were defined, what other modules have imported
    as ``LocalTarget``, and the target objects that exist already. ``isinstance`` gives the same answers as before.
    """
    if "final_path" in vars(LocalTarget):
        return
    for name, value in vars(AtomicLocalTarget).items():
        if not name.startswith("_") or name in {"__init__", "__del__"}:
            setattr(LocalTarget, name, value)


if wants_install():
    install()
