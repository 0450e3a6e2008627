"""The supervisor: it runs the function in a child, is asked before each call that can change a file, and writes the log."""

from __future__ import annotations

import _socket
import array
import contextlib
import ctypes
import errno
import fcntl
import json
import posix
import re
import stat
import struct
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from select import POLLIN, poll
from typing import Final

from . import _process
from ._calls import AT_FDCWD, CWD, Call, Does, Machine
from ._child import Ending, run_in_child
from ._filter import Unavailable, machine
from ._log import (
    Appeared,
    Changed,
    Edit,
    Edited,
    Event,
    Inode,
    Name,
    Names,
    Point,
    Renamed,
    Span,
    Store,
    Synced,
    attributes_of,
    clone,
    copy_range,
    extended_of,
    open_to_read,
    opened_up,
    stamp_of,
)

#: What comes after the last call of the function.
END: Final = "the end"

#: How a file is told that has no name as yet (O_TMPFILE).
_UNNAMED: Final = "an unnamed file"

_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE: Final = 1

_FICLONE, _FICLONERANGE = 0x40049409, 0x4020940D
_COLLAPSE_OR_INSERT: Final = 0x8 | 0x20
_RWF_DSYNC_OR_SYNC, _RWF_APPEND = 0x2 | 0x4, 0x10
_AT_SYMLINK_NOFOLLOW, _AT_REMOVEDIR, _RENAME_EXCHANGE = 0x100, 0x200, 2
_O_TMPFILE: Final = 0o20000000

#: A call whose arguments lead to these errors here does so for itself, too, or its process is gone.
_FAILS_ANYWAY: Final = {
    errno.EFAULT, errno.EBADF, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESRCH, errno.EIO,
}  # fmt: skip

#: Everything from an offset on.
_ALL: Final = 1 << 62
#: Files up to this length are copied before the function runs; larger ones share their content with the copy, or are
#: kept under a second name where the filesystem cannot share.
_COPIED: Final = 4 << 20
#: Changes up to this length are compared with what was there before, since they may be none.
_COMPARED: Final = 1 << 20
#: A longer write may be cut in two by a kill.
_TORN: Final = 4096
#: Larger files are not looked at for changes through a mapping.
_MAPPED: Final = 256 << 20


@dataclass
class _Job:
    """A call that was let go, and what it is about.

    Attributes:
        thread: the one that has made it.
        creates: whether a name that is new after it is a new file.
        names: its names: the folder, opened; the folder; what it is called there.
        file: the file that it changes, opened, and the file.
        region: the part of it: offset and length.
        old: what was there before.
        old_size: how long the file was.
        new_size: how long it will be, if nothing but its length changes.
        reads_extended: whether extended attributes may be others after it.
        sync: the file or folder that is durable after it; it may be `file`.
        syncs_all: everything is.
        whole: whether it was looked at before it was known to be over.
    """

    thread: int
    creates: bool = False
    names: list[tuple[int, Inode, str]] = field(default_factory=list)
    file: tuple[int, Inode] | None = None
    region: tuple[int, int] | None = None
    old: Span | None = None
    old_size: int = 0
    new_size: int | None = None
    reads_extended: bool = False
    sync: Inode | None = None
    syncs_all: bool = False

    def close(self) -> None:
        for fd, _, _ in self.names:
            posix.close(fd)
        if self.file is not None:
            posix.close(self.file[0])


@dataclass
class _Mapping:
    """A file that is changed without calls."""

    fd: int
    inode: Inode
    content: bytes


