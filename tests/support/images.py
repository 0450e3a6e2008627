"""Filesystems in sparse image files, on loop devices that vanish with their mount."""

from __future__ import annotations

import atexit
import itertools
import subprocess
import time
from pathlib import Path

from support.namespace import command, root
from support.needs import need_kernel, need_tool

_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-b", "4096"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "exfat": ("mkfs.exfat",),
}

#: The smallest image in which the filesystem can be made, in MiB.
SMALLEST = {"ext4": 8, "xfs": 300, "btrfs": 110, "exfat": 8}

# A FUSE server must die with the session, for it keeps the private namespace alive, and that the server; but it must
# not be the last to die there: unmounting would then ask the server that has just ended, and wait for ever.
_GUARD = """
trap 'kill -9 $!; wait $!; exit' TERM
"$@" &
wait $!
"""

_numbers = itertools.count(1)


def new_folder(name: str) -> Path:
    """A new, empty folder in the session's private namespace."""
    folder = root() / f"{name}-{next(_numbers)}"
    folder.mkdir(mode=0o755)
    return folder


def new_image(filesystem: str, mebibytes: int) -> Path:
    """A new image file with an empty FILESYSTEM in it. It takes up memory only as it is filled."""
    need_tool(_MAKE[filesystem][0])
    image = root() / f"{filesystem}-{next(_numbers)}.img"
    with image.open("xb") as file:
        file.truncate(mebibytes << 20)
    command(*_MAKE[filesystem], image)
    return image


def mount_image(filesystem: str, image: Path, point: Path, options: str = "") -> None:
    """Mount IMAGE on POINT; its loop device goes when it is unmounted."""
    need_kernel(filesystem)
    command("mount", "-t", filesystem, "-o", f"loop,{options}".rstrip(","), image, point)


def serve(point: Path, *arguments: str | Path) -> None:
    """Start a FUSE server in the foreground, for as long as the session lasts, and wait until it has mounted POINT."""
    need_kernel("fuse")
    need_tool("setpriv", str(arguments[0]))
    device = point.stat().st_dev
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", _GUARD, "sh", *arguments],
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
    )
    atexit.register(_stop, server)
    deadline = time.monotonic() + 10
    while point.stat().st_dev == device:
        if server.poll() is not None or time.monotonic() > deadline:
            msg = f"{' '.join(map(str, arguments))} did not mount {point} (exit code {server.poll()})"
            raise RuntimeError(msg)
        time.sleep(0.002)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End a FUSE server. In a forked child this does nothing: the server is not its child."""
    server.terminate()
    server.wait()


def serve_exfat(point: Path, mebibytes: int) -> None:
    """Mount a new exFAT image through FUSE, which wants a block device and takes no image file."""
    device = command("losetup", "--find", "--show", new_image("exfat", mebibytes)).strip()
    try:
        serve(point, "mount.exfat-fuse", "-d", device, point)
    finally:
        command("losetup", "--detach", device)
