"""What the abilities of a filesystem mean, and what they mean for each of Atomik's promises, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import atomik

from . import _format
from ._measurements import Measurements

_IN_MEMORY: Final = {"tmpfs", "ramfs"}

_LOCKS: Final = {
    "exact": "whatever is alive is known: `atomik clean` and atomik.snapshot are safe",
    "files": "by a lock file in what is staged `atomik clean` knows what is alive; no atomik.snapshot of a folder",
    "unknown": "perhaps on one host only: `atomik clean` removes only with --force; no atomik.snapshot of a folder",
    "none": "`atomik clean` removes only with --force; no atomik.snapshot of a folder",
}


class Ability(NamedTuple):
    """What a filesystem can do: its name here, the answer, what that means; `good` if nothing better is to be had."""

    name: str
    answer: str
    good: bool
    meaning: str


class Promise(NamedTuple):
    """One of Atomik's promises on a filesystem: whether everything it covers can be done there, and what cannot."""

    promise: str
    kept: bool
    meaning: str


def abilities(able: atomik.Capabilities, measured: Measurements) -> Iterator[Ability]:
    """Say what each answer means."""
    yield _ability(
        "noreplace",
        able.noreplace,
        "what is published as new never takes the place of a rival's",
        "new files are published by link(2), new folders by a look and a rename"
        if measured.links
        else "a new file cannot be published without --overwrite",
    )
    yield _ability(
        "exchange",
        able.exchange,
        "folders are replaced in one instant",
        "folders that are not empty are not replaced, groups replace nothing, --backup and `atomik exchange` fail",
    )
    yield _ability(
        "unnamed staging",
        able.unnamed,
        "a file that is being written when its process is killed leaves nothing",
        "a file that is being written when its process is killed leaves something for `atomik clean`",
    )
    yield Ability("locks", able.locks, able.locks == "exact", _LOCKS[able.locks])
    yield _ability("reflinks", able.reflink, "a copy shares its blocks with the original", "a copy takes time and room")
    yield _ability("syncfs", able.syncfs, "a folder is synced by one call", "each file of a folder is synced by itself")
    yield _ability(
        "fsync of folders",
        measured.directory_fsync,
        "a new name survives a power cut",
        "a new name may be gone after a power cut: --sync=full is refused",
    )
    yield Ability(
        "cost of an fsync",
        _format.duration(measured.fsync_seconds),
        True,
        "a small file takes about twice that with --sync=full; with --sync=off nothing",
    )


def promises(able: atomik.Capabilities, measured: Measurements) -> Iterator[Promise]:
    """Say of each promise whether everything that it covers can be done, and what is refused instead."""
    yield Promise(
        "Nothing half-written",
        able.exchange,
        "for files and folders, new and replaced"
        if able.exchange
        else "for files and new folders; replacing a folder is refused",
    )
    yield Promise(
        "Nothing overwritten unasked",
        able.noreplace or measured.links,
        "of N rivals exactly one wins"
        if able.noreplace or measured.links
        else "a new file is refused unless --overwrite accepts that it may replace a rival's",
    )
    yield _durability(able, measured)
    yield Promise("Never silently weaker", True, "what cannot be kept is refused, if possible before the work begins")
    known = able.locks in {"exact", "files"}
    what = "nothing by a killed write; the rest" if able.unnamed else "what killed processes leave"
    how = "is found and removed by `atomik clean`" if known else "takes `atomik clean --force`"
    yield Promise("Nothing left behind", known, f"{what} {how}")


def _durability(able: atomik.Capabilities, measured: Measurements) -> Promise:
    promise = "Nothing acknowledged is lost"
    if able.filesystem in _IN_MEMORY:
        return Promise(promise, False, f"{able.filesystem} is in memory: a power cut takes all of it")
    if not measured.directory_fsync:
        return Promise(promise, False, "--sync=full is refused; --sync=normal is to be had")
    return Promise(promise, True, "with --sync=full, the default")


def _ability(name: str, answer: bool, yes: str, no: str) -> Ability:
    return Ability(name, "yes" if answer else "no", answer, yes if answer else no)
