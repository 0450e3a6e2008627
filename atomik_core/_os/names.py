"""The names under which content waits: random, self-explaining, and recognizable without doubt."""

from __future__ import annotations

import os
from binascii import crc_hqx

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PREFIX: Final = ".atomik-"
KEPT: Final = "atomik-kept-"
#: The file in a staging folder whose lock travels to other hosts, where that of a folder does not. Not just "lock": that
#: may be the destination's own name, which is staged beside it.
LOCK: Final = ".atomik-lock"
#: How the links begin by which a staging folder notes the other directories in which something is staged with it.
NOTE: Final = ".atomik-directory-"

_RANDOM_BYTES: Final = 8
_LENGTH: Final = len(PREFIX) + 2 * _RANDOM_BYTES + 4


#: What the checksum begins with: it tells the two kinds of staging name apart. Not 0, for which all zeros would do.
_PLAIN: Final = 0x4154
_WRAPPER: Final = 0x4F4D


def _token(kind: int) -> str:
    # os.urandom, not random: two processes that seed alike would share names (Luigi's same-seed collisions).
    noise = os.urandom(_RANDOM_BYTES)
    return f"{noise.hex()}{crc_hqx(noise, kind):04x}"


def staging_name() -> str:
    """Return a new staging name: the prefix, 64 random bits and their checksum; 28 characters, whatever NAME_MAX is."""
    return PREFIX + _token(_PLAIN)


def wrapper_name() -> str:
    """Return a new staging name for a folder in which content is staged under its own name."""
    return PREFIX + _token(_WRAPPER)


def kept_name() -> str:
    """Return a new name for finished work that is kept; no cleaner takes it for a leftover."""
    return KEPT + _token(_PLAIN)


def is_reserved(name: str) -> bool:
    """Say whether Atomik itself makes this name in a staging folder, beside what is staged there."""
    return name == LOCK or (name.startswith(NOTE) and name[len(NOTE) :].isdigit())


def is_kept_name(name: str) -> bool:
    """Say whether this is the name of finished work that is kept."""
    return name.startswith(KEPT)


def is_staging_name(name: str) -> bool:
    """Say whether Atomik made this name.

    The checksum is what tells ours from one that a person chose: a mode cannot, since an old tree that was exchanged
    away keeps its own.
    """
    return _checksum_kind(name) in {_PLAIN, _WRAPPER}


def is_wrapper_name(name: str) -> bool:
    """Say whether Atomik made this name for a wrapper, whose one entry has the destination's name."""
    return _checksum_kind(name) == _WRAPPER


def is_removed_file(name: str) -> bool:
    """Say whether this is the kernel's name for a file that was removed while it was open (NFS: .nfs…, FUSE: .fuse_hidden…)."""
    return name.startswith((".nfs0", ".fuse_hidden"))


def _checksum_kind(name: str) -> int | None:
    if len(name) != _LENGTH or not name.startswith(PREFIX):
        return None
    token = name[len(PREFIX) :]
    try:
        noise = bytes.fromhex(token[:-4])
    except ValueError:
        return None
    for kind in (_PLAIN, _WRAPPER):
        if token == f"{noise.hex()}{crc_hqx(noise, kind):04x}":
            return kind
    return None
