"""What the documentation says of the command is what the command says, and its recipes work."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from command.cli import environment
from support.needs import need_tool

ROOT = Path(__file__).parents[2]
RECIPES = (ROOT / "docs" / "how-to" / "shell.md").read_text()


@pytest.fixture(scope="module")
def pages():
    """The program that writes what is generated."""
    specification = importlib.util.spec_from_file_location("command_pages", ROOT / "docs" / "command_pages.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def words(text: str) -> list[str]:
    """A text without its line breaks, which are a matter of click's version."""
    return text.split()


def test_the_reference_is_in_step(pages):
    """It holds what --help prints today; `python docs/command_pages.py` puts it in step."""
    page = pages.REFERENCE.read_text()

    assert "Usage: atomik exchange" in page
    assert words(page) == words(pages.reference(page))


def test_the_man_page_is_in_step(pages):
    """It, too, holds what --help prints today."""
    assert words(pages.MAN_PAGE.read_text()) == words(pages.man_page())


def test_the_man_page_is_one(pages):
    """The program man renders it without a warning, with every subcommand and option."""
    need_tool("man", "groff")
    done = subprocess.run(
        ["man", "--warnings", "-l", pages.MAN_PAGE], capture_output=True, text=True, env=environment(MANWIDTH="100")
    )

    assert done.stderr == ""
    text = re.sub(r".\x08", "", done.stdout)
    for context in pages.contexts():
        assert context.command_path in text
        for parameter in context.command.get_params(context):
            assert all(name in text for name in parameter.opts if name.startswith("-"))


def test_the_recipes(here):
    """Those for a shell run as they are printed, one after the other, in an empty directory, without a complaint."""
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE))
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, env=environment())

    assert (done.returncode, done.stderr) == (0, "")
    assert Path("prices.csv.old").exists()


def test_the_rule_of_the_makefile(here):
    """It makes the target, and leaves none when its command fails."""
    need_tool("make")
    (rule,) = re.findall(r"^```make\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)
    Path("Makefile").write_text(rule)
    Path("prices.csv").write_text("name,total\n")
    made = subprocess.run(["make", "prices.csv.gz"], capture_output=True, text=True, env=environment())
    Path("Makefile").write_text(rule.replace("gzip --stdout", "gzip --stdout --no-such-option"))
    Path("others.csv").write_text("name,total\n")
    failed = subprocess.run(["make", "others.csv.gz"], capture_output=True, text=True, env=environment())

    assert made.returncode == 0, made.stderr
    assert subprocess.run(["gzip", "--test", "prices.csv.gz"]).returncode == 0
    assert failed.returncode != 0
    assert not Path("others.csv.gz").exists()
