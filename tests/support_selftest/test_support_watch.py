"""What a test leaves open or lying around is seen."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from support.needs import need_tool
from support.watch import Entry, litter, no_leaks, tree

pytest_plugins = ["pytester"]


def test_leaked_descriptor() -> None:
    """A descriptor that stays open is a leak, and is named."""
    opened = []
    with pytest.raises(AssertionError, match="/dev/null"), no_leaks():
        opened.append(os.open("/dev/null", os.O_RDONLY))
    os.close(opened[0])


def test_leaked_thread() -> None:
    """A thread that goes on running is a leak."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    with pytest.raises(AssertionError, match="threads left running"), no_leaks():
        thread.start()
    stop.set()
    thread.join()


def test_no_leak(tmp_path: Path) -> None:
    """What is closed again is no leak."""
    with no_leaks():
        (tmp_path / "file").write_text("x")


@pytest.mark.leaves_litter
def test_litter(tmp_path: Path) -> None:
    """Staging entries and kept work are litter at any depth; other names are not."""
    (tmp_path / "sub" / ".atomik-1").mkdir(parents=True)
    (tmp_path / "sub" / ".atomik-1" / "file").write_text("x")
    (tmp_path / "atomik-kept-2").write_text("x")
    (tmp_path / "atomik").write_text("x")

    assert litter(tmp_path) == [tmp_path / "atomik-kept-2", tmp_path / "sub" / ".atomik-1"]


def test_tree(tmp_path: Path) -> None:
    """A tree is told by names, kinds, modes, contents and targets, those that are no text included."""
    top = tmp_path / "top"
    top.mkdir(mode=0o750)
    (top / "file").write_bytes(b"\xff")
    (top / "link").symlink_to("nowhere")
    os.mkfifo(top / "pipe", 0o600)
    (top / os.fsdecode(b"\xff")).mkdir()

    assert tree(top) == {
        ".": Entry("folder", 0o750, None),
        "file": Entry("file", 0o644, b"\xff"),
        "link": Entry("link", 0o777, "nowhere"),
        "pipe": Entry("other", 0o600, None),
        "\udcff": Entry("folder", 0o755, None),
    }


def test_missing_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing tool skips a test with the reason, and fails it where nothing may be skipped."""
    monkeypatch.delenv("ATOMIK_NO_SKIP", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs no-such-tool"):
        need_tool("no-such-tool")

    monkeypatch.setenv("ATOMIK_NO_SKIP", "1")
    with pytest.raises(pytest.fail.Exception, match="needs no-such-tool"):
        need_tool("no-such-tool")


@pytest.mark.system
@pytest.mark.parametrize(
    ("marker", "body", "outcome"),
    [
        ("", "(tmp_path / '.atomik-1').touch()", {"passed": 1, "errors": 1}),
        ("leaves_litter", "(tmp_path / '.atomik-1').touch()", {"passed": 1}),
        ("", "os.open('/dev/null', os.O_RDONLY)", {"passed": 1, "errors": 1}),
        ("leaks_descriptors", "os.open('/dev/null', os.O_RDONLY)", {"passed": 1}),
        ("", "assert os.umask(0o777) == 0o022", {"passed": 1}),
    ],
)
def test_what_holds_for_every_test(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    marker: str,
    body: str,
    outcome: dict[str, int],
) -> None:
    """A test that leaves a staging entry in its tmp_path or a descriptor open fails, unless it says so."""
    top = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.fspath(top), prepend=os.pathsep)
    pytester.makeconftest((top / "conftest.py").read_text())
    mark = f"@pytest.mark.{marker}" if marker else ""
    pytester.makepyfile(f"import os, pytest\n{mark}\ndef test(tmp_path): {body}")

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(**outcome)
