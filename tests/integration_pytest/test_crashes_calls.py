"""The numbers by which `atomic_tmp.crashes` knows system calls, against the kernel's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_atomik._crash._calls import CALLS, MACHINES
from support.needs import require

#: Where Debian's linux-libc-dev has the table of each machine: aarch64 has that of all newer ones.
HEADERS = {"x86_64": "x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}


@pytest.mark.system
@pytest.mark.parametrize("machine", HEADERS)
def test_each_call_has_the_number_that_the_kernel_gives_it(machine):
    """On either kind of machine, whichever this one is; what the kernel does not have there has none."""
    header = Path("/usr/include", HEADERS[machine])
    require(header.exists(), f"needs {header}, of Debian's linux-libc-dev")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    kernel = {name: int(number) for name, number in found}

    ours = {call.name: number for call in CALLS if ((number := getattr(call, machine)) or 0) <= max(kernel.values())}
    assert ours == {name: kernel.get(name) for name in ours}  # but for those that are newer than the header
    target = MACHINES[machine]
    assert (target.seccomp, target.tgkill) == (kernel["seccomp"], kernel["tgkill"])
