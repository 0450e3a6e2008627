"""`atomik.stage`: outputs that somebody else's program makes, published together."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from ._os.names import kept_name
from ._os.sync import resolve_level
from ._plugins import hooks
from ._publish import work
from ._publish.claims import Claims
from ._publish.content import EXTRAS, MadeContent, StagedContent
from ._publish.entry import Entry
from ._publish.options import Options
from ._publish.publication import Publication, public_names
from ._publish.staging import Wrapped
from ._publish.transaction import Transaction
from .errors import DirectWriteError, ExtrasError, NothingStagedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Final, Literal, Self, TypeAlias

    from ._os.levels import Sync
    from ._publish.content import Extras
    from ._publish.destination import DestinationDirectory
    from ._publish.entry import State
    from ._publish.options import StrPath
    from ._publish.staging import Wrapper
    from ._publish.transaction import Members

    #: What has become of an output: it went through the stage; the program wrote to its destination itself; it stays as it was,
    #: since the program did not change the copy of it; the program made nothing.
    Outcome: TypeAlias = Literal["published", "direct", "unchanged", "missing"]

#: How many seconds a tick of a filesystem's clock lasts, about.
_TICK: Final = 0.004


class StageReport:
    """What a stage did.

    Attributes:
        outputs: for each output what has become of it: ``"published"``; ``"direct"``: the program wrote to the destination
            itself, which stays as the program left it, and was not atomic; ``"unchanged"``: a copy of the old version was not
            changed, and the old one stays; ``"missing"``: nothing was made.
        extras: where what was made beside the outputs has been published.
        kept: for each output whose destination the program wrote to, too: where that was put when the staged version replaced it.
    """

    __slots__ = ("extras", "kept", "outputs")

    def __init__(self) -> None:
        self.outputs: dict[Hashable, Outcome] = {}
        self.extras: tuple[Path, ...] = ()
        self.kept: dict[Hashable, Path] = {}

    def __repr__(self) -> str:
        return f"<StageReport: outputs={self.outputs!r}, extras={self.extras!r}, kept={self.kept!r}>"


class _Output:
    """One output: where it is to be, and where it is made."""

    __slots__ = ("copied_at", "destination", "is_folder", "key", "member", "outer", "relative")

    def __init__(self, key: Hashable, destination: str) -> None:
        self.key = key
        self.is_folder = destination.endswith("/")
        self.destination = destination
        #: The output that it lies in, and its path from there.
        self.outer: _Output | None = None
        self.relative = ""
        #: Its publication, if it does not lie in another one.
        self.member: Publication[Any] | None = None
        #: When the old version was copied to the staged path, by the filesystem's clock; None if it was not.
        self.copied_at: int | None = None

    @property
    def entry(self) -> Entry:
        assert self.member is not None  # noqa: S101 - of an output that lies in none, once the stage is open
        return self.member._entry

    @property
    def staged(self) -> str:
        if self.outer is not None:
            return os.path.join(self.outer.staged, self.relative)
        return self.entry.staged_path


class Stage:
    """Outputs that a program makes at staged paths, and that are published together at the end of the block.

    Made by :func:`atomik.stage`; its ``with`` yields it. ``stage[key]`` is the path to tell the program. Without ``with``:
    `open`, then `publish` or `discard`. One that is garbage-collected unfinished is discarded; in a forked child it does
    nothing. It belongs to one thread at a time.
    """

    __slots__ = (
        "__weakref__", "_extras", "_made", "_marker", "_options", "_outputs", "_report", "_strict", "_transaction",
        "_was_opened", "_wrappers",
    )  # fmt: skip

    def __init__(
        self, outputs: Mapping[Any, StrPath] | Sequence[StrPath], options: Options, extras: Extras, *, strict: bool
    ) -> None:
        if isinstance(outputs, str | bytes):
            msg = f"outputs is {outputs!r}; it takes a mapping or a sequence of paths, such as [{outputs!r}]"
            raise TypeError(msg)
        if extras not in EXTRAS:
            msg = f"extras is {extras!r}; it takes {', '.join(map(repr, EXTRAS))}"
            raise ValueError(msg)
        pairs: Iterable[tuple[Hashable, StrPath]] = outputs.items() if hasattr(outputs, "items") else enumerate(outputs)
        self._options = options
        self._extras = extras
        self._strict = strict
        self._outputs = {key: _Output(key, os.fsdecode(path)) for key, path in pairs}
        self._report = StageReport()
        self._was_opened = False
        self._wrappers: dict[DestinationDirectory, tuple[Wrapper, str]] = {}
        #: The folders that we made in wrappers for outputs that lie in others, as paths from the wrapper.
        self._made: dict[Wrapper, set[str]] = {}
        self._marker = 0
        self._transaction = Transaction(options.sync, is_shared=True, must_exchange=False)
        self._nest()

    def _nest(self) -> None:
        """Find out which outputs lie in others, and see that no two are the same.

        Raises:
            ValueError: two outputs have one destination.
        """
        by_path: dict[str, _Output] = {}
        for output in self._outputs.values():
            path = os.path.abspath(output.destination)
            if path in by_path:
                msg = f"{output.destination!r} is the destination of two outputs; each is made once"
                raise ValueError(msg)
            by_path[path] = output
        for path, output in by_path.items():
            above = os.path.dirname(path)
            while above != os.path.dirname(above) and above not in by_path:
                above = os.path.dirname(above)
            if above in by_path:
                output.outer = by_path[above]
                output.relative = os.path.relpath(path, above)

    # What the user asks.

    def __getitem__(self, key: Any) -> Path:
        return self.staged(key)

    def __iter__(self) -> Any:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def staged(self, key: Any) -> Path:
        """The path at which the program is to make this output.

        Its name is the destination's; outputs of one directory are in one directory, and one that lies in another is at the
        same place in it. Nothing is there yet.

        Raises:
            KeyError: there is no such output.
            ValueError: the stage is not open.
        """
        output = self._outputs[key]
        if not self._was_opened:
            msg = "nothing is staged yet: use the stage with `with`, or open() it"
            raise ValueError(msg)
        return Path(output.staged)

    def destination(self, key: Any) -> Path:
        """The path that this output is published to, as it was given."""
        return Path(self._outputs[key].destination)

    def old(self, key: Any) -> Path | None:
        """The path of the version that is there now, which can be read until the new one takes its place; None if none is."""
        path = Path(self._outputs[key].destination)
        return path if os.path.lexists(path) else None

    def copy_old(self, key: Any) -> Path:
        """Copy the version that is there now to the staged path, for a program that changes it; return the staged path.

        If the program does not change the copy, it is not taken for its work: the old version stays.

        Raises:
            FileNotFoundError: there is no version yet.
            OSError: it cannot be copied.
        """
        from ._copy import copy

        output = self._outputs[key]
        staged = self.staged(key)
        copy(output.destination, staged, sync="off")
        output.copied_at = self._next_tick()
        return staged

    @property
    def report(self) -> StageReport:
        """What the stage did; complete when it is at its end."""
        return self._report

    @property
    def state(self) -> State:
        """``"new"`` or ``"open"``, in the end ``"published"`` or ``"discarded"``."""
        return self._transaction.end or ("open" if self._was_opened else "new")

    # The life cycle.

    def open(self) -> Self:
        """Check everything that can be checked, and stage.

        Raises:
            FileAlreadyExistsError: a destination exists, and `overwrite` is false (or it is a device, FIFO, socket).
            NotADirectoryError: a file stands where a folder is to be published.
            FileNotFoundError: a parent directory is missing, and `parents` is false.
            UnsupportedFilesystemError: a filesystem is known to be unable to keep a promise.
            OSError: whatever else the kernel says.
            ValueError: it was opened before; two outputs are one, by paths that hide it.
        """
        if self.state != "new":
            msg = f"the stage was opened before; it is {self.state}"
            raise ValueError(msg)
        hooks.load()
        self._transaction = Transaction(self._options.sync, is_shared=True, must_exchange=False)
        self._was_opened = True
        claims = Claims()
        try:
            for output in self._outputs.values():
                if output.outer is None:
                    content = StagedContent(self._wrapper, is_folder=output.is_folder)
                    output.member = Publication(output.destination, self._options, content, self._transaction)
                    claims.claim(output.entry)
                    output.member.open()
            for output in self._outputs.values():
                if output.outer is not None:
                    self._make_way(output)
            if any(output.member is not None and output.entry.old is not None for output in self._outputs.values()):
                self._marker = self._next_tick()
        except BaseException as error:
            self._drop(error)
            raise
        return self

    def _wrapper(self, entry: Entry) -> Wrapper:
        """Return the staging folder for outputs of this entry's directory."""
        place = entry.destination.given_directory
        if place not in self._wrappers:
            wrapper = entry.new_wrapper()
            self._wrappers[place] = wrapper, os.path.dirname(entry.destination.path.rstrip("/"))
            self._made[wrapper] = set()
        return self._wrappers[place][0]

    def _make_way(self, output: _Output) -> None:
        """Make the folders in which an output lies that lies in another one."""
        top, inner = output, ""
        while top.outer is not None:
            inner = os.path.join(top.relative, inner)
            top = top.outer
        wrapper = self._wrapped(top).wrapper
        path = self._wrapped(top).inner
        for name in ["", *os.path.dirname(inner.rstrip("/")).split("/")]:
            path = os.path.join(path, name) if name else path
            try:
                os.mkdir(path, dir_fd=wrapper.fd)
            except FileExistsError:
                continue
            self._made[wrapper].add(path)

    @staticmethod
    def _wrapped(output: _Output) -> Wrapped:
        staging = output.entry.staging
        assert isinstance(staging, Wrapped)  # noqa: S101 - its content has staged it so
        return staging

    def _next_tick(self) -> int:
        """Return a moment after all that was done so far, in nanoseconds by the clock of the filesystem that is staged on.

        What is done from now on has this time or a later one, though its clock ticks once in some milliseconds only.
        """
        for wrapper, _ in self._wrappers.values():
            first = wrapper.touch()
            while (now := wrapper.touch()) == first:
                time.sleep(_TICK / 4)
            return now
        return 0

    def publish(self) -> None:
        """Publish every output, and what was made beside them. Repeated, it does nothing.

        Raises:
            NothingStagedError: an output was not made, neither at its staged path nor at its destination; the message names
                those, and says where the others are kept.
            ExtrasError: something was made beside the outputs, and `extras` is ``"refuse"``; everything is kept.
            DirectWriteError: a program wrote to a destination itself, and `strict` is true; everything is kept.
            NotADirectoryError: a file was made where a folder was asked for by a slash.
            NotDurableError: all are published, but the sync of a directory failed.
            OSError: one could not be synced or published; nothing is, and what is finished is kept, as the error says.
            ValueError: it was never opened, or has been discarded.
        """
        if self.state == "published" or self._transaction.is_foreign:
            return
        if self.state != "open":
            msg = f"the stage cannot be published: it is {self.state}"
            raise ValueError(msg)
        try:
            members = self._look()
            extras = self._adopt_extras()
        except BaseException as error:
            self._drop(error)
            raise
        members.update(dict.fromkeys(extras))
        self._transaction.commit(members)
        self._report.extras = tuple(Path(entry.destination.path) for entry in extras)

    def discard(self) -> None:
        """Remove what is staged and publish nothing. Repeated, or after `publish`, it does nothing."""
        self._drop(None)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is not None:
            self._drop(error)
        elif self.state == "open":
            self.publish()

    def __del__(self) -> None:
        try:
            self._drop(None)
        except AttributeError:
            pass  # interrupted while it was made, or refused

    def __dir__(self) -> list[str]:
        return public_names(type(self))

    def _drop(self, error: BaseException | None) -> None:
        if self.state in {"new", "open"} and not self._transaction.is_foreign:
            self._transaction.abort(self._members(), error)

    def _members(self) -> Members:
        return {output.entry: output.member for output in self._outputs.values() if output.member is not None}

    # What the program has made.

    def _look(self) -> Members:
        """Find out what has become of each output; return those that are to be published."""
        made = self._report.outputs
        for output in self._outputs.values():
            if output.outer is None:
                made[output.key] = self._outcome(output)
        for output in self._outputs.values():
            if output.outer is not None:
                made[output.key] = self._inner_outcome(output)
        missing = [output for output in self._outputs.values() if made[output.key] == "missing"]
        if missing:
            names = ", ".join(repr(output.destination) for output in missing)
            written = ", ".join(
                repr(output.destination) for output in self._outputs.values() if made[output.key] == "direct"
            )
            rest = f"{written} was written by the program itself, and stays; nothing else" if written else "nothing"
            msg = f"Not made, neither at the staged path nor at the destination: {names}; {rest} is published"
            raise self._kept(NothingStagedError(errno.ENOENT, msg, missing[0].destination))
        members: Members = {}
        for output in self._outputs.values():
            if output.member is None:
                continue
            if made[output.key] == "published":
                members[output.entry] = output.member
            else:
                self._transaction.drop(output.entry, output.member, None)
        direct = [output for output in self._outputs.values() if made[output.key] == "direct"]
        if direct:
            self._report_direct(direct)
        for wrapper, paths in self._made.items():
            work.remove_unused(wrapper.fd, paths)
        return members

    def _outcome(self, output: _Output) -> Outcome:
        entry, staging = output.entry, self._wrapped(output)
        is_there = os.path.lexists(staging.path)
        if is_there and staging.inner in self._made[staging.wrapper]:
            is_there = work.holds_more_than(staging.wrapper.fd, staging.inner, self._made[staging.wrapper])
        is_copy = is_there and output.copied_at is not None
        if is_copy and output.copied_at is not None:
            is_there = work.is_newer(staging.wrapper.fd, staging.inner, output.copied_at)
        is_direct = work.was_changed(entry.destination, entry.old, self._marker)
        if is_there:
            if is_direct:
                self._keep_direct(output)
            return "published"
        if is_direct:
            return "direct"
        return "unchanged" if is_copy else "missing"

    def _inner_outcome(self, output: _Output) -> Outcome:
        """Say what has become of an output that lies in another: it shares its fate, if it is there."""
        top = output
        while top.outer is not None:
            top = top.outer
        fate = self._report.outputs[top.key]
        if fate == "published":
            return "published" if os.path.lexists(output.staged) else "missing"
        return fate if os.path.lexists(output.destination) else "missing"

    def _keep_direct(self, output: _Output) -> None:
        """See that what the program wrote to the destination is kept when the staged version replaces it."""
        entry = output.entry
        if self._strict:
            msg = (
                "A program wrote to the destination itself, and to the staged path, too; nothing is published, and the "
                "destination is left as the program left it"
            )
            raise self._kept(DirectWriteError(errno.EEXIST, msg, output.destination))
        path = os.path.join(os.path.dirname(output.destination.rstrip("/")), kept_name())
        entry.look_at_destination()
        entry.keep_old_at(path)
        self._report.kept[output.key] = Path(path)
        self._warn(
            f"{output.destination}: a program wrote to it itself, which was not atomic, and to the staged path, too: that is "
            f"published, and what it replaces is kept as {path}"
        )

    def _report_direct(self, outputs: list[_Output]) -> None:
        names = ", ".join(output.destination for output in outputs)
        if self._strict:
            msg = f"A program wrote to a destination itself, which was not atomic: {names}; nothing is published"
            raise self._kept(DirectWriteError(errno.EEXIST, msg, outputs[0].destination))
        self._warn(f"{names}: a program wrote to it itself; it stays as it is, and was not published atomically")

    @staticmethod
    def _warn(message: str) -> None:
        import logging

        logging.getLogger("atomik").warning(message)

    def _kept(self, error: OSError) -> OSError:
        """Keep everything that was staged; return the error, which says where."""
        for wrapper, _ in self._wrappers.values():
            work.remove_unused(wrapper.fd, self._made[wrapper])
            if wrapper.entries():
                wrapper.keep(error)
        return error

    def _adopt_extras(self) -> list[Entry]:
        """Make entries of what was made beside the outputs.

        Raises:
            ExtrasError: there is something, and that is refused.
        """
        found = [
            (wrapper, name, folder)
            for wrapper, folder in self._wrappers.values()
            for name in sorted(set(wrapper.entries()) - wrapper.taken)
        ]
        if not found or self._extras == "discard":
            return []
        if self._extras == "refuse":
            names = ", ".join(repr(os.path.join(folder, name)) for _, name, folder in found)
            msg = (
                f"More was made than the outputs, and nothing is published: {names}; pass extras='publish' to publish it "
                "beside them, or extras='discard' to drop it"
            )
            raise self._kept(ExtrasError(errno.EEXIST, msg, os.path.join(found[0][2], found[0][1])))
        return [
            entry for wrapper, name, folder in found for entry in self._adopt(wrapper, name, os.path.join(folder, name))
        ]

    def _adopt(self, wrapper: Wrapper, name: str, path: str) -> list[Entry]:
        """Make an entry of an extra; of a folder that is there already, one of each thing in it, as a direct run would have."""
        staged = os.path.join(wrapper.path, name)
        if stat.S_ISDIR(os.lstat(staged).st_mode) and os.path.isdir(path) and not os.path.islink(path):
            return [
                entry
                for inner in sorted(os.listdir(staged))
                for entry in self._adopt(wrapper, wrapper.lift(f"{name}/{inner}"), os.path.join(path, inner))
            ]
        return [self._entry_of(wrapper, name, path)]

    def _entry_of(self, wrapper: Wrapper, name: str, path: str) -> Entry:
        options = Options(overwrite=True, sync=self._options.sync, parents=True)
        entry = Entry(path, options, MadeContent(Wrapped(wrapper, name)))
        self._transaction.adopt(entry)
        return entry


