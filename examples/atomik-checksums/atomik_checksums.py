"""A plugin for Atomik: every published folder holds the checksums of its files, in the same instant as the files.

Check them with ``sha256sum -c SHA256SUMS`` in the folder.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import atomik

NAME = "SHA256SUMS"


@atomik.hookimpl
def atomik_integration() -> atomik.Integration:
    """Describe this plugin, for `atomik.plugins()`."""
    return atomik.Integration(name="checksums", summary=f"Writes {NAME} into every published folder.")


@atomik.hookimpl
def atomik_before_publish(publication: atomik.Publication[Any]) -> None:
    """Write the checksums of a folder's files into it, before it is synced and seen; leave one that has its own alone."""
    if publication.kind != "folder":
        return
    folder = publication.staged
    if (folder / NAME).exists():
        return
    lines = sorted(_line(path, folder) for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    (folder / NAME).write_bytes(b"".join(lines))


def _line(path: Path, folder: Path) -> bytes:
    """Return a line as sha256sum writes and reads it: a backslash before the line says that its name is escaped."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest().encode()
    name = b"./" + os.fsencode(path.relative_to(folder))
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + digest + b"  " + escaped + b"\n"
