"""Read-only for root, too: Python's own calls that would change what is protected raise, as the kernel's do for other users.

What other programs do, and libraries that go past Python's `open` and `os`, is not seen here.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

#: Which arguments of an audit event are paths that change, each with the one that is its dir_fd.
_CHANGED: Final[dict[str, tuple[tuple[int, int | None], ...]]] = {
    "open": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
    "shutil.rmtree": ((0, None),),
}

_protected: set[str] = set()
_is_installed = False


def guard(folders: Iterable[Path]) -> None:
    """Raise PermissionError for each call, in this process, that would change something in these folders from now on."""
    global _is_installed  # noqa: PLW0603 - a hook cannot be removed, so there is one for the process
    _protected.update(map(str, folders))
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_audit)


def lift(folders: Iterable[Path]) -> None:
    """Let these folders be changed again."""
    _protected.difference_update(map(str, folders))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    changed = _CHANGED.get(event)
    if changed is None or not _protected or (event == "open" and not (arguments[2] or 0) & _WRITES):
        return
    for position, at in changed:
        path = _absolute(arguments[position], arguments[at] if at is not None and at < len(arguments) else None)
        if path is not None and any(path == folder or path.startswith(f"{folder}/") for folder in _protected):
            msg = "all tests share this, so it is read-only, for root as well; atomic_tmp_factory.copy() gives a test its own"
            raise PermissionError(errno.EACCES, msg, path)


def _absolute(path: Any, directory: Any) -> str | None:
    """Return an absolute path, links in it as they are; None for a descriptor."""
    if isinstance(path, int) or path is None:
        return None
    name = os.fsdecode(path)
    if isinstance(directory, int) and directory >= 0 and not os.path.isabs(name):
        try:
            name = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), name)
        except OSError:
            return None
    return os.path.abspath(name)
