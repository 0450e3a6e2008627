"""What this package raises: each is what Luigi raises, and the built-in error that everybody else expects.

TargetExists              luigi.target.FileAlreadyExists, atomik.FileAlreadyExistsError (FileExistsError)
└── CopyDestinationExists (RuntimeError), too: LocalFileSystem.copy raises one
ParentMissing             luigi.target.MissingParentDirectory, FileNotFoundError
NotAFolder                luigi.target.NotADirectory, NotADirectoryError
"""

from __future__ import annotations

import errno
import os
from typing import TypeVar

from luigi.target import FileAlreadyExists, MissingParentDirectory, NotADirectory

import atomik


class TargetExists(FileAlreadyExists, atomik.FileAlreadyExistsError):
    """Something stands where a target is to be made, and it was not to be replaced; or a rival was first."""


class CopyDestinationExists(TargetExists, RuntimeError):  # noqa: N818 - named as Luigi's own
    """The destination of ``copy(raise_if_exists=True)`` exists."""


class ParentMissing(MissingParentDirectory, FileNotFoundError):  # noqa: N818 - named as Luigi's own
    """The parent of a folder is missing, and was not to be made."""


class NotAFolder(NotADirectory, NotADirectoryError):  # noqa: N818 - named as Luigi's own
    """A file stands where a folder is to be."""


_E = TypeVar("_E", TargetExists, CopyDestinationExists, ParentMissing, NotAFolder)


def make(kind: type[_E], number: int, path: str, message: str | None = None) -> _E:
    """Return an error of this kind, with errno and path as the kernel gives them."""
    return kind(number, message or os.strerror(number), path)


def to_luigi_error(error: atomik.FileAlreadyExistsError, kind: type[TargetExists] = TargetExists) -> TargetExists:
    """Return what Luigi would raise for `error`."""
    return make(kind, error.errno or errno.EEXIST, error.destination or "", error.strerror)
