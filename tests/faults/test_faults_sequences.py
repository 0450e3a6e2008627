"""Any sequence of calls, with failures at random steps, does what the same calls do to a dictionary."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

import atomik
import atomik_core.testing
from faults.sequences import ERRORS, NAMES, SHAPES, TEXTS, Interrupt, Publishing, Version, fill, read
from support.watch import litter


class Sequences(Publishing):
    """The other calls, too: groups, the primitives, copies and snapshots."""

    @rule(members=st.dictionaries(NAMES, SHAPES, min_size=1), text=TEXTS, overwrite=st.booleans())
    def publish_group(self, members: dict[str, tuple[str, str]], text: str, overwrite: bool) -> None:
        """Publish several as one."""
        refusals = [self.refusal(name, kind, overwrite=overwrite) for name, (_, kind) in members.items()]
        with self.expecting(next(filter(None, refusals), None)):
            self._fill_group(members, text, overwrite)
        if not any(refusals):
            self.model.update({name: Version(kind, text) for name, (_, kind) in members.items()})

    def _fill_group(self, members: dict[str, tuple[str, str]], text: str, overwrite: bool) -> None:
        with atomik.group(sync="off") as group:
            for name, (call, kind) in members.items():
                with getattr(group, call)(self.folder / name, overwrite=overwrite) as handle:
                    fill(handle, Version(kind, text))

    @rule(
        members=st.dictionaries(NAMES, SHAPES, min_size=1),
        text=TEXTS,
        failing=st.integers(0, 2),
        step=st.sampled_from(["opened", "sealed", "synced"]),
        make=ERRORS,
    )
    def fail_group(
        self, members: dict[str, tuple[str, str]], text: str, failing: int, step: str, make: Callable[[], BaseException]
    ) -> None:
        """Fail at one of several."""
        error = make()
        path = self.folder / [*members][failing % len(members)]

        def watch(publication: atomik.Publication[Any], reached: str) -> None:
            if reached == step and publication.destination == path:
                raise error

        with contextlib.suppress(OSError, type(error)), atomik_core.testing.watching(watch):
            self._fill_group(members, text, overwrite=True)
            assert False, "the group was published"  # noqa: B011, PT015 - not suppressed
        for path in litter(self.folder):
            if path.name.startswith("atomik-kept-"):
                atomik.remove(path, sync="off")

    @rule(src=NAMES, dst=NAMES, overwrite=st.booleans())
    def rename(self, src: str, dst: str, overwrite: bool) -> None:
        """Rename."""
        there = self.model.get(src)
        refusal = FileNotFoundError if there is None else self.refusal(dst, there.kind, overwrite=overwrite)
        with self.expecting(refusal):
            atomik.rename(self.folder / src, self.folder / dst, overwrite=overwrite, sync="off")
        if refusal is None:
            self.model[dst] = self.model.pop(src)

    @rule(one=NAMES, other=NAMES)
    def exchange(self, one: str, other: str) -> None:
        """Exchange."""
        missing = not {one, other} <= self.model.keys()
        with self.expecting(FileNotFoundError if missing else None):
            atomik.exchange(self.folder / one, self.folder / other, sync="off")
        if not missing:
            self.model[one], self.model[other] = self.model[other], self.model[one]

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        """Remove."""
        with self.expecting(None if name in self.model else FileNotFoundError):
            atomik.remove(self.folder / name, sync="off")
        self.model.pop(name, None)

    @rule(src=NAMES, dst=NAMES, overwrite=st.booleans(), interrupted=st.booleans())
    def copy(self, src: str, dst: str, overwrite: bool, interrupted: bool) -> None:
        """Copy, perhaps not to the end."""

        def progress(*_: int) -> None:
            if interrupted:
                raise Interrupt

        there = self.model.get(src)
        refusal = FileNotFoundError if there is None else self.refusal(dst, there.kind, overwrite=overwrite)
        if there is not None and there.kind == "folder" and src == dst:
            refusal = ValueError
        with self.expecting(refusal or (Interrupt if interrupted else None)):
            atomik.copy(self.folder / src, self.folder / dst, overwrite=overwrite, sync="off", progress=progress)
        if there is not None and refusal is None and not interrupted:
            self.model[dst] = there

    @rule(name=NAMES, text=TEXTS)
    def read_while_it_is_replaced(self, name: str, text: str) -> None:
        """Hold a version still while it is replaced."""
        there = self.model.get(name)
        with self.expecting(FileNotFoundError if there is None else None):
            with atomik.snapshot(self.folder / name) as held:
                assert there is not None
                with atomik.path(self.folder / name, overwrite=True, sync="off") as path:
                    fill(path, Version(there.kind, text))
                assert read(held) == there
                self.model[name] = Version(there.kind, text)


def test_sequences() -> None:
    """After each call the folder holds what the dictionary holds, nothing is left over, and nothing stays open."""
    run_state_machine_as_test(
        Sequences,
        settings=settings(max_examples=60, stateful_step_count=30, derandomize=True, deadline=None, database=None),
    )
