"""The laboratory's disks: a Debian root, a kernel with its modules, and the hosts that integrations need.

Each is built from Debian's packages when it is first asked for, kept, and built again when this file has changed.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.needs import need_root, need_tool, require

#: What the guest runs. Its kernel is 6.1, and its Python 3.11, the oldest that Atomik supports.
SUITE: Final = "bookworm"


@dataclass(frozen=True)
class Architecture:
    """A kind of machine that a guest is.

    Attributes:
        debian: what Debian calls it.
        sources: what the kernel's sources call it.
        qemu: what QEMU calls it.
    """

    debian: str
    sources: str
    qemu: str


AMD64: Final = Architecture("amd64", "x86", "x86_64")
ARM64: Final = Architecture("arm64", "arm64", "aarch64")

#: The kernels that tests name, what they run on, and the suite that has each: the guest's own, and Debian's newest.
KERNELS: Final = {
    "6.1": (AMD64, SUITE),
    "newest": (AMD64, "sid"),
    "arm64-6.1": (ARM64, SUITE),
    "arm64-newest": (ARM64, "sid"),
}

_PACKAGES: Final = (
    *("acl", "attr", "btrfs-progs", "cifs-utils", "e2fsprogs", "f2fs-tools", "iproute2", "kmod", "mount", "nfs-common"),
    *("nfs-kernel-server", "procps", "python3", "python3-pip", "rpcbind", "samba", "strace", "util-linux", "xfsprogs"),
)
_TESTING: Final = ("click", "hypothesis", "pluggy", "pytest", "pytest-timeout")
_HOSTS: Final = ("luigi", "snakemake")

#: What is taken of a kernel's modules: filesystems, and what they and the network stand on.
_MODULES: Final = (
    *("arch/{}/crypto", "crypto", "drivers/block", "drivers/md", "drivers/net/net_failover.ko", "drivers/net/veth.ko"),
    *("drivers/net/virtio_net.ko", "drivers/virtio", "fs", "lib", "net"),
)
#: What has to be loaded before the root can be mounted.
_TO_BOOT: Final = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "crc32c-intel")

_MEBIBYTE: Final = 1 << 20

#: Of the guest before its root is there: load what the disk needs, mount it, go on there.
_INITIAL: Final = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod /modules/$module; done </modules/order
i=0; while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do $b usleep 50000; i=$((i + 1)); done
$b mount -t ext4 /dev/vda /root || { echo "no root disk"; $b poweroff -f; }
$b mount --move /dev /root/dev
exec $b switch_root /root /init
"""

#: Of the guest: its first process. It unpacks what the host sends, runs it, and switches the machine off.
_INIT: Final = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 PYTHONUNBUFFERED=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; chmod 1777 /tmp
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm; ln -sf /proc/self/fd /dev/fd
mount -t ext4 -o ro,noload /dev/vdb /lib/modules && modprobe loop
ip link set lo up; hostname laboratory
mkdir /tmp/work; tar -C /tmp/work -xf /dev/vdc
[ ! -b /dev/vdd ] || mount -t ext4 -o ro,noload /dev/vdd /opt/hosts
cd /tmp/work && sh tests/lab/guest/run
echo o >/proc/sysrq-trigger; sleep 60
"""


@dataclass(frozen=True)
class Kernel:
    """A kernel of Debian's: its release, as `uname -r` says it, what runs it, and what QEMU is given of it."""

    architecture: Architecture
    release: str
    image: Path
    initrd: Path
    modules: Path


class Image:
    """What guests of an ARCHITECTURE are booted from, kept in FOLDER."""

    def __init__(self, folder: Path, architecture: Architecture) -> None:
        need_root()
        need_tool("apt-get", "chroot", "cpio", "depmod", "dpkg", "dpkg-deb", "gzip", "mke2fs", "mmdebstrap", "unxz")
        if architecture.debian != _run("dpkg", "--print-architecture").strip():
            # The root's own programs set its packages up.
            runs = Path("/proc/sys/fs/binfmt_misc", f"qemu-{architecture.qemu}").exists()
            require(runs, f"needs qemu-user-static and binfmt-support, to run programs of {architecture.debian} here")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._architecture = architecture

    @functools.cached_property
    def root(self) -> Path:
        """The disk that the guest runs from."""
        return self._root() / "disk"

    @functools.cached_property
    def hosts(self) -> Path:
        """The disk with Luigi and Snakemake, for the guest's Python."""
        name = f"hosts-{self._architecture.debian}"
        return self._kept(name, lambda folder: _build_hosts(folder, self._root())) / "disk"

    def kernel(self, name: str) -> Kernel:
        """The kernel of this NAME, a key of `KERNELS`."""
        folder = self._kept(f"kernel-{name}", lambda folder: _build_kernel(folder, *KERNELS[name]))
        release = (folder / "release").read_text()
        return Kernel(self._architecture, release, folder / "image", folder / "initrd", folder / "modules")

    def _root(self) -> Path:
        return self._kept(f"root-{self._architecture.debian}", lambda folder: _build_root(folder, self._architecture))

    def _kept(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder that BUILD has filled, now or earlier from the same recipe; a build that fails leaves nothing."""
        recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
        kept = self._folder / f"{name}-{recipe}"
        if kept.exists():
            return kept
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=f"building-{name}-") as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            build(made)
            for old in self._folder.glob(f"{name}-{'?' * 16}"):
                shutil.rmtree(old)
            made.rename(kept)
        return kept


def _build_root(folder: Path, architecture: Architecture) -> None:
    tree = folder / "tree"
    _run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
        *("--dpkgopt=force-unsafe-io", "--aptopt=Acquire::Check-Valid-Until false"),
        *(f"--architectures={architecture.debian}", SUITE, tree),
    )
    _pip(tree, "/usr/local/lib/python3.11/dist-packages", *_TESTING)
    for user in ("user", "other"):
        _run("chroot", tree, "useradd", "--create-home", user)
    (tree / "etc/hosts").write_text("127.0.0.1 localhost laboratory\n")
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    for name in ("lib/modules", "opt/hosts"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    _disk(tree, folder / "disk", 900)


def _build_hosts(folder: Path, root: Path) -> None:
    # The tree of the root is kept for this: what Luigi and Snakemake need is built by the guest's own Python.
    _pip(root / "tree", "/opt/hosts", *_HOSTS)
    made = root / "tree" / "opt" / "hosts"
    _disk(made, folder / "disk", 700)
    shutil.rmtree(made)
    made.mkdir()


def _pip(tree: Path, target: str, *packages: str) -> None:
    """Install into the guest with its own pip, which goes the way out that this machine's pip goes."""
    for file in (Path("/etc/resolv.conf"), Path("/etc/ssl/certs/ca-certificates.crt")):
        if file.exists():
            target_file = tree / file.relative_to("/")
            target_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target_file)
    _run(
        *("chroot", tree, "python3", "-m", "pip", "install", "--quiet", "--root-user-action=ignore"),
        *("--no-cache-dir", "--no-compile", "--target", target, *packages),
    )