def stage(
    outputs: Mapping[Any, StrPath] | Sequence[StrPath],
    *,
    overwrite: bool = True,
    sync: Sync | None = None,
    tmp_dir: StrPath | None = None,
    parents: bool = True,
    permissions: int | None = None,
    backup: StrPath | None = None,
    extras: Extras = "publish",
    strict: bool = False,
) -> Stage:
    """Publish what somebody else's program makes: all of its outputs, or none, and nothing of its work is thrown away.

    ::

        with atomik.stage({"bam": "out/a.bam", "parts": "out/parts/"}) as out:
            subprocess.run(["tool", "-o", out["bam"], "--parts", out["parts"]], check=True)

    The program is told a staged path for each output. It has the destination's own name; outputs of one directory are in one
    directory, and an output that lies in another is at the same place in it. At the end of the block all of them appear,
    one after the other, microseconds apart; if the block raises, or one cannot be published, none does.

    What the program makes *beside* its outputs (an index, a sidecar, a log in the same directory) belongs to its work, and is
    published with them: see `extras`. A program that does not go by what it is told, and writes to the destination itself,
    has not been atomic: what it wrote stays, and a warning in the log (logger ``atomik``) and ``stage.report`` say so. If
    it made something at the staged path, too, that is published, and what it replaces is kept beside it. (A rival's
    publication is told from that where the filesystem says when a file was made: then the last one wins.)

    Args:
        outputs: the destinations, by keys of your choice or as a sequence. One that ends with a slash is to be a folder;
            otherwise it is whatever the program makes: a file, a folder or a symbolic link.
        overwrite: replace what exists, a file by a file, a folder by a folder. True by default.
        sync: as :func:`atomik.file`'s, for all outputs.
        tmp_dir: a directory to stage in; beside each destination by default.
        parents: make missing parent directories (and remove those made, if they are empty, on discard).
        permissions: as :func:`atomik.path`'s, for all outputs, but not for what is made beside them.
        backup: as :func:`atomik.path`'s, for a stage with one output.
        extras: what becomes of what is made beside the outputs: ``"publish"``: it is published beside the destinations, and
            replaces what a direct run would have replaced; ``"refuse"``: an error, and everything is kept; ``"discard"``: it
            is dropped.
        strict: a program that writes to a destination itself is an error: nothing is published, and everything is kept.

    Returns:
        a stage; its ``with`` yields it.

    Raises:
        ValueError: an argument makes no sense; two outputs have one destination.
        TypeError: `outputs` is a single path.

    Where a filesystem cannot exchange two names (NFS), outputs that exist are replaced one after the other, files each in one
    instant, and cannot be taken back if a later one fails; a folder that exists is refused when the stage is opened.
    """
    options = Options(
        overwrite=overwrite,
        sync=resolve_level(sync),
        tmp_dir=tmp_dir,
        parents=parents,
        permissions=permissions,
        backup=backup,
    )
    if backup is not None and len(outputs) > 1:
        msg = f"backup keeps one version, and there are {len(outputs)} outputs; stage without it, or publish one folder"
        raise ValueError(msg)
    return Stage(outputs, options, extras, strict=strict)
