"""What Atomik raises; see :mod:`atomik_core.errors`."""

from atomik_core.errors import (
    AtomikError,
    FileAlreadyExistsError,
    InvalidCrossDeviceError,
    NotDurableError,
    NothingStagedError,
    UnsupportedFilesystemError,
)

__all__ = [
    "AtomikError",
    "FileAlreadyExistsError",
    "InvalidCrossDeviceError",
    "NotDurableError",
    "NothingStagedError",
    "UnsupportedFilesystemError",
]
