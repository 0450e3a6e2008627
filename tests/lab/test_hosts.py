"""Luigi and Snakemake on NFS, from two clients at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

pytestmark = [
    pytest.mark.kernels("6.1"),
    pytest.mark.users("user"),
    pytest.mark.places("nfs4.2", "nfs3"),
    pytest.mark.needs_hosts,
]

LUIGI = """
import sys
import luigi
import luigi_atomik

class Lines(luigi.Task):
    directory = luigi.Parameter()
    number = luigi.IntParameter()

    def output(self):
        return luigi_atomik.AtomicLocalTarget(f"{self.directory}/{self.number}.txt")

    def run(self):
        with self.output().open("w") as file:
            for line in range(2000):
                file.write(f"{self.number}\\n")

ok = luigi.build([Lines(directory=sys.argv[1], number=number) for number in range(4)], local_scheduler=True, log_level="WARNING")
sys.exit(not ok)
"""

SNAKEFILE = """
from snakemake_atomik import atomic

rule all:
    input: expand("{number}.txt", number=range(4))

rule lines:
    output: atomic("{number}.txt")
    shell: "for i in $(seq 2000); do echo {wildcards.number}; done >{output}"
"""


FOLDER = """
from snakemake_atomik import atomic

rule folder:
    input: "in"
    output: atomic(directory("parts")), atomic("table"), atomic(directory("latest"))
    log: "parts/logs/log"
    shell: "cp {input} {output[0]}/part; cp {input} {output[1]}; cp {input} {output[1]}.idx; ln -s parts {output[2]}; echo >{log}"
"""


def whole(directory):
    """Assert that the four results are there, whole, and that nothing else of Atomik's is."""
    for number in range(4):
        assert (directory / f"{number}.txt").read_text() == f"{number}\n" * 2000
    assert [name for name in os.listdir(directory) if name.startswith(".atomik")] == []


def never_partial(directory, running):
    """Look at the results until the processes have ended: each is absent or whole."""
    while any(process.poll() is None for process in running):
        for number in range(4):
            try:
                text = (directory / f"{number}.txt").read_text()
            except OSError:
                continue
            assert text == f"{number}\n" * 2000
        time.sleep(0.02)
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), "\n".join(errors)


def test_luigi(kernel, user, place):
    """Two clients that run the same tasks at once: both succeed, and a reader sees whole targets only."""
    running = [
        subprocess.Popen([sys.executable, "-c", LUIGI, where], stderr=subprocess.PIPE, text=True)
        for where in (place.path, place.peer)
    ]
    never_partial(place.peer, running)
    whole(place.path)


def test_snakemake(kernel, user, place):
    """A workflow of one client, watched from the other, where the results count afterwards: nothing is to be done."""
    (place / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", "--latency-wait", "60"]
    first = subprocess.Popen([*command], cwd=place.path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    never_partial(place.peer, [first])
    whole(place.path)

    second = subprocess.run([*command], cwd=place.peer, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "Nothing to be done" in second.stdout + second.stderr


def test_snakemake_replaces_a_folder(kernel, user, place):
    """NFS can exchange no two folders: the old one is taken away, and nothing of it, nor of what was staged, is left."""
    (place / "Snakefile").write_text(FOLDER)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nocolor", "--latency-wait", "60"]
    for text in ("1", "2"):
        (place / "in").write_text(text)
        done = subprocess.run([*command], cwd=place.path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "wrote directly" not in done.stderr
        time.sleep(1.1)

    made = {"part", "logs", ".snakemake_timestamp"}
    assert set(os.listdir(place / "parts")) == made
    assert [(place / name).read_text() for name in ("parts/part", "table", "table.idx")] == ["2"] * 3
    assert os.readlink(place / "latest") == "parts"
    left = {name for folder in (place.path, place / ".snakemake" / "atomik") for name in os.listdir(folder)}
    assert not [name for name in left if "atomik-" in name]