def _build_kernel(folder: Path, architecture: Architecture, suite: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        unpacked = Path(scratch, "unpacked")
        for package in _download(Path(scratch), architecture, suite):
            _run("dpkg-deb", "--extract", package, unpacked)
        (image,) = unpacked.glob("**/vmlinuz*")
        (modules,) = unpacked.glob("**/lib/modules/*")
        release = modules.name
        chosen = Path(scratch, "modules", "lib", "modules", release)
        _choose_modules(modules, chosen, architecture)
        _run("depmod", "-b", Path(scratch, "modules"), release)
        (busybox,) = unpacked.glob("**/bin/busybox")
        _build_initrd(chosen, busybox, Path(scratch, "initrd"), folder / "initrd")
        _disk(chosen.parent, folder / "modules", 200)
        shutil.copy(image, folder / "image")
        (folder / "release").write_text(release)


def _download(folder: Path, architecture: Architecture, suite: str) -> list[Path]:
    """Download the kernel that SUITE has now, and a busybox, without a trace in this machine's own apt."""
    listed = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
    if not listed:
        msg = "apt knows no Debian mirror; run apt-get update first"
        raise RuntimeError(msg)
    state = folder / "apt"
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "status").touch()
    sources = folder / "sources.list"
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    sources.write_text(f"deb [signed-by={keys}] {listed.split()[0]} {suite} main\n")
    options = [
        *(f"-oDir::State={state}", f"-oDir::State::status={state / 'status'}", f"-oDir::Cache={state}"),
        *(f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=-", "-oAcquire::Languages=none"),
        *("-oAPT::Sandbox::User=root", "-oAcquire::Check-Valid-Until=false"),
        *(f"-oAPT::Architecture={architecture.debian}", f"-oAPT::Architectures={architecture.debian}"),
    ]
    _run("apt-get", *options, "--quiet", "update")
    (image,) = _depends(options, f"linux-image-{architecture.debian}", "linux-image-")
    # Until 2026 one package, since then one with the kernel and one with the modules.
    packages = _depends(options, image, "linux-(binary|modules)-") or [image]
    _run("apt-get", *options, "--quiet", "download", *packages, "busybox-static", cwd=folder)
    return sorted(folder.glob("*.deb"))


def _depends(options: list[str], package: str, pattern: str) -> list[str]:
    listed = _run("apt-cache", *options, "depends", package)
    return [name for name in re.findall(r"Depends: (\S+)", listed) if re.match(rf"{pattern}\d", name)]


def _choose_modules(modules: Path, chosen: Path, architecture: Architecture) -> None:
    for part in (each.format(architecture.sources) for each in _MODULES):
        for source in (modules / "kernel" / part, modules / "kernel" / f"{part}.xz"):
            target = chosen / "kernel" / source.relative_to(modules / "kernel")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                shutil.copy(source, target)
    for extra in modules.glob("modules.*"):
        shutil.copy(extra, chosen)
    packed = [*chosen.rglob("*.ko.xz")]
    if packed:
        _run("unxz", *packed)


def _build_initrd(modules: Path, busybox: Path, tree: Path, initrd: Path) -> None:
    for name in ("bin", "modules", "proc", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(busybox, tree / "bin" / "busybox")
    needed: dict[str, None] = {}
    base = modules.parents[2]
    for module in _TO_BOOT:
        listed = subprocess.run(
            ["modprobe", "-d", base, "-S", modules.name, "--show-depends", module], capture_output=True, text=True
        ).stdout  # a module that this kernel has built in, or no longer has, is none to load
        needed.update(dict.fromkeys(re.findall(r"^insmod (\S+)", listed, re.MULTILINE)))
    for file in needed:
        shutil.copy(file, tree / "modules")
    (tree / "modules" / "order").write_text("".join(f"{Path(file).name}\n" for file in needed))
    (tree / "init").write_text(_INITIAL)
    (tree / "init").chmod(0o755)
    _run("sh", "-c", f"find . | cpio --quiet -o -H newc | gzip -1 >'{initrd}'", cwd=tree)


def _disk(tree: Path, disk: Path, mebibytes: int) -> None:
    """Make an ext4 image of TREE, without a journal: it is thrown away after each boot."""
    with disk.open("xb") as file:
        file.truncate(mebibytes * _MEBIBYTE)
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk)


def _run(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(arguments, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        msg = f"{' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    return done.stdout
