"""The factory's part of a test session: where its builds are, in every process; what is removed and told at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import _stash
from ._builds import prune
from ._changes import Changes
from ._factory import AtomicTmpFactory
from ._places import Places, places_here
from ._run import Run, events


@contextmanager
def open_factory(request: pytest.FixtureRequest) -> Iterator[AtomicTmpFactory]:
    """Yield the factory of this process; afterwards others may remove what it has used."""
    config = request.config
    places = config.stash[_stash.places] = places_here(request)
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    run = Run(config, worker, places)
    changes = Changes(run)
    factory = AtomicTmpFactory(config, run, changes)
    config.pluginmanager.register(changes)
    try:
        yield factory
    finally:
        config.pluginmanager.unregister(changes)
        factory._close()
        changes.close()


def finish_session(config: pytest.Config, places: Places) -> list[str]:
    """Remove what need not be kept for the next run; return the lines of the summary."""
    noted = list(events(places.run))
    lines = _summary(noted)
    if places.kept is not None:
        used = {Path(event["folder"]) for event in noted}
        removed: dict[str, int] = {}
        for build in prune(places.kept, config.stash[_stash.keep_builds], used):
            removed[build.name] = removed.get(build.name, 0) + 1
        lines += [f"{name}: {count} older removed from the cache" for name, count in removed.items()]
    return lines


def _summary(noted: list[dict[str, Any]]) -> list[str]:
    """Say of each build who built it, in how long, and who used it."""
    lines = []
    for folder in dict.fromkeys(event["folder"] for event in noted):
        here = [event for event in noted if event["folder"] == folder]
        name = here[0]["name"]
        lines += [
            f"{name}: failed in {event['worker']}: {event['error']}" for event in here if event["event"] == "failed"
        ]
        lines += [f"{name}: {who} was killed while it built" for who in _killed(here)]
        lines += [
            f"{name}: was changed by a test in {event['worker']}" for event in here if event["event"] == "changed"
        ]
        there = [event for event in here if event["event"] in {"built", "reused"}]
        if not there:
            continue
        built = next((event for event in there if event["event"] == "built"), None)
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(there[0]["began"]))
        origin = f"built by {built['worker']}" if built else f"built by another run at {began}"
        reused = sorted({event["worker"] for event in there if event["event"] == "reused"})
        use = f", reused by {', '.join(reused)}" if reused else ""
        lines.append(f"{name}: {origin} in {there[0]['seconds']:.2f} s{use}")
    return lines


def _killed(here: list[dict[str, Any]]) -> list[str]:
    """Name the processes that have begun to build, and neither ended nor failed."""
    begun = [f"{event['worker']} (pid {event['pid']})" for event in here if event["event"] == "begun"]
    for event in here:
        who = f"{event['worker']} (pid {event['pid']})"
        if event["event"] in {"built", "failed", "ended"} and who in begun:
            begun.remove(who)
    return begun
