"""Programs in processes of their own, rivals, and watchers."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import pytest

from support.filesystems import Mounts
from support.processes import NOBODY, Program, run
from support.rivals import rivals
from support.state import ABSENT, state
from support.watcher import Watcher

pytestmark = pytest.mark.system


def test_talks_and_ends() -> None:
    """A program answers line by line, and its end tells its code, its output and its complaints."""
    source = "import sys\nprint(input() * 2, flush=True)\nprint(sys.argv[1])\nsys.exit('no')"

    with Program(source, "last") as program:
        program.say("ab")

        assert program.line() == "abab"
        assert program.finish() == (1, "last\n", "no\n")


def test_file_with_imports(tmp_path: Path) -> None:
    """A program can be a file, and imports what the test run can."""
    script = tmp_path / "script.py"
    script.write_text("import pytest, os; print(__file__, os.getcwd())")

    assert run(script, cwd=tmp_path).out == f"{script} {tmp_path}\n"


def test_kill() -> None:
    """A program can be killed at a moment of the test's choice."""
    with Program("print('here', flush=True); import time; time.sleep(60)") as program:
        program.line()

        assert program.kill() == -signal.SIGKILL


def test_silence() -> None:
    """Waiting for a line of a program that has failed tells what it complained about."""
    with Program("raise ValueError('wrong')") as program, pytest.raises(AssertionError, match="wrong"):
        program.line()


def test_dies_with_its_parent() -> None:
    """A program does not outlive the process that started it, even if that one is killed."""
    outer = (
        "from support.processes import Program\n"
        "inner = Program('import time; print(1, flush=True); time.sleep(60)')\n"
        "inner.line()\n"
        "print(inner.pid, flush=True)\n"
        "inner.finish()\n"
    )
    with Program(outer) as program:
        inner = os.pidfd_open(int(program.line()))
        program.kill()

    ended, _, _ = select.select([inner], [], [], 10)
    os.close(inner)
    assert ended


def test_nobody(mounts: Mounts) -> None:
    """As another user a program still imports everything, and is held to that user's rights."""
    folder = mounts("tmpfs")
    source = "import os, pytest, support\nprint(os.getuid(), os.getgroups())\nopen('x', 'w')"

    finished = run(source, user=NOBODY, cwd=folder)

    assert finished.out == f"{NOBODY} []\n"
    assert "PermissionError" in finished.err


def test_rivals(tmp_path: Path) -> None:
    """Of rivals for one name exactly one wins each round; the test sees each round before the next."""
    source = (
        "import os, sys\n"
        "def attempt(number):\n"
        "    os.close(os.open(f'{sys.argv[1]}/{number}', os.O_CREAT | os.O_EXCL))\n"
        "    return 'won'\n"
    )

    for number, answers in enumerate(rivals(4, source, tmp_path, rounds=50)):
        assert sorted(map(str, answers)) == ["FileExistsError"] * 3 + ["won"]
        assert len(os.listdir(tmp_path)) == number + 1


def test_watcher_of_a_file(tmp_path: Path) -> None:
    """A watcher sees every state that lasts a moment, and tells them in order."""
    path = tmp_path / "file"
    expected = [ABSENT]
    with Watcher(path) as watcher:
        for content in ("one", "two"):
            staged = tmp_path / "staged"
            staged.write_text(content)
            staged.replace(path)
            expected.append(state(path))
            time.sleep(0.05)

    assert watcher.history == expected
    assert watcher.looks > 100


def test_watcher_sees_a_torn_write(tmp_path: Path) -> None:
    """A watcher catches a file that is written in place: there is a moment at which it is neither old nor new."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    old = state(path)
    with Watcher(path) as watcher:
        for number in range(30):
            path.write_bytes(bytes([number]) * (1 << 20))
            time.sleep(0.002)

    assert any("file 644 0 bytes" in seen for seen in watcher.states - {old})


def test_state_of_a_folder(tmp_path: Path) -> None:
    """The state of a folder changes with any name, content, link or mode in it, and is the same for equal trees."""
    trees = [tmp_path / name for name in ("a", "b")]
    for top in trees:
        (top / "sub").mkdir(parents=True)
        (top / "sub" / "file").write_text("x")
        (top / "link").symlink_to("sub")
    before = state(trees[0])
    assert state(trees[1]) == before

    (trees[0] / "sub" / "file").chmod(0o600)

    assert state(trees[0]) != before


def test_watcher_as_nobody(mounts: Mounts) -> None:
    """A watcher can look as another user, who may see less."""
    folder = mounts("tmpfs")
    path = folder / "file"
    path.write_text("secret")
    path.chmod(0o600)
    with Watcher(path, user=NOBODY) as watcher:
        pass

    assert watcher.states == {"forbidden"}
