"""Power cuts: a filesystem that stops in an instant, and what a reboot finds on it.

The cut is the filesystem's own shutdown ioctl without a flush of its log: from then on nothing reaches the image, and
mounting it again recovers from what had. So everything is lost that no sync has forced out and no write-back happened
to carry out. The disk below has no write cache of its own: a write that was issued is kept.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Literal, Self

from support.images import SMALLEST, mount_image, new_folder, new_image
from support.namespace import lasting, unmount

_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


class PowerCut:
    """A disk of its own with an ext4 or xfs, whose power can be cut.

    `path` is its root folder. After `cut()` every call on it fails (EIO); end the processes that use it, then
    `remount()` shows what a reboot would find.
    """

    def __init__(self, filesystem: Literal["ext4", "xfs"], *, mebibytes: int | None = None, options: str = "") -> None:
        self._filesystem = filesystem
        self._options = options
        self._image = new_image(filesystem, mebibytes or max(64, SMALLEST[filesystem]))
        self.path: Path = new_folder("disk")
        self._mount()

    def cut(self) -> None:
        """Cut the power, in the middle of whatever is going on."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("=I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def remount(self) -> None:
        """Switch on again: the filesystem recovers from its log. Whoever still has a file open there makes it fail."""
        unmount(self.path)
        self._mount()

    def _mount(self) -> None:
        with lasting():
            mount_image(self._filesystem, self._image, self.path, self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        unmount(self.path, lazily=True)
        self._image.unlink()
        self.path.rmdir()
