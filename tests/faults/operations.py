"""The other calls under kills and failures: rename, exchange, remove, copy and group."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import atomik
from faults.failures import errors, is_sync, seen
from faults.scenarios import SMALL, make, read
from support.outcome import Call, Outcome
from support.traced import Traced

#: What stands at each name: the text of a file or folder.
State = dict[str, str]


@dataclass(frozen=True)
class Operation:
    """One call, and what stands at the names that it works on.

    Attributes:
        call: Python source.
        before: what is there at first.
        after: what is there when it is done.
        between: what else may be there if it is killed, or fails.
        names: the files of which a folder consists.
        takes_away: whether the old version has a name of its own for a moment, which no cleaner touches.
    """

    call: str
    before: State
    after: State
    between: tuple[State, ...] = ()
    names: tuple[str, ...] = SMALL
    takes_away: bool = False

    @property
    def source(self) -> str:
        """The workload."""
        return f"import atomik\n{self.call}\nsay('done')\n"


_COPY = "atomik.copy('src', 'target', overwrite=True)"
_GROUP = """
with atomik.group() as group:
    with group.path('one') as path: make(path)
    with group.path('two', overwrite=True) as path: make(path)
"""

_STAGE = """
with atomik.stage({'one': 'one', 'two': 'two', 'three': 'three'}) as out:
    for key in ('one', 'two', 'extra'):
        path = out['one'].parent / key
        make(path)
    out['three'].symlink_to('one')
"""

#: Each call, by what it does; all of them durable, the default.
OPERATIONS = {
    "rename": Operation("atomik.rename('src', 'target')", {"src": "new"}, {"target": "new"}),
    "rename-over": Operation(
        "atomik.rename('src', 'target', overwrite=True)",
        {"src": "new", "target": "old"},
        {"target": "new"},
        ({"src": "old", "target": "new"},),  # a folder is exchanged away first
    ),
    "exchange": Operation("atomik.exchange('a', 'b')", {"a": "1", "b": "2"}, {"a": "2", "b": "1"}),
    "remove": Operation("atomik.remove('target')", {"target": "old"}, {}),
    "copy": Operation(_COPY, {"src": "new"}, {"src": "new", "target": "new"}),
    "copy-over": Operation(_COPY, {"src": "new", "target": "old"}, {"src": "new", "target": "new"}),
}

#: Killed between its renames, a group stays half published: the one thing that it does not promise.
GROUP = Operation(_GROUP, {"two": "old"}, {"one": "new", "two": "new"}, ({"one": "new", "two": "old"},))


def _half_staged() -> tuple[State, ...]:
    """A stage that was killed between its renames: the first outputs are new, in the order in which they were named.

    Then come extras, last the link. Of a folder of extras that was there already each file is replaced by itself.
    """
    states: list[State] = [{"two": "old", "extra": "old"}]
    for name, text in (("one", "new"), ("two", "new"), ("extra", "not a whole version"), ("extra", "new")):
        states.append({**states[-1], name: text})
    return tuple(states[1:])


STAGE = Operation(
    _STAGE,
    {"two": "old", "extra": "old"},
    {"one": "new", "two": "new", "three": "new", "extra": "new"},
    _half_staged(),
)

_STAGE_BELOW_ROOT = """
with atomik.stage(['x/sub/two', 'y/sub/two'], root='.') as out:
    for key in out:
        out[key].write_text('new')
"""

#: Outputs of two directories, which are made in one staging folder above them.
STAGE_BELOW_ROOT = Operation(
    _STAGE_BELOW_ROOT,
    {"x": "old", "y": "old"},
    {"x": "new", "y": "new"},
    ({"x": "new", "y": "old"},),
    names=("sub/two",),
)

_STAGE_WITH_GAP = """
with atomik.stage(['target', 'other'], allow_gap=True, follow_symlinks=False) as out:
    out[0].symlink_to('there')
    path = out[1]
    make(path)
