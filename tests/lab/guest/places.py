"""Where tests of the laboratory work: local filesystems, and what an NFS and an SMB server export, as two clients see it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/m")

#: What makes each local filesystem, and its size in MB: the least that mkfs.xfs and mkfs.btrfs take, and a little.
_LOCAL: Final = {
    "ext4": (("mke2fs", "-q", "-t", "ext4"), 128),
    "xfs": (("mkfs.xfs", "-q"), 320),
    "btrfs": (("mkfs.btrfs", "-q"), 160),
    "f2fs": (("mkfs.f2fs", "-q"), 128),
}

#: NFS by the options of its mount.
_NFS: Final = {"nfs4.2": "vers=4.2", "nfs3": "vers=3"}
#: The second client has the first one's rpcbind on Linux 6.1, which has room for one lock manager: no locks for NFSv3.
_NFS_SECOND: Final = {"nfs4.2": "vers=4.2", "nfs3": "vers=3,nolock"}

_SMB: Final = """
[global]
 server role = standalone server
 map to guest = never
 log level = 0
 disable netbios = yes
 smb ports = 445
 load printers = no
[ext4]
 path = /m/served
 read only = no
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A fresh folder: PATH is where it is, PEER where a second client of the same server sees it, if it has a server."""

    kind: str
    path: Path
    peer: Path | None

    def __truediv__(self, name: str) -> Path:
        return self.path / name


@contextmanager
def fresh(kind: str, user: str) -> Iterator[Place]:
    """A fresh folder in the place of this KIND, which was mounted for USER."""
    point = _point(kind, user)
    name = f"{user}-{os.getpid()}-{next(_numbers)}"
    (point / name).mkdir()
    peer = _peer(point)
    try:
        yield Place(kind, point / name, peer / name if peer.exists() else None)
    finally:
        _remove(point / name)


def settle(place: Place) -> None:
    """Wait until the server has set the time of what was written last: SMB's does so up to two seconds late."""
    if place.kind == "smb3":
        time.sleep(3)


def elsewhere() -> Path:
    """A folder on another filesystem, for everybody."""
    return _ROOT / "elsewhere"


def ids(user: str) -> int:
    """The number of a user, and of the group of the same name."""
    return {"root": 0, "user": 1000, "other": 1001}[user]


def prepare() -> None:
    """Make what all places stand on."""
    _ROOT.mkdir()
    _tmpfs(elsewhere())


def mount(kind: str, user: str) -> None:
    """Mount the place of this KIND for USER, and start what serves it, if that has not been done."""
    point = _point(kind, user)
    if point.exists():
        return
    if kind in _LOCAL:
        local(kind, point)
    elif kind == "tmpfs":
        _tmpfs(point)
    elif kind == "overlay":
        _overlay(point)
    elif kind in _NFS:
        _serve_nfs()
        mount_nfs("/m/served", point, _NFS[kind])
        mount_nfs("/m/served", _peer(point), _NFS_SECOND[kind], second=True)
    elif kind == "smb3":
        _serve_smb()
        for where in (point, _peer(point)):
            _mount_smb(where, user)
    else:
        msg = f"no such place: {kind}"
        raise ValueError(msg)


def local(kind: str, point: Path, mebibytes: int = 0) -> None:
    """Make a filesystem of this KIND, and mount it."""
    make, least = _LOCAL[kind]
    disks = Path("/run/disks")
    disks.mkdir(exist_ok=True)
    disk = disks / str(point).replace("/", "-")
    with disk.open("xb") as file:
        file.truncate((mebibytes or least) << 20)
    run(*make, disk)
    point.mkdir()
    run("mount", "-t", kind, "-o", "loop", disk, point)
    point.chmod(0o1777)


def _tmpfs(point: Path) -> None:
    point.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256m,mode=1777", "tmpfs", point)


