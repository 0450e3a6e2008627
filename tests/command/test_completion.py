"""What the three shells make of the Tab key, asked of the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time

import pytest

from command.cli import environment
from support.needs import need_tool

WANTED = [
    ("atomik pl", {"plugins"}),
    ("atomik c", {"clean", "copy"}),
    ("atomik write --sync n", {"normal"}),
    ("atomik run --tm", {"--tmp-dir"}),
]


@pytest.mark.parametrize(("line", "wanted"), WANTED)
def test_bash(here, line, wanted):
    """Subcommands, options and their values are completed."""
    need_tool("bash")
    words = line.split()
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""
        eval "$(_ATOMIK_COMPLETE=bash_source atomik)"
        COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
        "$(complete -p atomik | sed 's/.*-F \\([^ ]*\\).*/\\1/')" atomik
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, env=environment())

    assert set(done.stdout.split()) == wanted, done.stderr


@pytest.mark.parametrize(("line", "wanted"), WANTED)
def test_fish(here, line, wanted):
    """Subcommands, options and their values are completed."""
    need_tool("fish")
    script = f"_ATOMIK_COMPLETE=fish_source atomik | source; complete --do-complete '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, env=environment(HOME=str(here))
    )

    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == wanted, done.stderr


def test_zsh(here):
    """At a terminal, Tab completes a subcommand, and an option after it."""
    need_tool("zsh")
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment(TERM="dumb", HOME=str(here), PS1="> "))
    try:
        _say(terminal, 'autoload -U compinit; compinit -u -D; eval "$(_ATOMIK_COMPLETE=zsh_source atomik)"\n')
        _say(terminal, "echo is-$((1 + 1))-ready\n")
        _wait(terminal, "is-2-ready")
        _say(terminal, "atomik plu\t")
        _wait(terminal, "plugins ")
        _say(terminal, "--js\t")
        _wait(terminal, "--json")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


def _say(terminal: int, text: str) -> None:
    os.write(terminal, text.encode())


def _wait(terminal: int, text: str) -> None:
    """Read until the terminal shows TEXT, which is not what was typed."""
    seen, deadline = "", time.monotonic() + 60
    while text not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\b]", "", seen):
        left = deadline - time.monotonic()
        assert left > 0, f"the terminal never showed {text!r}: {seen!r}"
        if select.select([terminal], [], [], left)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
