"""What killed processes leave, made the way they make it, and how to hold it as somebody who is alive does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import Program

#: Stages what `sys.argv[1]` says for the destination `sys.argv[2]`, and waits to be killed.
STAGE = """
import os, sys
import atomik

call = {"file": atomik.file, "folder": atomik.folder, "path": atomik.path}[sys.argv[1]]
publication = call(sys.argv[2], overwrite=True)
handle = publication.open()
if sys.argv[1] == "folder":
    os.mkdir(handle / "sub")
    (handle / "sub" / "file").write_text("content")
print(publication.staged, flush=True)
sys.stdin.read()
"""


def leave(destination: Path, call: str = "folder", *, user: int | None = None) -> Path:
    """Let a process be killed while it publishes DESTINATION; what it left, a folder `.atomik-…` beside it."""
    with Program(STAGE, call, destination, user=user) as program:
        staged = Path(program.line())
        program.kill()
    return staged.parent if call == "path" else staged


@contextmanager
def held(path: Path) -> Iterator[int]:
    """Hold the shared lock of PATH, as a publisher or a reader does, and its descriptor."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)
