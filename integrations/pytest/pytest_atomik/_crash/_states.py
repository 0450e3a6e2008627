"""The states of a directory that a crash could leave, by the log of a run.

Three readings of the log, each from its beginning to its end, so that what differs between a state and the next is little:

=============  ========================================================================================================
killed         everything is as the kernel had it before the call
contents lost  a power cut: the names are, too; but a file has the content of its last sync, and none if it was made or
               emptied since then
rolled back    a power cut: names and contents are what was last made durable. A name is by a sync of its folder or of the
               file itself; a rename is one change of two folders, and the sync of either covers it
=============  ========================================================================================================

A state is shown when it is not the one before it of its reading, nor what an earlier reading has shown at this point. At
the end of the function all are shown: there a test may require the new version.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ._log import Appeared, Attributes, Changed, Edited, Event, Inode, Name, Names, Point, Renamed, Synced
from ._recorder import END


class Loss(enum.Enum):
    """What of the function's work a crash takes away."""

    NOTHING = ""
    CONTENTS = "contents"
    NAMES = "names and contents"


@dataclass
class Layer:
    """What there is at one moment.

    Attributes:
        names: what each name means.
        versions: the version of each file's content.
        attributes: those of each file.
    """

    names: dict[Name, Inode] = field(default_factory=dict)
    versions: dict[Inode, int] = field(default_factory=dict)
    attributes: dict[Inode, Attributes] = field(default_factory=dict)


@dataclass
class State:
    """What a crash leaves, and what of that is not as in the state before.

    Attributes:
        point: the moment of the crash.
        layer: what there is. It changes when the next state is asked for.
        names: the names that may differ.
        inodes: the files that may differ.
    """

    point: Point
    layer: Layer
    names: set[Name]
    inodes: set[Inode]


class _Waiting:
    """Changes of names that are not on the disk, and what makes them durable."""

    def __init__(self) -> None:
        self._changes: dict[int, Names] = {}
        self._by_inode: dict[Inode, dict[int, None]] = {}
        self._by_name: dict[Name, dict[int, None]] = {}
        self._count = 0

    def add(self, names: Names) -> None:
        self._count += 1
        self._changes[self._count] = names
        for inode in {*(folder for folder, _ in names), *filter(None, names.values())}:
            self._by_inode.setdefault(inode, {})[self._count] = None
        for name in names:
            self._by_name.setdefault(name, {})[self._count] = None

    def take(self, inode: Inode | None) -> Iterator[Names]:
        """Yield, in order, what the sync of a file or folder (of everything, for None) makes durable."""
        numbers = list(self._changes) if inode is None else list(self._by_inode.get(inode, ()))
        for number in numbers:
            yield from self._take(number)

    def _take(self, number: int) -> Iterator[Names]:
        names = self._changes.get(number)
        if names is None:
            return
        # The earlier ones of the same names cannot come after it.
        for name in names:
            for earlier in [each for each in self._by_name[name] if each < number]:
                yield from self._take(earlier)
        del self._changes[number]
        for inode in {*(folder for folder, _ in names), *filter(None, names.values())}:
            self._by_inode[inode].pop(number, None)
        for name in names:
            self._by_name[name].pop(number, None)
        yield names


class _Reading:
    """Goes through the log once, and knows what there is for the programs, and what there is on the disk."""

    def __init__(self) -> None:
        self.now = Layer()
        self.lost: dict[Inode, int] = {}
        self.disk = Layer()
        self.waiting = _Waiting()
        # Where programs and disk are not of one mind.
        self.other_names: set[Name] = set()
        self.links: dict[Inode, int] = {}
        self.disk_links: dict[Inode, int] = {}
        self.other_content: set[Inode] = set()
        self.other_disk_content: set[Inode] = set()

    def rename(self, layer: Layer, links: dict[Inode, int], names: Names) -> None:
        for name, inode in names.items():
            before = layer.names.pop(name, None)
            if before is not None:
                links[before] -= 1
            if inode is not None:
                layer.names[name] = inode
                links[inode] = links.get(inode, 0) + 1
            if self.now.names.get(name) is self.disk.names.get(name):
                self.other_names.discard(name)
            else:
                self.other_names.add(name)

    def compare(self, inode: Inode) -> None:
        now = self.now.versions[inode]
        for others, there in ((self.other_content, self.lost), (self.other_disk_content, self.disk.versions)):
            if there[inode] == now:
                others.discard(inode)
            else:
                others.add(inode)

    def differs(self, loss: Loss) -> bool:
        """Whether the state at this moment is none of an earlier reading."""
        if loss is Loss.NOTHING:
            return True
        is_lost = any(self.links.get(inode) for inode in self.other_content)
        if loss is Loss.CONTENTS:
            return is_lost
        if self.other_names:
            return True
        is_older = any(self.disk_links.get(inode) for inode in self.other_disk_content)
        return is_older and any(
            self.disk.versions[inode] != self.lost[inode] for inode in self.other_disk_content if self.links.get(inode)
        )


def states(log: Sequence[Event], start: int, loss: Loss) -> Iterator[State]:
    """Yield the states of one reading.

    Args:
        log: the log. What is there at `start` is on the disk.
        start: where in it the run begins.
        loss: which reading.
    """
    reading = _Reading()
    now, disk = reading.now, reading.disk
    layer = {
        Loss.NOTHING: now,
        Loss.CONTENTS: Layer(now.names, reading.lost, now.attributes),
        Loss.NAMES: Layer(disk.names, disk.versions, now.attributes),
    }[loss]
    names: set[Name] = set()
    inodes: set[Inode] = set()
    is_changed = True
    for event in (*log[:start], Synced(None), *log[start:]):
        match event:
            case Appeared(inode):
                now.versions[inode] = reading.lost[inode] = disk.versions[inode] = 0
                now.attributes[inode] = inode.first
                inodes.add(inode)
            case Renamed(changes):
                reading.rename(now, reading.links, changes)
                reading.waiting.add(changes)
                if loss is not Loss.NAMES:
                    names |= changes.keys()
                    is_changed = True
            case Edited(inode, version):
                now.versions[inode] = version
                if inode.edits[version - 1].new_size == 0:
                    reading.lost[inode] = version
                    is_changed |= loss is Loss.CONTENTS
                reading.compare(inode)
                inodes.add(inode)
                is_changed |= loss is Loss.NOTHING
            case Changed(inode, attributes):
                is_changed |= attributes._replace(modified=0) != now.attributes[inode]._replace(modified=0)
                now.attributes[inode] = attributes
                inodes.add(inode)
            case Synced(target):
                for inode in list(reading.other_disk_content | reading.other_content) if target is None else [target]:
                    if target is None or disk.versions[inode] != now.versions[inode]:
                        is_changed |= loss is not Loss.NOTHING
                    disk.versions[inode] = reading.lost[inode] = now.versions[inode]
                    reading.compare(inode)
                    inodes.add(inode)
                for changes in reading.waiting.take(target):
                    reading.rename(disk, reading.disk_links, changes)
                    if loss is Loss.NAMES:
                        names |= changes.keys()
                        is_changed = True
            case Point(step=step):
                if (is_changed or step == END) and reading.differs(loss):
                    yield State(event, layer, names, inodes)
                    names, inodes = set(), set()
                is_changed = False


def layer_after(log: Sequence[Event]) -> Layer:
    """Return what a part of the log has come to."""
    last = Layer()
    for state in states([*log, Point(END, "")], 0, Loss.NOTHING):
        last = state.layer
    return last