class Recorder:
    """Writes the log of one run.

    Attributes:
        log: what has happened. Before `start` it says what was there at the beginning.
        start: where in the log the run begins.
        root: the directory.
        notes: what has to be said of the run: what was not, or could not be, seen.
        ending: how the function has ended; None if its process has ended before it.
        status: of its process, then.
        timed_out: whether it was ended for having taken too long.
        names: what is where at the end.
    """

    def __init__(self, top: str, folder: str, store: Store) -> None:
        """Look at a directory, and put aside what it holds.

        Args:
            top: the directory, without links in its path.
            folder: where to put files aside: on the same filesystem.
            store: where to put bytes aside.
        """
        self.log: list[Event] = []
        self.notes: list[str] = []
        self.ending: Ending | None = None
        self.status = 0
        self.timed_out = False
        self.names: dict[Name, Inode] = {}
        self._top = top
        self._folder = folder
        self._store = store
        self._known: dict[tuple[int, int], Inode] = {}
        self._links: dict[Inode, int] = {}
        self._linked: set[Inode] = set()
        self._synced_elsewhere: set[tuple[int, int]] = set()
        self._jobs: list[_Job] = []
        self._mappings: dict[Inode, _Mapping] = {}
        self._asked: dict[int, tuple[tuple[int, ...], Point]] = {}
        self._processes: dict[int, bytes] = {}
        self._backups = 0
        self._unnamed: dict[Inode, list[Point]] = {}
        self.root = self._learn(top, posix.lstat(top), is_beginning=True)
        self.start = len(self.log)

    # The run.

    def run(self, func: Callable[[], object], timeout: float, output: int, reached: Callable[[], list[int]]) -> None:
        """Run the function in a child.

        Args:
            func: the function.
            timeout: in seconds, after which it is ended.
            output: a file for what it prints.
            reached: says in the child which faults of the test have come about.

        Raises:
            Unavailable: the calls of a function cannot be stopped here. It has not been run.
        """
        target = machine()
        ours, theirs = _socket.socketpair()
        trace = posix.open(
            f"{self._folder}/trace", posix.O_RDWR | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC, 0o600
        )
        try:
            supervisor = posix.getpid()
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            with warnings.catch_warnings():
                # Python 3.12 warns where there are threads, as there are in each worker of xdist.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = posix.fork()
            if not child:
                run_in_child(target, func, theirs, trace, output, supervisor, reached)
            theirs.close()
            self._supervise(target, child, ours, trace, timeout)
        finally:
            ours.close()
            theirs.close()
            posix.close(trace)
        self._settle_all(None)
        for mapping in self._mappings.values():
            posix.close(mapping.fd)
        self._find_unseen()
        self.log.append(Point(END, self._last_path()))

    def _supervise(self, target: Machine, child: int, ours: _socket.socket, trace: int, timeout: float) -> None:
        """Answer for the calls of the child until its function has ended; end all its processes."""
        handle = posix.pidfd_open(child)
        listener = -1
        try:
            word, ancillary, _, _ = ours.recvmsg(500, 64)
            if not ancillary:
                raise Unavailable(word.decode() or "the forked child has died")
            (listener,) = array.array("i", ancillary[0][2])
            waiting = poll()
            for fd in (listener, handle, ours.fileno()):
                waiting.register(fd, POLLIN)
            deadline = posix.times().elapsed + timeout
            while True:
                events = dict(waiting.poll(max(0.0, deadline - posix.times().elapsed) * 1000))
                if events.get(listener, 0) & POLLIN:
                    self._answer(target, listener, trace)
                elif ours.fileno() in events:
                    if told := ours.recv(1 << 16):
                        self.ending = Ending(**json.loads(told))
                    else:
                        waiting.unregister(ours.fileno())
                        continue
                    break
                elif handle in events:
                    break
                elif posix.times().elapsed >= deadline:
                    self.timed_out = True
                    break
        finally:
            self._end_processes(child)
            posix.close(handle)
            if listener >= 0:
                posix.close(listener)  # what has escaped gets ENOSYS from now on
            _, status = posix.waitpid(child, 0)
            self.status = -posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)

    def _end_processes(self, child: int) -> None:
        """End whatever the function has started, and then its own process, which stays a zombie."""
        left = {child}
        while left:
            found: set[int] = set()
            for parent in left:
                found.update(pid for pid in _process.children_of(parent) if _process.state_of(pid) not in {b"Z", b""})
            for pid in found:
                _process.kill(pid)
            left = found | ({child} if found else set())
        with contextlib.suppress(ProcessLookupError, PermissionError):
            posix.killpg(child, 9)
        _process.kill(child)
        for pid, birth in self._processes.items():
            if pid != child and birth and _process.birth_of(pid) == birth:
                _process.kill(pid)

    def _answer(self, target: Machine, listener: int, trace: int) -> None:
        """Deal with a stopped call; one that was interrupted for a traceback comes again."""
        buffer = bytearray(80)
        try:
            fcntl.ioctl(listener, _RECEIVE, buffer)
        except OSError:  # killed or interrupted in the meantime
            return
        identity, thread, _, number, _, instruction, *args = struct.unpack("QIIiIQ6Q", buffer)
        call = target.calls[number]
        this = (number, instruction, *args)
        error = 0
        asked, point = self._asked.pop(thread, (None, None))
        if call.does is Does.REFUSED:
            self.notes.append(f"{call.name} was refused (ENOSYS): what is written through it could not be seen")
            error = -errno.ENOSYS
        elif asked == this and point is not None:
            point.frames = read_frames(trace)
        else:
            self._settle_all(thread)
            job, point = self._try_to_look(thread, call, args)
            try:
                fcntl.ioctl(listener, _IS_VALID, struct.pack("Q", identity))
            except OSError:  # dead, and its number perhaps another's
                if job is not None:
                    job.close()
                return
            if job is not None:
                self._jobs.append(job)
                if point is not None and point.path == _UNNAMED and job.file is not None:
                    self._unnamed.setdefault(job.file[1], []).append(point)
            if point is not None:
                self._processes.setdefault(pid := _process.process_of(thread), _process.birth_of(pid))
                self.log.append(point)
                if _process.ask_for_traceback(target, thread):
                    self._asked[thread] = this, point
                    return
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, _SEND, struct.pack("QqiI", identity, 0, error, 0 if error else _CONTINUE))

    # What a call is about.

    def _try_to_look(self, thread: int, call: Call, args: list[int]) -> tuple[_Job | None, Point | None]:
        """Look at a call; say so if that is not possible."""
        try:
            return self._look(thread, call, args)
        except OSError as why:
            if why.errno not in _FAILS_ANYWAY:
                self.notes.append(
                    f"a call ({call.name}) of process {thread} could not be looked at, and is not seen: {why}"
                )
            return None, None

    def _look(self, thread: int, call: Call, args: list[int]) -> tuple[_Job | None, Point | None]:
        """Return what a call will do to this directory, and the point before it; None where it is no business of ours."""
        job = _Job(thread)
        try:
            point = self._look_at(job, thread, call, args)
        except BaseException:
            job.close()
            raise
        if job.names or job.file or job.sync or job.syncs_all:
            return job, point
        job.close()
        return None, None

    def _look_at(self, job: _Job, thread: int, call: Call, args: list[int]) -> Point | None:
        match call.does:
            case Does.OPEN:
                return self._look_at_open(job, thread, call, args)
            case Does.NAMES:
                return self._look_at_names(job, thread, call, args)
            case Does.SYNC_ALL:
                job.syncs_all = True
                return Point("sync memory", "") if call.name == "msync" and self._mappings else None
            case Does.SYNC:
                self._look_at_sync(job, thread, args[0])
                return None
        found = self._file(thread, call, args)
        if found is None:
            return None
        path, key, inode, told = found
        if call.does in {Does.ATTRIBUTES, Does.TIMES}:
            job.file = posix.open(path, posix.O_PATH | posix.O_CLOEXEC), inode
            job.reads_extended = "xattr" in call.name
            if job.reads_extended and inode.attributes.extended is None:
                inode.attributes = inode.attributes._replace(extended=(extended := _extended(job.file[0])))
                if inode.first.extended is None:
                    inode.first = inode.first._replace(extended=extended)
            return Point(f"{call.verb} {told}", told) if call.does is Does.ATTRIBUTES else None
        if not inode.is_file:
            return None
        self._synced_elsewhere.discard(key)
        if call.does is Does.MAP:
            self._map(path, inode, told)
            return None
        if call.does is Does.RESIZE:
            self._will_resize(job, path, inode, args[1])
            return Point(f"resize {told}", told)
        region = self._region(thread, call, args, job, inode)
        if region is None:
            return None
        job.file = fd, _ = open_to_read(path), inode
        self._check_unseen(fd, inode, told)
        offset, length = job.region = region
        job.old_size = posix.fstat(fd).st_size
        if offset < job.old_size:
            job.old = self._store.read_from(fd, offset, min(length, job.old_size - offset))
        return Point(f"{call.verb} {told}", told)

    def _look_at_open(self, job: _Job, thread: int, call: Call, args: list[int]) -> Point | None:
        """Look at a call that may create a file, or empty one."""
        if call.name == "creat":
            flags = posix.O_CREAT | posix.O_TRUNC
        elif call.name == "openat2":
            (flags,) = struct.unpack("=Q", _process.read_memory(thread, args[2], 8))
        else:
            flags = args[call.names[0][1] + 1]
        if flags & _O_TMPFILE or not flags & (posix.O_CREAT | posix.O_TRUNC):
            return None
        directory, argument = call.names[0]
        path = self._path(thread, args, directory, argument)
        if path is None:
            return None
        if not flags & (posix.O_EXCL | posix.O_NOFOLLOW):
            path = _followed(path)
        status = _lstat(path)
        if status is None and flags & posix.O_CREAT:
            if (name := self._name(path)) is None:
                return None
            job.names, job.creates = [name], True
            return Point(f"create {(told := self._told(*name))}", told)
        if status is None or not flags & posix.O_TRUNC or (flags & posix.O_EXCL and flags & posix.O_CREAT):
            return None
        inode = self._known.get((status.st_dev, status.st_ino))
        if inode is None or not inode.is_file:
            return None
        told = self._relative(path)
        self._will_resize(job, path, inode, 0)
        return Point(f"empty {told}", told)

    def _look_at_names(self, job: _Job, thread: int, call: Call, args: list[int]) -> Point | None:
        """Look at a call that makes, moves or removes names."""
        told = []
        for directory, argument in call.names:
            path = self._path(thread, args, directory, argument)
            name = None if path is None else self._name(path)
            if name is not None:
                job.names.append(name)
                told.append(self._told(*name))
            elif path is not None:
                told.append(self._relative(path))
        if not job.names:
            return None
        job.creates = call.verb in {"create", "make folder", "make link"}
        verb, arrow = call.verb, "->"
        if call.name == "renameat2" and args[4] & _RENAME_EXCHANGE:
            verb, arrow = "exchange", "<->"
        elif call.name == "unlinkat" and args[2] & _AT_REMOVEDIR:
            verb = "remove folder"
        return Point(f"{verb} {f' {arrow} '.join(told)}", self._told(*job.names[-1]))

    def _look_at_sync(self, job: _Job, thread: int, number: int) -> None:
        """Look at a call that makes a file or folder durable."""
        path = f"/proc/{thread}/fd/{number & 0xFFFFFFFF}"
        status = posix.stat(path)
        job.sync = self._inode(path, status)
        if job.sync is None:
            self._synced_elsewhere.add((status.st_dev, status.st_ino))

    def _file(self, thread: int, call: Call, args: list[int]) -> tuple[str, tuple[int, int], Inode, str] | None:
        """Return a way to the file that a call changes, its number, the file, and how it is told; None if it is not ours."""
        if call.names and args[call.names[0][1]]:
            found = self._path(thread, args, *call.names[0])
            if found is None:
                return None
            flags = args[4] if call.name == "fchownat" else args[3] if call.name in {"fchmodat2", "utimensat"} else 0
            path = _followed(found) if call.follows and not flags & _AT_SYMLINK_NOFOLLOW else found
            status = _lstat(path)
        elif call.file is not None:
            path = f"/proc/{thread}/fd/{args[call.file] & 0xFFFFFFFF}"
            status = _stat(path)
        else:
            return None
        if status is None:
            return None
        inode = self._inode(path, status)
        if inode is None:
            if call.does in {Does.WRITE, Does.RESIZE, Does.MAP}:
                self._synced_elsewhere.discard((status.st_dev, status.st_ino))
            return None
        return path, (status.st_dev, status.st_ino), inode, self._relative(path)

    def _inode(self, path: str, status: posix.stat_result) -> Inode | None:
        """Return what we know a file as; one that has no name yet (O_TMPFILE) is taken up."""
        inode = self._known.get((status.st_dev, status.st_ino))
        if not stat.S_ISREG(status.st_mode) or status.st_nlink or not path.startswith("/proc/"):
            return inode
        # The number may be that of a file that is gone: that one had a name, or looked different.
        is_same = (
            inode is not None
            and inode not in self._linked
            and (stamp_of(status) == inode.stamp or inode in self._mappings or self._is_at_work(inode))
        )
        shown = posix.readlink(path)
        if not is_same and shown.startswith(f"{self._top}/") and shown.endswith(f"/#{status.st_ino} (deleted)"):
            return self._learn(path, status)
        return inode

    def _is_at_work(self, inode: Inode) -> bool:
        """Return whether a call is changing a file."""
        return any(job.file is not None and job.file[1] is inode for job in self._jobs)

    def _region(self, thread: int, call: Call, args: list[int], job: _Job, inode: Inode) -> tuple[int, int] | None:
        """Return which part of a file a call changes: where, and how many bytes at most."""
        number = args[call.file or 0] & 0xFFFFFFFF
        position, flags = _process.descriptor(thread, number)
        if flags & posix.O_DSYNC:
            job.sync = inode
        match call.name:
            case "write":
                region = position, args[2]
            case "writev":
                region = position, _process.read_lengths(thread, args[1], args[2])
            case "pwrite64":
                region = args[3], args[2]
            case "pwritev" | "pwritev2":
                offset = args[3]
                if call.name == "pwritev2":
                    if offset == (1 << 64) - 1:
                        offset = position
                    if args[5] & _RWF_APPEND:
                        flags |= posix.O_APPEND
                    if args[5] & _RWF_DSYNC_OR_SYNC:
                        job.sync = inode
                region = offset, _process.read_lengths(thread, args[1], args[2])
            case "sendfile":
                region = position, args[3]
            case "splice" | "copy_file_range":
                if args[3]:
                    (position,) = struct.unpack("=q", _process.read_memory(thread, args[3], 8))
                region = position, args[4]
            case "fallocate":
                return args[2], _ALL if args[1] & _COLLAPSE_OR_INSERT else args[3]
            case _:
                command = args[1] & 0xFFFFFFFF
                if command == _FICLONE:
                    return 0, _ALL
                if command != _FICLONERANGE:
                    return None
                _, _, length, offset = struct.unpack("=qQQQ", _process.read_memory(thread, args[2], 32))
                return offset, length or _ALL
        return (inode.size if flags & posix.O_APPEND else region[0]), region[1]

    def _will_resize(self, job: _Job, path: str, inode: Inode, size: int) -> None:
        """Look at a file whose length, and nothing else, is to be changed."""
        job.file = fd, _ = open_to_read(path), inode
        self._check_unseen(fd, inode, path)
        job.old_size, job.new_size = posix.fstat(fd).st_size, size
        if size < job.old_size:
            job.old = self._store.read_from(fd, size, job.old_size - size)

    def _map(self, path: str, inode: Inode, told: str) -> None:
        """Look from now on, at each stop, whether a file has changed."""
        self.notes.append(
            f"{told} is written through mmap: what is changed that way is seen at the next call, not before"
        )
        if inode in self._mappings:
            return
        fd = open_to_read(path)
        self._mappings[inode] = _Mapping(fd, inode, _content(fd))

    def _path(self, thread: int, args: list[int], directory: int, argument: int) -> str | None:
        """Return the path of a call's name, as it is to be taken here."""
        text = _process.read_string(thread, args[argument]).decode(errors="surrogateescape")
        if not text:
            return None
        if text.startswith("/"):
            text = re.sub(r"^/proc/(thread-)?self(?=/)", f"/proc/{thread}", text)
        else:
            number = AT_FDCWD if directory == CWD else ctypes.c_int(args[directory] & 0xFFFFFFFF).value
            text = f"/proc/{thread}/{'cwd' if number == AT_FDCWD else f'fd/{number}'}/{text}"
        return text.rstrip("/") or "/"

    def _name(self, path: str) -> tuple[int, Inode, str] | None:
        """Return the folder of a path, opened, and the name in it, if the folder is one of ours."""
        parent, _, name = path.rpartition("/")
        try:
            fd = posix.open(parent or "/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except OSError:
            return None
        status = posix.fstat(fd)
        folder = self._known.get((status.st_dev, status.st_ino))
        if folder is None:
            posix.close(fd)
            return None
        return fd, folder, name

    def _told(self, fd: int, _: Inode, name: str) -> str:
        """Return how a name is told."""
        return self._relative(f"{posix.readlink(f'/proc/self/fd/{fd}')}/{name}")

    def _relative(self, path: str) -> str:
        """Return how a path is told: relative to the directory."""
        if re.fullmatch(r"/proc/\d+/fd/\d+", path):
            path = posix.readlink(path).removesuffix(" (deleted)")
        elif path.startswith("/proc/"):
            parent, _, name = path.rpartition("/")
            with contextlib.suppress(OSError):
                fd = posix.open(parent, posix.O_PATH | posix.O_CLOEXEC)
                try:
                    path = f"{posix.readlink(f'/proc/self/fd/{fd}')}/{name}"
                finally:
                    posix.close(fd)
        if path == self._top:
            return "."
        shown = path.removeprefix(f"{self._top}/")
        return _UNNAMED if re.search(r"(^|/)#\d+$", shown) else shown

    def _last_path(self) -> str:
        """Return what the last point was about."""
        return next((event.path for event in reversed(self.log) if isinstance(event, Point)), "")

    # What a call has done.

    def _settle_all(self, caller: int | None) -> None:
        """Log what the calls that were let go have done. Those of the caller, and of the dead, are over."""
        for job in list(self._jobs):
            is_over = caller is None or job.thread == caller or not _process.is_alive(job.thread)
            self._settle(job, is_over=is_over)
            if is_over:
                self._jobs.remove(job)
                job.close()
        for mapping in self._mappings.values():
            self._look_at_mapping(mapping)

    def _settle(self, job: _Job, *, is_over: bool) -> None:
        """Log what a call has done up to now."""
        if job.names:
            self._settle_names(job)
        if job.file is not None:
            fd, inode = job.file
            status = posix.fstat(fd)
            is_about_content = job.region is not None or job.new_size is not None
            if is_about_content and (is_over or stamp_of(status) != inode.stamp):
                self._settle_content(job, fd, inode, status)
            self._settle_attributes(fd, inode, status, reads_extended=job.reads_extended)
        if is_over and (job.sync is not None or job.syncs_all):
            self.log.append(Synced(job.sync))

    def _settle_names(self, job: _Job) -> None:
        seen: list[posix.stat_result | None] | None = None
        # Twice the same, so never half of what another thread is about to do.
        while True:
            again = [_lstat(name, fd) for fd, _, name in job.names]
            if again == seen:
                break
            seen = again
        changes: Names = {}
        for (fd, folder, name), status in zip(job.names, seen, strict=True):
            before, inode = self.names.get((folder, name)), None
            if status is not None:
                inode = self._known.get((status.st_dev, status.st_ino))
                # The number of a file that is gone may be this one's.
                if inode is None or (before is None and job.creates and self._links.get(inode, 0) == 0):
                    inode = self._learn(f"/proc/self/fd/{fd}/{name}", status)
            if inode is not before:
                for point in self._unnamed.pop(inode, ()) if inode is not None else ():
                    point.path = self._told(fd, folder, name)
                changes[folder, name] = inode
                self._point_name((folder, name), inode)
        if changes:
            self.log.append(Renamed(changes))
            for fd, folder, _ in job.names:
                self._settle_attributes(fd, folder, posix.fstat(fd))

    def _settle_content(self, job: _Job, fd: int, inode: Inode, status: posix.stat_result) -> None:
        offset, length = job.region or (0, 0)
        new = self._store.read_from(fd, offset, max(0, min(length, status.st_size - offset)))
        inode.stamp = stamp_of(status)
        if inode.size == status.st_size and self._is_same(job.old, new):
            return
        size = inode.size
        if new is not None and new.length > _TORN and job.region is not None and new.length >= length:
            # A kill may end a long write at any page.
            half = new.length // 2 // _TORN * _TORN
            first = Span(new.start, half)
            halfway = min(status.st_size, max(size, offset + half)) if offset + half > size else size
            self._edit(job, Edit(offset, _part(job.old, 0, half), first, size, halfway), inode, first)
            last = next((event for event in reversed(self.log) if isinstance(event, Point)), None)
            if last is not None:
                self.log.append(Point(f"{last.step}, half of it written", last.path, last.frames))
            rest = Span(new.start + half, new.length - half)
            self._edit(job, Edit(offset + half, _part(job.old, half, _ALL), rest, halfway, status.st_size), inode, rest)
        else:
            at = offset if job.region is not None else (job.new_size or 0)
            self._edit(job, Edit(at, job.old, new, size, status.st_size), inode, new)
        # If it is not over, and is looked at again, this is what was there before.
        if job.region is not None:
            job.old = new

    def _edit(self, job: _Job, edit: Edit, inode: Inode, new: Span | None) -> None:
        """Log a change of content, and let the mapping of the file know it."""
        inode.edits.append(edit)
        inode.size = edit.new_size
        self.log.append(Edited(inode, len(inode.edits)))
        if mapping := self._mappings.get(inode):
            content = mapping.content[: edit.new_size].ljust(edit.new_size, b"\0")
            written = self._store.get(new)
            if job.region is not None:
                content = content[: edit.offset] + written + content[edit.offset + len(written) :]
            mapping.content = content

    def _settle_attributes(
        self, fd: int, inode: Inode, status: posix.stat_result, *, reads_extended: bool = False
    ) -> None:
        attributes = attributes_of(status)._replace(
            extended=_extended(fd) if reads_extended else inode.attributes.extended
        )
        if attributes != inode.attributes:
            inode.attributes = attributes
            if inode.stamp is not None:
                inode.stamp = inode.size, status.st_mtime_ns
            self.log.append(Changed(inode, attributes))

    def _look_at_mapping(self, mapping: _Mapping) -> None:
        """Log what has changed in a file without a call."""
        inode, old, new = mapping.inode, mapping.content, _content(mapping.fd)
        if new == old:
            return
        mapping.content = new
        first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        inode.edits.append(Edit(first, self._store.put(old[first:]), self._store.put(new[first:]), len(old), len(new)))
        inode.size = len(new)
        self.log.append(Edited(inode, len(inode.edits)))
        status = posix.fstat(mapping.fd)
        inode.stamp = stamp_of(status)
        self._settle_attributes(mapping.fd, inode, status)

    def _is_same(self, old: Span | None, new: Span | None) -> bool:
        """Return whether nothing has changed, as far as that is worth to be known."""
        if old is None or new is None:
            return old is new
        return old.length == new.length <= _COMPARED and self._store.get(old) == self._store.get(new)

    def _point_name(self, name: Name, inode: Inode | None) -> None:
        """Let a name mean an inode, or nothing."""
        before = self.names.pop(name, None)
        if before is not None:
            self._links[before] -= 1
        if inode is not None:
            self.names[name] = inode
            self._links[inode] = self._links.get(inode, 0) + 1
            self._linked.add(inode)

    # What is there.

    def _learn(self, path: str, status: posix.stat_result, *, is_beginning: bool = False) -> Inode:
        """Take up an entry that was not known, and all that is below it."""
        key = status.st_dev, status.st_ino
        inode = self._known.get(key) if is_beginning else None
        if inode is None:
            target = posix.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
            inode = self._known[key] = Inode(attributes_of(status), target, status.st_rdev)
            self.log.append(Appeared(inode))
            if inode.is_file:
                self._take_content(path, inode, status, is_beginning=is_beginning)
        if inode.is_folder:
            is_closed = status.st_mode & 0o700 != 0o700 and posix.geteuid() != 0
            with opened_up(path) if is_closed else contextlib.nullcontext():
                for name in posix.listdir(path):
                    below = f"{path}/{name}"
                    child = self._learn(below, posix.lstat(below), is_beginning=is_beginning)
                    self._point_name((inode, name), child)
                    self.log.append(Renamed({(inode, name): child}))
        return inode

    def _take_content(self, path: str, inode: Inode, status: posix.stat_result, *, is_beginning: bool) -> None:
        """Put aside what a file has in it when it is first seen."""
        inode.stamp = stamp_of(status)
        if not is_beginning:
            if status.st_size:
                fd = open_to_read(path)
                try:
                    new = self._store.read_from(fd, 0, _ALL)
                finally:
                    posix.close(fd)
                inode.edits.append(Edit(0, None, new, 0, new.length if new else 0))
                inode.size = new.length if new else 0
                self.log.append(Edited(inode, 1))
                if (status.st_dev, status.st_ino) in self._synced_elsewhere:
                    self.log.append(Synced(inode))
            return
        inode.size = status.st_size
        self._backups += 1
        inode.backup = f"{self._folder}/{self._backups}"
        inode.is_copied = back_up(path, inode.backup, status.st_size)

    def _check_unseen(self, fd: int, inode: Inode, told: str) -> None:
        """Look, before a call changes a file, whether something else has changed it meanwhile."""
        status = posix.fstat(fd)
        if stamp_of(status) == inode.stamp or inode in self._mappings or self._is_at_work(inode):
            return
        self._log_unseen(fd, inode, status, self._relative(told))

    def _log_unseen(self, fd: int, inode: Inode, status: posix.stat_result, told: str) -> None:
        new = self._store.read_from(fd, 0, status.st_size)
        inode.edits.append(Edit(0, None, new, inode.size, status.st_size, is_reversible=False))
        inode.size, inode.stamp = status.st_size, stamp_of(status)
        self.log.append(Edited(inode, len(inode.edits)))
        self._settle_attributes(fd, inode, status)
        self.notes.append(f"{told} has changed, by no call that was seen: by a process that was there before, perhaps")

    def _find_unseen(self) -> None:
        """Compare what is there with what the log says, and let the log say so."""
        folders = [(self._top, self.root)]
        for path, folder in folders:
            with contextlib.suppress(OSError):
                there = set(posix.listdir(path))
                expected = self._below(folder)
                for name in sorted(there | expected.keys()):
                    below = f"{path}/{name}"
                    status = _lstat(below)
                    inode = None if status is None else self._known.get((status.st_dev, status.st_ino))
                    if inode is not expected.get(name) or (status is not None and inode is None):
                        if status is not None and inode is None:
                            inode = self._learn(below, status)
                        self._point_name((folder, name), inode)
                        self.log.append(Renamed({(folder, name): inode}))
                        told = self._relative(below)
                        self.notes.append(f"{told} has {'come' if inode else 'gone'}, by no call that was seen")
                    elif inode is not None and status is not None and inode.is_file and stamp_of(status) != inode.stamp:
                        with contextlib.suppress(PermissionError):
                            fd = open_to_read(below)
                            try:
                                self._log_unseen(fd, inode, status, self._relative(below))
                            finally:
                                posix.close(fd)
                    if inode is not None and inode.is_folder:
                        folders.append((below, inode))

    def _below(self, folder: Inode) -> dict[str, Inode]:
        """Return what is in a folder, by its names."""
        if self._children is None:
            self._children = {}
            for (parent, name), inode in self.names.items():
                self._children.setdefault(parent, {})[name] = inode
        return self._children.get(folder, {})

    _children: dict[Inode, dict[str, Inode]] | None = None


def back_up(path: str, backup: str, size: int) -> bool:
    """Keep the content of a file: as a copy if it is small or the filesystem shares contents, else under a second name.

    Returns:
        Whether it is a copy.
    """
    fd = open_to_read(path)
    try:
        copy = posix.open(backup, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
        try:
            if size > _COPIED and clone(fd, copy):
                return True
            if size <= _COPIED:
                copy_range(fd, copy, size, 0, 0)
                return True
        finally:
            posix.close(copy)
    finally:
        posix.close(fd)
    posix.unlink(backup)
    posix.link(path, backup, follow_symlinks=False)
    return False


def read_frames(trace: int) -> list[tuple[str, int, str]]:
    """Return the frames that a thread has written, innermost first, and make room for the next."""
    text = b""
    while chunk := posix.pread(trace, 1 << 16, len(text)):
        text += chunk
    posix.ftruncate(trace, 0)
    found = re.findall(r'^  File "(.*)", line (\d+) in (.*)$', text.decode(errors="replace"), re.MULTILINE)
    return [(file, int(line), function) for file, line, function in found]


def _part(span: Span | None, start: int, length: int) -> Span | None:
    """Return a part of a span."""
    if span is None or span.length <= start:
        return None
    return Span(span.start + start, min(length, span.length - start))


def _content(fd: int) -> bytes:
    """Return the whole content of a file; nothing of one that is too large."""
    size = posix.fstat(fd).st_size
    if size > _MAPPED:
        return b""
    content = b""
    while chunk := posix.pread(fd, size - len(content) + 1, len(content)):
        content += chunk
    return content


def _extended(fd: int) -> tuple[tuple[str, bytes], ...]:
    return extended_of(f"/proc/self/fd/{fd}")


def _lstat(path: str, folder: int | None = None) -> posix.stat_result | None:
    try:
        return posix.lstat(path, dir_fd=folder)
    except OSError:
        return None


def _stat(path: str) -> posix.stat_result | None:
    try:
        return posix.stat(path)
    except OSError:
        return None


def _followed(path: str) -> str:
    """Return where a path leads whose last part may be a link, also if nothing is there yet."""
    for _ in range(40):
        try:
            target = posix.readlink(path)
        except OSError:
            return path
        if path.startswith("/proc/") and re.fullmatch(r"/proc/\d+/fd/\d+", path):
            return path  # leads to the file itself, whatever its name is by now
        path = target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}"
    return path
