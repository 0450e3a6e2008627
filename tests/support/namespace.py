"""A mount namespace of the test session's own, so that a run that is killed leaves no mount behind.

The first mount of a session moves the process into it; processes started later inherit it. Mounts last for one test,
unless they are made in a `lasting()` block.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.needs import need_root, need_tool, require

_CLONE_NEWNS = 0x00020000

_lasting: set[int] = set()


@functools.cache
def root() -> Path:
    """A tmpfs in the private namespace that every user can reach: images and mount points are made in it.

    Call it from the main thread: `unshare` moves one thread, and only what that one starts follows.
    """
    need_root()
    need_tool("mount", "umount")
    libc = ctypes.CDLL(None, use_errno=True)
    require(libc.unshare(_CLONE_NEWNS) == 0, f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    command("mount", "--make-rprivate", "/")
    base = Path(tempfile.mkdtemp(prefix="atomik-tests-"))
    command("mount", "-t", "tmpfs", "-o", "mode=755", "atomik-tests", base)
    _lasting.update(mounted())
    atexit.register(_leave, base, os.getpid())
    return base


def command(*arguments: str | Path) -> str:
    """Run a program, and give what it printed; if it fails, say what it complained about."""
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        msg = f"{' '.join(map(str, arguments))}: exit code {done.returncode}: {done.stderr.strip()}"
        raise RuntimeError(msg)
    return done.stdout


def mounted() -> dict[int, Path]:
    """Every mount of the namespace, the latest last: its id and its mount point."""
    table: dict[int, Path] = {}
    with open("/proc/self/mountinfo", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split(" ")
            table[int(fields[0])] = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
    return table


def mount_of(path: Path) -> Path:
    """The mount point of the mount that PATH is in, also where `os.path.ismount` cannot tell (bind mounts)."""
    descriptor = os.open(path, os.O_PATH)
    try:
        info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)
    found = re.search(r"^mnt_id:\s*(\d+)", info, re.MULTILINE)
    assert found is not None, info
    return mounted()[int(found[1])]


@contextmanager
def lasting() -> Iterator[None]:
    """What is mounted in this block lasts until it is unmounted by name or the session ends, not just for one test."""
    before = set(mounted())
    yield
    _lasting.update(set(mounted()) - before)


def unmount(point: Path, *, lazily: bool = False) -> None:
    """Unmount what is on POINT; LAZILY: even if it is still used."""
    command("umount", *(["--lazy"] if lazily else []), point)
    _lasting.intersection_update(mounted())


def unmount_passing() -> None:
    """Unmount, the latest first, everything that is not to last: whatever a test mounted, wherever it has moved."""
    if not _lasting:
        return  # not in a namespace of our own: every mount is the machine's
    for point in [point for number, point in mounted().items() if number not in _lasting][::-1]:
        unmount(point, lazily=True)


def _leave(base: Path, owner: int) -> None:
    """Unmount everything at the end of the session; a forked child that ends leaves its parent's mounts alone."""
    if os.getpid() != owner:
        return
    for point in [point for point in mounted().values() if point.is_relative_to(base)][::-1]:
        command("umount", "--lazy", point)
    base.rmdir()
