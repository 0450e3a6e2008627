"""The proofs: each has several processes do what would break a promise if it could be broken, and says what came of it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import atomik

from . import _tasks
from ._partners import GoneError, Partner

#: kept: it was tried, and held. refused: Atomik says beforehand that it cannot be done here. unknown: nobody can say here,
#: and Atomik acts so that nothing is lost. broken: it did not hold.
Verdict = Literal["kept", "refused", "unknown", "broken"]

#: How many names rivals fight for, and how long other proofs go on, in seconds.
_ROUNDS: Final = 40
_LONG: Final = 3.0

#: The levels of durability whose price is told.
_PRICED: Final[tuple[atomik.Sync, ...]] = ("full", "off")


class Proof(NamedTuple):
    """What came of one proof.

    Attributes:
        proof: what was tried, in a few words.
        verdict: what came of it.
        detail: what was seen, with numbers.
        seconds: how long it took.
    """

    proof: str
    verdict: Verdict
    detail: str
    seconds: float


def prove(scratch: Path, partners: list[Partner], able: atomik.Capabilities) -> Iterator[Proof]:
    """Make all proofs in the folder `scratch`, with two partners or more, one after the other."""
    pace = _pace(scratch)
    for shape in _tasks.SHAPES:
        yield _timed(f"one rival wins: {shape}", _rivals, scratch, partners, shape, pace)
    yield _timed("readers, while a file is replaced", _readers, scratch, partners, "file")
    if able.exchange:
        yield _timed("readers, while a folder is replaced", _readers, scratch, partners, "folder")
    else:
        yield _timed("a folder cannot be replaced", _refusal, scratch, able)
    yield _timed("publishers that are killed", _killed, scratch, partners)
    yield _timed("a cleaner beside slow publishers", _slow, scratch, partners)
    yield _timed("a cleaner beside busy publishers", _busy, scratch, partners)
    yield _timed("locks between processes", _locks, scratch, partners, able)
    yield _timed("the price of a full sync", _price, scratch)


def _timed(proof: str, make: Any, scratch: Path, *arguments: Any) -> Proof:
    start = time.monotonic()
    try:
        verdict, detail = make(scratch, *arguments)
    except _Failed as error:
        verdict, detail = "broken", str(error)
    except GoneError:
        raise
    except OSError as error:
        verdict, detail = "broken", _tasks.in_short(error)
    return Proof(proof, verdict, detail, round(time.monotonic() - start, 2))


class _Failed(Exception):  # noqa: N818 - what did not hold
    """A task has raised an error, which says what did not hold."""


def _results(*partners: Partner) -> list[Any]:
    """Wait for the results of all, so that none is left for the next proof; then say what has failed."""
    results = [partner.result() for partner in partners]
    for partner, result in zip(partners, results, strict=True):
        if isinstance(result, dict) and "error" in result:
            msg = f"{partner.name}: {result['error']}"
            raise _Failed(msg)
    return results


def _ask(partner: Partner, task: str, **arguments: Any) -> Any:
    partner.start(task, **arguments)
    return _results(partner)[0]


def _pace(scratch: Path) -> float:
    """How long it takes to publish a file here: rounds that are closer to each other would not be rounds."""
    taken = []
    for number in range(3):
        start = time.monotonic()
        _tasks.publish("folder", scratch / f"pace-{number}", "x")
        taken.append(time.monotonic() - start)
    return max(0.02, 2 * statistics.median(taken))


def _rivals(scratch: Path, partners: list[Partner], shape: str, pace: float) -> tuple[Verdict, str]:
    begin = time.monotonic() + 0.3
    rounds = min(_ROUNDS, max(10, int(8 / pace)))
    starts = [begin + pace * number for number in range(rounds)]
    for partner in partners:
        partner.start("rivals", shape=shape, starts=[start + partner.ahead for start in starts], who=partner.name)
    said = {partner.name: answers for partner, answers in zip(partners, _results(*partners), strict=True)}
    broken = 0
    errors: list[str] = []
    for number in range(rounds):
        answers = {name: answers[number] for name, answers in said.items()}
        winners = [name for name, answer in answers.items() if answer == "won"]
        errors += [answer for answer in answers.values() if answer not in {"won", "refused"}]
        there = None
        with suppress(OSError):
            there = _tasks.read(scratch / f"{shape}-{number}")
        broken += len(winners) != 1 or there != winners[0]
    won = ", ".join(f"{name} won {answers.count('won')}" for name, answers in said.items())
    if not broken and not errors:
        return "kept", f"{rounds} rounds: {won}"
    also = f"; {errors[0]}" if errors else ""
    return "broken", f"in {broken} of {rounds} rounds not exactly one won ({won}){also}"


def _readers(scratch: Path, partners: list[Partner], shape: str) -> tuple[Verdict, str]:
    name = f"read-{shape}"
    _tasks.publish(shape, scratch / name, "first")
    writer, *readers = partners
    for reader in readers:
        reader.start("read_for", name=name, seconds=_LONG)
    writer.start("publish_for", shape=shape, seconds=_LONG, overwrite=True, name=name)
    versions, *seen = _results(writer, *readers)
    whole, torn, absent = (sum(each[key] for each in seen) for key in ("whole", "torn", "absent"))
    detail = f"{versions} versions, {whole} whole ones read, {torn} torn, {absent} times none"
    return ("broken" if torn or absent else "kept"), detail


def _refusal(scratch: Path, able: atomik.Capabilities) -> tuple[Verdict, str]:
    _tasks.publish("folder", scratch / "replaced", "old")
    try:
        _tasks.publish("folder", scratch / "replaced", "new", overwrite=True)
    except atomik.UnsupportedFilesystemError:
        if _tasks.read(scratch / "replaced") == "old":
            return "refused", f"{able.filesystem} has no RENAME_EXCHANGE: refused before the block, and nothing is lost"
    return "broken", "it was neither replaced nor refused"


def _killed(scratch: Path, partners: list[Partner]) -> tuple[Verdict, str]:
    victim, cleaner = partners[0], partners[-1]
    names = [f"{shape}-killed-{mode}" for shape in ("file", "folder", "path") for mode in ("new", "over")]
    over = [name for name in names if name.endswith("over") and not name.startswith("folder")]
    for name in over:
        _tasks.publish(name.partition("-")[0], scratch / name, "old")
    for name in [name for name in names if name.endswith("new")] + over:
        _ask(victim, "die", name=name, overwrite=name in over)
        there = _tasks.read(scratch / name) if (scratch / name).exists() else None
        if there != ("old" if name in over else None):
            return "broken", f"{name.partition('-')[0]}: after the kill something else stood at the destination"
    left = len(atomik.leftovers(scratch))
    found = _ask(cleaner, "clean", force=False)
    if not found["left"]:
        return "kept", f"{len(names) - 1} were killed, left {left} entries, and `atomik clean` removed them"
    # A lock file that was there says so; without one, nobody knows.
    stuck = _ask(cleaner, "clean", force=True)
    if stuck["left"] or True in found["live"]:
        return "broken", f"`atomik clean --force` leaves {stuck['left']} of {left} entries"
    return "unknown", f"{found['left']} of {left} entries need `atomik clean --force`: locks may stay on one host here"


def _slow(scratch: Path, partners: list[Partner]) -> tuple[Verdict, str]:
    publisher, cleaner = partners[0], partners[-1]
    names = ["file-slow", "folder-slow", "path-slow"]
    _ask(publisher, "open", names=names)
    found = _ask(cleaner, "clean", force=False)
    _ask(publisher, "finish")
    bad = [name for name in names if _tasks.read(scratch / name) != name]
    if bad or found["removed"]:
        return "broken", f"{found['removed']} entries were removed while they were in use"
    return "kept", f"{len(names)} publications were open while another process cleaned, and were published"


def _busy(_scratch: Path, partners: list[Partner]) -> tuple[Verdict, str]:
    publishers, cleaner = partners[:-1], partners[-1]
    shapes = ("file", "folder", "path")
    cleaner.start("clean_for", seconds=_LONG)
    for number, publisher in enumerate(publishers):
        shape = shapes[number % len(shapes)]
        publisher.start("publish_for", shape=shape, seconds=_LONG, overwrite=False, name=f"busy-{publisher.name}")
    results = [partner.result() for partner in (*publishers, cleaner)]
    errors = [result["error"] for result in results if isinstance(result, dict) and "error" in result]
    if errors:
        return "broken", errors[0]
    *published, cleaned = results
    if -1 in published:
        return "broken", "what was published was not there"
    # A staging folder that is not locked yet may be taken for a leftover: its publisher begins again.
    return "kept", f"{sum(published)} publications beside {cleaned['calls']} calls of clean"


def _locks(scratch: Path, partners: list[Partner], able: atomik.Capabilities) -> tuple[Verdict, str]:
    holder, other = partners[0], partners[-1]
    (scratch / "lock-file").touch()
    (scratch / "lock-folder").mkdir()
    seen = {}
    for name in ("lock-file", "lock-folder"):
        try:
            _ask(holder, "lock", name=name)
            seen[name] = not _ask(other, "try_lock", name=name)
        except _Failed:
            seen[name] = False
        finally:
            _ask(holder, "unlock")
    detail = "; ".join(f"a {name[5:]}'s is {'seen' if there else 'not seen'}" for name, there in seen.items())
    needed = {"exact": ["lock-file", "lock-folder"], "files": ["lock-file"]}.get(able.locks)
    if needed is None:
        return "unknown", f"{detail}; Atomik does not build on them here (locks: {able.locks})"
    return ("kept" if all(seen[name] for name in needed) else "broken"), f"{detail} (locks: {able.locks})"


def _price(scratch: Path) -> tuple[Verdict, str]:
    medians: dict[str, float] = {}
    for level in _PRICED:
        taken: list[float] = []
        while len(taken) < 7 and sum(taken) < 2:
            start = time.perf_counter()
            with atomik.file(scratch / f"price-{level}-{len(taken)}", "wb", sync=level) as file:
                file.write(os.urandom(4096))
            taken.append(time.perf_counter() - start)
        medians[level] = statistics.median(taken) * 1000
    return "kept", f"{medians['full']:.1f} ms for a file of 4 KiB, {medians['off']:.1f} ms with --sync off"
