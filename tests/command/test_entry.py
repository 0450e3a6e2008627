"""How the command is started, what it costs those who do not use it, and how it refuses what makes no sense."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import atomik_core
from command.cli import atomik, complaint, environment, start

SUBCOMMANDS = ("clean", "copy", "exchange", "link", "plugins", "probe", "remove", "rename", "run", "write")


def test_the_installed_script_is_the_command():
    """The distribution declares `atomik`, as the function that the tests here call."""
    (script,) = entry_points(group="console_scripts", name="atomik")

    assert script.value == "atomik.__main__:main"


def test_python_m_atomik_is_the_same():
    """Both say the same of themselves."""
    module = subprocess.run(
        [sys.executable, "-m", "atomik", "write", "--help"], capture_output=True, text=True, env=environment()
    )

    assert module.stdout.replace("python -m atomik", "atomik") == atomik("write", "--help").stdout
    assert module.returncode == 0


def test_importing_the_library_does_not_import_click():
    """Only who runs the command pays for it."""
    program = "import sys, atomik; atomik.file; atomik.copy; atomik.probe; sys.exit('click' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], env=environment()).returncode == 0


def test_version():
    """It is the library's."""
    assert atomik("--version").stdout == f"atomik {atomik_core.__version__}\n"


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_help(subcommand):
    """Each subcommand explains itself, also when asked with -h."""
    done = atomik(subcommand, "-h")

    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: atomik {subcommand} ")


def test_help_without_arguments():
    """Who does not know what to say is told, on standard error, with the status of wrong usage."""
    done = atomik()

    assert done.returncode == 2
    assert all(f"\n  {subcommand} " in done.stderr for subcommand in SUBCOMMANDS)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["publish"], "publish"),
        (["wirte"], "'write'"),
        (["write", "a", "--ovewrite"], "--overwrite"),
        (["write"], "DEST"),
        (["write", "a", "b"], "b"),
        (["write", "a", "--sink"], "--sink"),
        (["write", ".."], "'..'"),
        (["write", "a", "--sync=most"], "'most'"),
        (["write", "a", "--permissions=rwx"], "'rwx'"),
        (["write", "a", "--permissions=77777"], "'77777'"),
        (["write", "a", "--backup=b"], "--overwrite"),
        (["run", "true"], "--output"),
        (["run", "-o", "a"], "CMD"),
        (["run", "-o", "a", "-o", "b", "--overwrite", "--backup=c", "true"], "--backup"),
        (["run", "-o", "a", "-o", "b", "cp", "c", "{}"], "{1} or {2}"),
        (["run", "-o", "a", "-o", "b", "cp", "{3}", "{1}"], "{{3}}"),
        (["run", "-o", "a", "-o", "b", "-o", "c", "cp", "{0}", "{1}"], "{1} to {3}"),
        (["run", "-o", "a", "-o", "b", "-I@", "cp", "c", "@"], "@"),
        (["run", "-o", "a", "-I", "", "touch", "{1}"], "-I"),
        (["run", "--stdout", "a", "echo", "{}"], "{{}}"),
        (["run", "--stdout", "a/", "echo"], "--stdout"),
        (["run", "-o", "a", "--stdout", "a", "true"], "'a'"),
        (["run", "-o", "a", "-o", "a", "true"], "'a'"),
        (["copy", "a"], "DEST"),
        (["copy", "/etc/passwd", "a", "--backup=b"], "--overwrite"),
        (["exchange", "a"], "B"),
        (["rename", "a"], "DEST"),
        (["link", "a"], "DEST"),
        (["link", "", "a"], "target"),
        (["remove"], "PATH"),
        (["remove", "a", "b/.."], "'b/..'"),
        (["clean", "nowhere"], "nowhere"),
        (["probe", "--xml", "."], "--xml"),
    ],
)
def test_wrong_usage(here, arguments, names):
    """It is refused with status 2, in one line that names what is wrong and where to read on; nothing is made."""
    done = atomik(*arguments)

    assert done.returncode == 2
    line = complaint(done)
    assert names in line
    assert " --help" in line
    assert not list(here.iterdir())


def test_a_level_that_the_environment_names_wrongly(here):
    """It is wrong usage, too, and the variable is named."""
    done = atomik("write", "a", input="", env={"ATOMIK_SYNC": "most"})

    assert done.returncode == 2
    assert "ATOMIK_SYNC" in complaint(done)


PRINTING = [["--version"], ["--help"], ["write", "-h"], ["probe"], ["plugins", "--json"], ["clean", "."]]


@pytest.mark.parametrize("arguments", PRINTING)
def test_nobody_reads_the_output(here, arguments):
    """A reader that has gone ends it quietly, with the status of a process that SIGPIPE has ended."""
    with start(*arguments) as process:
        process.stdout.close()
        complaints = process.stderr.read()

    assert (process.returncode, complaints) == (141, b"")


@pytest.mark.parametrize("arguments", PRINTING)
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "cannot be written to: No space left on device"), (">&-", "is closed")]
)
def test_the_output_goes_nowhere(here, arguments, redirection, reason):
    """What was asked for could not be said: that is a failure, in one line."""
    done = subprocess.run(
        ["sh", "-c", f'atomik "$@" {redirection}', "sh", *arguments], capture_output=True, text=True, env=environment()
    )

    assert done.returncode == 1
    assert complaint(done) == f"standard output {reason}"


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_who_says_nothing_needs_no_output(here, redirection):
    """A subcommand that has nothing to print works without standard output."""
    done = subprocess.run(f"echo text | atomik write dest {redirection}", shell=True, env=environment())

    assert done.returncode == 0
    assert (here / "dest").read_text() == "text\n"


@pytest.mark.parametrize("arguments", [[], ["wirte"], ["probe", "nowhere"]])
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_nobody_hears_the_complaint(here, arguments, redirection):
    """The exit status says it all the same."""
    done = subprocess.run(
        ["sh", "-c", f'atomik "$@" {redirection}', "sh", *arguments], stdout=subprocess.PIPE, env=environment()
    )

    assert (done.returncode, done.stdout) == (2, b"")


def test_an_error_is_told_in_the_commands_own_terms(here):
    """Where Python's interface has arguments and functions, the line has options and subcommands."""
    (here / "dest").write_text("old")
    (here / "folder").mkdir()
    told = {
        "--overwrite": ["write", "dest"],
        "--parents": ["write", "missing/dest"],
        "--tmp-dir 'nowhere'": ["write", "new", "--tmp-dir=nowhere"],
        "--tmp-dir 'folder'": ["run", "--overwrite", "-o", "folder", "--tmp-dir=folder", "true"],
        "--backup 'dest'": ["write", "--overwrite", "dest", "--backup=dest"],
        "without --overwrite": ["write", "dest", "--backup=older"],
        "of two outputs": ["run", "-o", "new", "-o", "./new", "true"],
        "drop the slash": ["write", "new/"],
    }
    if os.stat(here).st_dev != os.stat("/dev/shm").st_dev:
        told["`atomik copy`"] = ["rename", "dest", "/dev/shm/elsewhere"]
    for words, arguments in told.items():
        done = atomik(*arguments, input="text")
        assert done.returncode in {1, 2}
        line = complaint(done)
        assert words in line
        assert not re.search(r"\w=|\w_\w|\batomik\.|\)\s*$", line), line
