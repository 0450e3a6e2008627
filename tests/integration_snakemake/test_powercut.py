"""Power cuts on ext4: after a run that has succeeded, and in the middle of one."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from integration_snakemake.whole import RULES, look
from integration_snakemake.workflows import NEWEST, Workflow
from support.needs import need_root
from support.powercut import PowerCut
from support.watch import litter

pytestmark = [pytest.mark.system, pytest.mark.slow]

CUTS = 3


def test_outputs_survive_power_cuts(tmp_path):
    """After a run has succeeded all outputs are there; in the middle of one each is absent, old or new, always whole."""
    need_root()
    with PowerCut("ext4") as disk:
        flow = Workflow(disk.path / "workflow", Path(sys.executable), NEWEST, cache=tmp_path)
        out = flow / "out"
        flow.write(RULES)
        os.sync()
        try:
            versions = ["absent"]
            for cut in range(CUTS):
                versions.append(f"v{cut}")
                flow.write(versions[-1], "version")
                os.sync()
                process = flow.start("--nolock")
                time.sleep(random.uniform(0.5, 4))
                disk.cut()
                flow.kill(process)
                disk.remount()
                assert set(look(out).values()) <= set(versions), (cut, look(out))

                flow.run("--nolock", "--rerun-incomplete")
                disk.cut()
                disk.remount()
                assert {versions[-1]} == set(look(out).values()), cut
                versions = versions[-1:]
            flow.run("--nolock", "--rerun-incomplete")
            assert [] == litter(flow.path)
        finally:
            flow.close()