"""

#: A link that takes the place of a folder, which cannot be exchanged with it; a killed one leaves the folder under another name.
STAGE_WITH_GAP = Operation(
    _STAGE_WITH_GAP,
    {"target": "old", "there": "new"},
    {"target": "new", "there": "new", "other": "new"},
    ({"target": "old", "there": "new", "other": "new"}, {"there": "new", "other": "new"}),
    takes_away=True,
)

#: A killed process leaves the parents that it has made; a failed one does not.
PARENTS = Operation(
    "with atomik.file('made/sub/two', parents=True) as file: file.write('new')", {}, {"made": "new"}, names=("sub/two",)
)


def _lay(operation: Operation, folder: Path, names: tuple[str, ...]) -> Path:
    for name, text in operation.before.items():
        make(folder / name, text, names)
    return folder


def _state(folder: Path, names: tuple[str, ...]) -> State:
    visible = (path for path in folder.iterdir() if not path.name.startswith((".atomik-", "atomik-kept-")))
    return {path.name: _says(path, names) for path in visible}


def _says(path: Path, names: tuple[str, ...]) -> str:
    try:
        return read(path, names) or ""
    except AssertionError:
        return "not a whole version"


def check_kills(traced: Traced, fresh: Callable[[], Path], operation: Operation, *, is_folder: bool) -> None:
    """Kill the call at each of its system calls; all is as before or as after, and a cleaner finds the rest."""
    names = operation.names if is_folder else ()
    source = operation.source.replace("make(path)", _making(is_folder=is_folder))
    allowed = (operation.before, operation.after, *operation.between)
    for call in traced.calls(source, _lay(operation, fresh(), names)):
        folder = _lay(operation, fresh(), names)
        outcome = traced.killed_at(call, source, folder)
        state = _state(folder, names)
        assert state in allowed, f"{state} after a kill at {call}"
        assert state == operation.after or not outcome.said, call
        atomik.clean(folder)
        kept = [path for path in folder.glob("atomik-kept-*") if operation.takes_away]
        if operation.takes_away and state != operation.after:
            assert "old" in [*state.values(), *(_says(path, names) for path in kept)], call
        assert sorted(path.name for path in folder.iterdir() if path not in kept) == sorted(state), call
        assert _state(folder, names) == state, call


def check_failures(traced: Traced, fresh: Callable[[], Path], operation: Operation, *, is_folder: bool) -> None:
    """Fail each system call of the call; it is done, or an error tells the truth."""
    names = operation.names if is_folder else ()
    source = operation.source.replace("make(path)", _making(is_folder=is_folder))
    wrong = []
    for call in traced.calls(source, _lay(operation, fresh(), names)):
        for error in errors(call):
            folder = _lay(operation, fresh(), names)
            outcome = traced.failing_at(call, error, source, folder)
            found = _wrong(operation, outcome, call, error, _state(folder, names))
            wrong += [f"{errno.errorcode[error]} at {call}: {each}" for each in found]
    assert not wrong, "\n".join(wrong)


def _wrong(operation: Operation, outcome: Outcome, call: Call, error: int, state: State) -> Iterator[str]:
    raised = outcome.raised
    if outcome.leaked:
        yield f"left open: {outcome.leaked}"
    if raised is None:
        if state != operation.after:
            yield f"reported as done, and there is {state}"
        if is_sync(call, outcome) and error != errno.EINTR:
            yield "a sync failed, and success was reported"
        return
    if raised.types[0] == "LeftoverError":
        if "remove" not in operation.source or state != operation.after:
            yield f"said that it is gone from its name, and there is {state}"
        return
    if raised.errno != seen(call, error):
        yield f"raised {raised.types[0]}: {raised.text}"
    if raised.types[0] == "NotDurableError":
        if state != operation.after and state not in operation.between:
            yield f"said that it is done, and there is {state}"
    elif state in operation.between and "could not be removed" in raised.text:
        pass  # the truth
    elif "is kept as" in raised.text and state == {"made": "not a whole version"}:
        pass  # the parents of finished work that is kept stay with it
    elif state != operation.before:
        yield f"raised {raised.types[0]}, and there is {state}: {raised.text}"


def check_interrupts(traced: Traced, fresh: Callable[[], Path], operation: Operation, *, is_folder: bool) -> None:
    """Interrupt the call right after each of its system calls; all is as before or as after, and nothing else is left."""
    names = operation.names if is_folder else ()
    source = operation.source.replace("make(path)", _making(is_folder=is_folder))
    wrong = []
    for call in traced.calls(source, _lay(operation, fresh(), names)):
        folder = _lay(operation, fresh(), names)
        outcome = traced.signalled_at(call, signal.SIGINT, source, folder)
        state = _state(folder, names)
        raised, left = outcome.raised, sorted({path.name for path in folder.iterdir()} - {*state})
        kept = [name for name in left if name.startswith("atomik-kept-") and operation.takes_away]
        if raised is None or raised.types[0] != "KeyboardInterrupt":
            wrong.append(f"{call}: {raised}")
        elif len(raised.notes) != len(kept) or not all(map(str.__contains__, raised.notes, kept)):
            wrong.append(f"{call}: notes {raised.notes}, and there is {left}")
        if outcome.leaked:
            wrong.append(f"{call}: left open: {outcome.leaked}")
        if state not in (operation.before, operation.after) or (left and state != operation.after):
            wrong.append(f"{call}: there is {state} and {left}")
        atomik.clean(folder)
        assert _state(folder, names) == state, call
        assert sorted(path.name for path in folder.iterdir() if path.name not in kept) == sorted(state), call
    assert not wrong, "\n".join(wrong)


def _making(*, is_folder: bool) -> str:
    if not is_folder:
        return "path.write_text('new')"
    return (
        "(path / 'sub').mkdir(parents=True); (path / 'one').write_text('new'); (path / 'sub' / 'two').write_text('new')"
    )
