"""What Atomik raises; see :mod:`atomik_core.errors`."""

from atomik_core.errors import (
    AtomikError,
    DirectWriteError,
    ExtrasError,
    FileAlreadyExistsError,
    InvalidCrossDeviceError,
    LeftoverError,
    NotDurableError,
    NothingStagedError,
    UnsupportedFilesystemError,
)

__all__ = [
    "AtomikError",
    "DirectWriteError",
    "ExtrasError",
    "FileAlreadyExistsError",
    "InvalidCrossDeviceError",
    "LeftoverError",
    "NotDurableError",
    "NothingStagedError",
    "UnsupportedFilesystemError",
]
