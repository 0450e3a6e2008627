"""What must hold after any one system call of a publication has failed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from faults.conftest import Fresh
from faults.scenarios import Scenario
from support.outcome import Call, Outcome
from support.traced import Traced

_E = errno
#: What each call may answer in real life, EINTR included.
_ERRORS: dict[str, tuple[int, ...]] = {
    "openat": (_E.EMFILE, _E.EACCES, _E.EIO, _E.EINTR),
    "mkdir": (_E.ENOSPC, _E.EDQUOT, _E.EACCES),
    "mkdirat": (_E.ENOSPC, _E.EDQUOT, _E.EACCES, _E.EIO),
    "write": (_E.ENOSPC, _E.EDQUOT, _E.EIO, _E.EINTR),
    "pwrite64": (_E.ENOSPC, _E.EDQUOT, _E.EIO),
    "copy_file_range": (_E.ENOSPC, _E.EINVAL, _E.ENOSYS, _E.EIO),
    "ioctl": (_E.EINVAL, _E.EIO),
    "ftruncate": (_E.EIO, _E.ENOSPC),
    "fsync": (_E.EIO, _E.ENOSPC, _E.EDQUOT, _E.EINVAL, _E.EINTR),
    "syncfs": (_E.EIO, _E.ENOSPC, _E.EDQUOT, _E.EINTR),
    "linkat": (_E.EPERM, _E.EINVAL, _E.ENOSYS, _E.EACCES, _E.ENOSPC, _E.EDQUOT, _E.EIO),
    "renameat2": (_E.EINVAL, _E.ENOSYS, _E.EPERM, _E.EACCES, _E.ENOSPC, _E.EIO),
    "renameat": (_E.EPERM, _E.EACCES, _E.ENOSPC, _E.EIO),
    "flock": (_E.ENOLCK, _E.ENOSYS, _E.EINTR),
    "fchmod": (_E.EPERM, _E.EIO),
    "fchown": (_E.EPERM, _E.EDQUOT),
    "unlinkat": (_E.EACCES, _E.EPERM, _E.EIO),
    "fcntl": (_E.EMFILE,),
    "faccessat2": (_E.EACCES,),
    "fstatfs": (_E.ENOSYS,),
}
_CREATING = (_E.ENOSPC, _E.EDQUOT)
_ANY = (_E.EIO,)

#: What Python calls to list a directory or to open a file; it fails alike wherever it does.
_LISTING = {"lseek", "fcntl", "getdents64", "read"}


def errors(call: Call) -> Iterator[int]:
    """What CALL may fail with."""
    yield from _ERRORS.get(call.name, _ANY)
    if "O_CREAT" in call.arguments or "O_TMPFILE" in call.arguments:
        yield from _CREATING
    if "O_TMPFILE" in call.arguments:
        yield _E.EINVAL


def check_failures(traced: Traced, fresh: Fresh, scenario: Scenario) -> None:
    """Fail each call of the workload in turn, with each errno that fits, and assert all that is promised then."""
    wrong = []
    for call in traced.calls(scenario.source, fresh(scenario)):
        if (scenario.tmp_dir is not None or scenario.big) and call.name in _LISTING:
            continue
        for error in errors(call):
            folder = fresh(scenario)
            outcome = traced.failing_at(call, error, scenario.source, folder)
            wrong += [
                f"{errno.errorcode[error]} at {call}: {each}" for each in _wrong(scenario, outcome, folder, call, error)
            ]
    assert not wrong, "\n".join(wrong)


def _wrong(scenario: Scenario, outcome: Outcome, folder: Path, call: Call, error: int) -> Iterator[str]:
    version = scenario.read(folder / "target")
    raised, left = outcome.raised, scenario.staged(folder)
    if outcome.leaked:
        yield f"left open: {outcome.leaked}"
    if version not in {scenario.before, "new"}:
        yield f"the destination says {version!r}"
    elif raised is None:
        if version != "new" or not outcome.said:
            yield "reported as done, and is not"
        if is_sync(call, outcome) and error != errno.EINTR:
            yield "a sync failed, and success was reported"
        if left and not _is_after_publication(call, outcome):
            yield f"left behind, though nothing of the removal failed: {left}"
    elif version == "new":
        if (
            raised.types[0] != "NotDurableError"
            or not is_sync(call, outcome)
            or not _is_after_publication(call, outcome)
        ):
            yield f"published, and raised {raised.types[0]} {raised.text}"
        elif raised.errno != error:
            yield f"raised errno {raised.errno}"
    else:
        if raised.types[0] == "NotDurableError":
            yield "NotDurableError, and nothing was published"
        if raised.errno != seen(call, error):
            yield f"raised {raised.types[0]}: {raised.text}"
        if raised.notes:
            yield f"notes: {raised.notes}"
        kept = [path for path in left if path.name.startswith("atomik-kept-")]
        if left != kept:
            yield f"left behind: {left}"
        for path in kept:
            if path.name not in raised.text or scenario.read_kept(path) != "new":
                yield f"kept {path}, and said {raised.text}"


def seen(call: Call, error: int) -> int:
    """The errno that reaches Python: glibc's renameat2 turns ENOSYS into EINVAL if it is given a flag."""
    return errno.EINVAL if (call.name, error) == ("renameat2", errno.ENOSYS) else error


def is_sync(call: Call, outcome: Outcome) -> bool:
    """Whether CALL makes something durable, or is the fstat that asks after an fsync whether it did."""
    if call.name in {"fsync", "syncfs"}:
        return True
    place = outcome.calls.index(call)
    before, made = outcome.calls[max(place - 1, 0)], outcome.calls[place]
    return (
        before.name == "fsync" and made.arguments.startswith(f'{before.arguments}, "", ') and made.name == "newfstatat"
    )


def _is_after_publication(call: Call, outcome: Outcome) -> bool:
    """Whether CALL came after the one that made the new version visible."""
    published = [
        place
        for place, each in enumerate(outcome.calls)
        if each.name in {"linkat", "renameat", "renameat2"} and each.result == "0" and '"target"' in each.arguments
    ]
    return bool(published) and outcome.calls.index(call) > published[-1]