def _overlay(point: Path) -> None:
    """An overlay over ext4, whose lower layer holds a folder: `lower`."""
    base = point.with_name("overlay-layers")
    local("ext4", base)
    for part in ("lower", "upper", "work"):
        (base / part).mkdir()
    layers = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    point.mkdir()
    run("mount", "-t", "overlay", "-o", layers, "overlay", point)
    point.chmod(0o1777)


def _serve_nfs() -> None:
    if Path("/m/served").exists() and Path("/proc/fs/nfsd/threads").exists():
        return
    if not Path("/m/served").exists():
        local("ext4", Path("/m/served"))
    run("modprobe", "nfsd")
    for folder in ("/run/rpcbind", "/var/lib/nfs/sm", "/var/lib/nfs/v4recovery", "/run/rpc_pipefs"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
    run("mount", "-t", "rpc_pipefs", "rpc_pipefs", "/run/rpc_pipefs")
    run("rpcbind", "-w")
    run("rpc.statd")
    export("/m/served", "no_root_squash")
    # Short leases: after a restart clients wait for as long as one lasts.
    run("rpc.nfsd", "-L", "10", "-G", "10", "4")
    run("rpc.mountd")
    run("ip", "netns", "add", "second")
    for command in (
        "link add v0 type veth peer name v1",
        "link set v1 netns second",
        "addr add 10.0.2.1/24 dev v0",
        "link set v0 up",
        "-n second addr add 10.0.2.2/24 dev v1",
        "-n second link set v1 up",
        "-n second link set lo up",
    ):
        run("ip", *command.split())


def export(folder: str, *options: str) -> None:
    """Export a folder by NFS, as a server does that loses nothing (sync)."""
    run("exportfs", "-o", ",".join(("rw,sync,no_subtree_check,insecure", *options)), f"*:{folder}")


def mount_nfs(folder: str, point: Path, options: str, *, second: bool = False) -> None:
    """Mount an export; as a SECOND client it is another host by address and by name, with locks of its own."""
    point.mkdir()
    options = f"{options},nosharecache"
    if second:
        command = f"hostname second; exec mount -t nfs -o {options} 10.0.2.1:{folder} {point}"
        run("nsenter", "--net=/run/netns/second", "unshare", "--uts", "sh", "-c", command)
    else:
        run("mount", "-t", "nfs", "-o", options, f"127.0.0.1:{folder}", point)


def _serve_smb() -> None:
    if Path("/run/samba").exists():
        return
    if not Path("/m/served").exists():
        local("ext4", Path("/m/served"))
    for folder in ("/run/samba", "/var/log/samba", "/var/lib/samba/private"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("/etc/samba/smb.conf").write_text(_SMB)
    for user in ("root", "user"):
        run("smbpasswd", "-a", "-s", user, text="pw\npw\n")
    run("smbd", "-D")
    deadline = time.monotonic() + 60
    while ":445 " not in run("ss", "-ltn") and time.monotonic() < deadline:
        time.sleep(0.2)
    run("modprobe", "cifs")


def _mount_smb(point: Path, user: str) -> None:
    point.mkdir()
    options = f"username={user},password=pw,uid={ids(user)},gid={ids(user)},vers=3.1.1,mfsymlinks,nosharesock"
    run("mount", "-t", "cifs", "-o", options, "//127.0.0.1/ext4", point)


def run(*arguments: str | Path, text: str | None = None) -> str:
    """Run a program, and give what it printed; if it fails, say what it complained about."""
    done = subprocess.run(arguments, input=text or "", capture_output=True, text=True)
    if done.returncode != 0:
        msg = f"{' '.join(map(str, arguments))}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    return done.stdout


def _remove(folder: Path) -> None:
    """Remove a folder, of which this client may not know yet all that the other one has made."""
    deadline = time.monotonic() + 60
    while True:
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _point(kind: str, user: str) -> Path:
    return _ROOT / (f"{kind}-{user}" if kind == "smb3" else kind)


def _peer(point: Path) -> Path:
    return point.with_name(f"{point.name}-second")
