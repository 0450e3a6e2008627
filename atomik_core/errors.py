"""What Atomik raises. Each error is also the built-in one that a caller would expect.

    AtomikError
    ├── FileAlreadyExistsError       (FileExistsError)    the destination exists, and overwrite=True was not passed
    ├── InvalidCrossDeviceError      (OSError)            source and destination are on different filesystems
    ├── UnsupportedFilesystemError   (OSError)            this filesystem lacks a primitive that a promise needs
    ├── NothingStagedError           (FileNotFoundError)  the block ended without making anything to publish
    ├── ExtrasError                  (OSError)            a program made more than its output, and extras is "refuse"
    ├── DirectWriteError             (OSError)            a program wrote to a destination itself, past its staged path
    ├── LeftoverError                (OSError)            it is gone from its name, but could not be removed completely
    └── NotDurableError              (OSError)            published and visible, but not safe from a power cut yet

They are constructed as :class:`OSError` is, ``(errno, message, destination)``, so that they pickle, compare and print
as it does.
"""

from __future__ import annotations


class AtomikError(Exception):
    """The base of every error that is Atomik's own."""

    @property
    def destination(self) -> str | None:
        """The destination (or directory) that the error is about, as the caller named it."""
        return getattr(self, "filename", None)


class FileAlreadyExistsError(AtomikError, FileExistsError):
    """Something is at the destination, and it may not be overwritten (or it is neither a file nor a folder).

    Also raised when a rival published there first, between the start of the block and its end: of N rivals
    exactly one wins, and the others get this error.
    """


class InvalidCrossDeviceError(AtomikError, OSError):
    """The source and the destination are on different filesystems, between which the kernel cannot rename (EXDEV)."""


class UnsupportedFilesystemError(AtomikError, OSError):
    """The filesystem cannot keep a promise. The message names it, the missing primitive and the remedy."""


class NothingStagedError(AtomikError, FileNotFoundError):
    """Nothing was found at the staged path when the block ended, or nothing that can be published."""


class ExtrasError(AtomikError, OSError):
    """A program made more than its output, and `extras` is ``"refuse"``: nothing is published, everything is kept."""


class DirectWriteError(AtomikError, OSError):
    """A program wrote to a destination itself, past its staged path, and the stage is strict: nothing is published."""


class LeftoverError(AtomikError, OSError):
    """What was removed is gone from its name, but part of it could not be deleted. The message says where that part is."""


class NotDurableError(AtomikError, OSError):
    """The new version is published and visible, but the sync of its directory failed.

    A power cut may bring the old version back. Where one was replaced, it is kept beside the destination.
    """
