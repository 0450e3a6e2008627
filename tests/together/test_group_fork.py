"""Forked children: a group of the parent's is dead in them, so nothing they do or end with touches it."""

from __future__ import annotations

import os

import pytest

from support.processes import run

pytestmark = pytest.mark.system

SCRIPT = """
import gc, os, sys
import atomik

def add(name):
    with group.file(name, overwrite=True) as file:
        file.write("new")

end = sys.argv[1]
group = atomik.group()
pid = -1
try:
    with group:
        add("first")
        with group.folder("folder") as folder:
            (folder / "one").write_text("new")
        handle = group.file("open", overwrite=True).open()
        handle.write("before, ")
        pid = os.fork()
        if pid == 0:
            if end == "exit":
                sys.exit(0)
            elif end == "exception":
                raise ZeroDivisionError
            elif end == "publish":
                group.publish()
            elif end == "discard":
                group.discard()
            elif end == "collect":
                del group, handle, folder
                gc.collect()
                os._exit(0)
            elif end == "write":
                handle.write("child" * 10000)
                handle.flush()
            elif end == "add":
                try:
                    add("second")
                except ValueError as error:
                    assert "forked" in str(error)
                    os._exit(0)
                os._exit(1)
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            handle.write("after")
            add("second")
except ZeroDivisionError:
    pass
if pid == 0:
    sys.exit(0)
print(status, group.state)
"""


@pytest.mark.parametrize(
    "end", ["the end of the block", "exit", "exception", "publish", "discard", "collect", "write", "add"]
)
def test_child_ends(tmp_path, end):
    """However a forked child ends, the parent's group goes on, and holds what the parent made."""
    (tmp_path / "first").write_text("old")

    assert run(SCRIPT, end, cwd=tmp_path) == (0, "0 published\n", "")

    texts = {name: (tmp_path / name).read_text() for name in ("first", "second", "open", "folder/one")}
    assert texts == {"first": "new", "second": "new", "open": "before, after", "folder/one": "new"}
    assert sorted(os.listdir(tmp_path)) == ["first", "folder", "open", "second"]


def test_group_that_is_made_before_and_used_after_the_fork(tmp_path):
    """A group that was made before a fork, and opened in the child, is the child's."""
    source = """
import os
import atomik

group = atomik.group()
pid = os.fork()
if pid == 0:
    with group, group.file("a") as file:
        file.write("child")
    os._exit(0)
os.waitpid(pid, 0)
with group, group.file("b") as file:
    file.write("parent")
"""
    assert run(source, cwd=tmp_path) == (0, "", "")

    assert (tmp_path / "a").read_text() == "child"
    assert (tmp_path / "b").read_text() == "parent"
