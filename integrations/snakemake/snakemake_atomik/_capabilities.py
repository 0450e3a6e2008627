"""What the directories that outputs go to are able to do: found out by trying, before a job does its work.

Remembered for each directory, not for a filesystem, as long as the process lives: jobs by the hundred publish to one.
"""

from __future__ import annotations

import errno
import os

import atomik

from . import _settings

_reachable: dict[tuple[int, int, str], bool] = {}
_exchanging: dict[tuple[int, int], bool] = {}


def is_reachable(directory: str, inner: str) -> bool:
    """Say whether what is made in `inner` can be renamed into `directory`, by doing it.

    An equal st_dev is no answer: bind mounts and projects of xfs have it, and refuse.

    Raises:
        UnsupportedFilesystemError: a promise cannot be kept there; the message says which, and the remedy.
        OSError: nothing can be made there.
    """
    status = os.stat(directory)
    key = (status.st_dev, status.st_ino, os.path.dirname(inner))
    if key not in _reachable:
        trial = atomik.path(os.path.join(directory, ".snakemake-atomik"), sync=_settings.sync())
        path = trial.open()
        scratch = os.path.join(inner, ".snakemake-atomik")
        os.mkdir(scratch)
        try:
            os.rename(scratch, path)
            _reachable[key] = True
        except OSError as error:
            os.rmdir(scratch)
            if error.errno != errno.EXDEV:
                raise
            _reachable[key] = False
        finally:
            trial.discard()
    return _reachable[key]


def can_exchange(directory: str) -> bool:
    """Say whether two things in `directory` can be exchanged in one instant, by doing it."""
    status = os.stat(directory)
    key = (status.st_dev, status.st_ino)
    if key not in _exchanging:
        _exchanging[key] = atomik.probe(directory).exchange
    return _exchanging[key]
