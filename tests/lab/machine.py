"""A guest in QEMU: what it is told to run, and what comes back while it runs."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from atomik_core._version import __version__
from lab.image import AMD64, ARM64, Architecture, Image, Kernel
from support.needs import need_tool

_CHECKOUT: Final = Path(__file__).parents[2]
#: What of the checkout the guest gets.
_PARTS: Final = ("atomik", "atomik_core", "integrations", "tests", "examples", "docs", "pyproject.toml")

#: Emulated in software. KVM would be faster, but a machine that is itself a guest may have a /dev/kvm on which no
#: kernel gets to its first line, and there is no way to know but to wait.
_QEMU: Final = (
    *("-accel", "tcg,thread=multi,tb-size=256", "-smp", "2", "-m", "1536"),
    *("-nodefaults", "-nographic", "-no-reboot"),
)
# What the kernel does not know of its command line, REPORTS, is in the environment of the first process.
_COMMAND_LINE: Final = "console={} REPORTS=/dev/{} quiet loglevel=1 panic=-1 net.ifnames=0"


@dataclass(frozen=True)
class _Board:
    """What QEMU emulates.

    Attributes:
        options: which machine, and which processor.
        reports: the options for a second serial port, into a file.
        command_line: for the kernel, which calls the two ports something else on each machine.
    """

    options: tuple[str, ...]
    reports: tuple[str, ...]
    command_line: str


_BOARDS: Final[Mapping[Architecture, _Board]] = {
    # no_timer_check: a busy host answers too late for the kernel's test of its timer, which then panics.
    AMD64: _Board(("-cpu", "max"), ("-serial", "file:{}"), f"{_COMMAND_LINE.format('ttyS0', 'ttyS1')} no_timer_check"),
    # pauth-impdef: pointers are signed, but with a hash that software is quick at.
    ARM64: _Board(
        ("-M", "virt", "-cpu", "max,pauth-impdef=on"),
        ("-chardev", "file,id=reports,path={}", "-device", "pci-serial,chardev=reports"),
        _COMMAND_LINE.format("ttyAMA0", "ttyS0"),
    ),
}


class Guest:
    """A machine that boots KERNEL and runs WORK, a value that `tests/lab/guest/run` reads as JSON.

    HOSTS gives it the disk with Luigi and Snakemake.
    """

    def __init__(self, image: Image, kernel: Kernel, work: object, *, hosts: bool) -> None:
        program, board = f"qemu-system-{kernel.architecture.qemu}", _BOARDS[kernel.architecture]
        need_tool(program)
        self._scratch = tempfile.TemporaryDirectory(prefix="atomik-lab-")
        folder = Path(self._scratch.name)
        _pack(folder / "work.tar", {"work.json": json.dumps(work).encode(), **_installed()})
        self._console, self._reports = folder / "console", folder / "reports"
        self._read = 0
        disks = [(image.root, "snapshot=on"), (kernel.modules, "readonly=on"), (folder / "work.tar", "readonly=on")]
        if hosts:
            disks.append((image.hosts, "readonly=on"))
        self._qemu = subprocess.Popen(
            [
                *(program, *board.options, *_QEMU),
                *("-kernel", kernel.image, "-initrd", kernel.initrd, "-append", board.command_line),
                *("-serial", f"file:{self._console}", *(part.format(self._reports) for part in board.reports)),
                *(part for disk, how in disks for part in ("-drive", f"file={disk},if=virtio,format=raw,{how}")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._heard = time.monotonic()

    def report(self, patience: float) -> Mapping[str, Any] | None:
        """The next thing that the guest reports; None if it has ended, or has said nothing for PATIENCE seconds."""
        while True:
            ended = self._qemu.poll() is not None
            line = self._line()
            if line is not None:
                self._heard = time.monotonic()
                report: dict[str, Any] = json.loads(line)
                return report
            if ended or time.monotonic() - self._heard > patience:
                return None
            time.sleep(0.05)

    def console(self) -> str:
        """The end of what it has printed."""
        text = self._console.read_text(errors="replace") if self._console.exists() else ""
        return text.replace("\r\n", "\n")[-20_000:] + self._complaint()

    def close(self) -> None:
        """Switch it off."""
        self._qemu.kill()
        self._qemu.communicate()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self) -> bytes | None:
        """The next whole line on the second serial port, which nothing but reports are written to."""
        if not self._reports.exists():
            return None
        with self._reports.open("rb") as reports:
            reports.seek(self._read)
            line = reports.readline()
        if not line.endswith(b"\n"):
            return None
        self._read += len(line)
        return line

    def _complaint(self) -> str:
        if self._qemu.poll() is None or self._qemu.stderr is None:
            return ""
        return self._qemu.stderr.read()


def _pack(tar: Path, more: Mapping[str, bytes]) -> None:
    with tarfile.open(tar, "w") as packed:
        for part in _PARTS:
            packed.add(_CHECKOUT / part, part, filter=_is_source)
        for name, content in more.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.seek(0)
                packed.addfile(entry, file)


def _installed() -> dict[str, bytes]:
    """What makes two integrations installed distributions.

    pytest and Atomik find pytest-atomik by that, here and in what tests start; snakemake-atomik finds what it requires.
    """
    files: dict[str, bytes] = {}
    for name in ("pytest", "snakemake"):
        project = tomllib.loads((_CHECKOUT / "integrations" / name / "pyproject.toml").read_text())["project"]
        points = (
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in members.items())
            for group, members in project["entry-points"].items()
        )
        about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {__version__}\n"
        about += "".join(f"Requires-Dist: {required}\n" for required in project["dependencies"])
        folder = f"{name}_atomik-{__version__}.dist-info"
        files[f"{folder}/METADATA"] = about.encode()
        files[f"{folder}/entry_points.txt"] = "\n".join(points).encode()
    return files


def _is_source(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    hidden = any(part.startswith(".") for part in Path(entry.name).parts)
    if hidden or entry.name.endswith((".pyc", "__pycache__", ".egg-info")):
        return None
    entry.uid = entry.gid = 0
    entry.mode |= 0o444  # an ordinary user reads it, too
    return entry
