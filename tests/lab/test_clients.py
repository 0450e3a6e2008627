"""Two clients of one server: a cleaner on one of them while the other publishes, is killed, or is slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import atomik
from atomik_core import testing
from core.shapes import FILE, PATH_TO_FILE, each_shape
from lab.guest.places import settle

pytestmark = [pytest.mark.kernels("6.1"), pytest.mark.users("user")]


def killed(shape, path, step, **options):
    """Publish in a process that is killed at this step."""
    child = os.fork()
    if not child:

        def die(publication, reached):
            if reached == step:
                os.kill(os.getpid(), signal.SIGKILL)

        with testing.watching(die):
            shape.publish(path, "new", **options)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.places("nfs4.2")
@each_shape
@pytest.mark.parametrize("step", ["opened", "sealed", "synced", "published"])
def test_killed(kernel, user, place, shape, step):
    """At whichever step a publisher is killed, the other client's cleaner knows that it is dead, and removes all of it."""
    killed(shape, place / "a", step)

    assert [found.live for found in atomik.leftovers(place.peer)] in ([], [False])
    atomik.clean(place.peer)

    assert os.listdir(place.peer) == (["a"] if step == "published" else [])
    assert atomik.leftovers(place.path) == []


@pytest.mark.survival
@pytest.mark.places("nfs4.2", "nfs3", "smb3")
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_a_file_survives_a_kill(kernel, user, place, sync, record_property):
    """At whichever step who replaces a file is killed, the other client sees the old version or the new one."""
    for number, shape in enumerate([FILE, PATH_TO_FILE]):
        for step in ("opened", "sealed", "synced", "published", "durable"):
            target = f"{number}-{step}"
            shape.lay(place / target, "old")
            settle(place)
            killed(shape, place / target, step, overwrite=True, sync=sync)

            seen = shape.read(place.peer / target)
            assert seen in {"old", "new"}
            record_property("saw", f"{place.kind}|`kill -9` at each step|{sync}|{seen}")
    atomik.clean(place.path, force=True)


@pytest.mark.places("nfs4.2")
@each_shape
@pytest.mark.parametrize("step", ["opened", "sealed", "synced"])
def test_alive(kernel, user, place, shape, step):
    """At whichever step a publisher is, the other client's cleaner knows that it is alive, and leaves it alone."""
    seen = []

    def look(publication, reached):
        if reached == step:
            # In a process of its own: one process's locks are no obstacle to itself.
            source = (
                "import atomik, sys; print([x.live for x in atomik.leftovers(sys.argv[1])], atomik.clean(sys.argv[1]))"
            )
            seen.append(subprocess.check_output([sys.executable, "-c", source, place.peer], text=True).strip())

    with testing.watching(look):
        shape.publish(place / "a", "new")

    assert seen == ["[True] []"]
    assert shape.read(place / "a") == "new"


SLOW = """
import sys
import atomik
with getattr(atomik, sys.argv[1])(sys.argv[2]) as handle:
    if sys.argv[1] == "file":
        handle.write("new")
    elif sys.argv[1] == "folder":
        (handle / "x").write_text("new")
    else:
        handle.write_text("new")
"""


@pytest.mark.places("nfs4.2")
@pytest.mark.parametrize("lock", [1, 2], ids=["folder", "lock-file"])
@pytest.mark.parametrize("name", ["file", "folder", "path"])
def test_before_it_is_locked(kernel, user, place, name, lock):
    """A publisher that is delayed before it locks something is not robbed by the other client's cleaner: it publishes."""
    delayed = ["strace", "-o", "/dev/null", "-e", "trace=flock", "-e", f"inject=flock:delay_enter=2000000:when={lock}"]
    publisher = subprocess.Popen(
        [*delayed, sys.executable, "-c", SLOW, name, place / "a"], stderr=subprocess.PIPE, text=True
    )
    while publisher.poll() is None:
        atomik.clean(place.peer)
        atomik.leftovers(place.peer)
        time.sleep(0.05)

    complaint = publisher.communicate()[1]
    assert publisher.returncode == 0, complaint
    assert os.listdir(place.path) == ["a"]


@pytest.mark.places("smb3")
def test_replacing_what_is_open_elsewhere(kernel, user, place):
    """SMB may refuse to replace a file that another client has open: that is an error after the block, and the work is kept."""
    (place / "a").write_text("old")
    refused = None
    with (place.peer / "a").open():
        try:
            FILE.publish(place / "a", "new", overwrite=True)
        except PermissionError as error:
            refused = str(error)

    if refused is None:
        assert FILE.read(place / "a") == "new"
        return
    assert "is kept as" in refused
    (kept,) = [name for name in os.listdir(place.path) if name.startswith("atomik-kept-")]
    assert FILE.read(place / kept) == "new"
    assert FILE.read(place / "a") == "old"
    (place / kept).unlink()
