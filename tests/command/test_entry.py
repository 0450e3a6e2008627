"""How the command is started, what it costs those who do not use it, and how it refuses what makes no sense."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import atomik_core
from command.cli import atomik, complaint, environment, start

SUBCOMMANDS = ("clean", "copy", "exchange", "plugins", "probe", "run", "write")


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
        (["run", "-o", "a", "-o", "b", "cp", "c", "{}"], "{1} to {2}"),
        (["run", "-o", "a", "-o", "a", "true"], "'a'"),
        (["copy", "a"], "DEST"),
        (["exchange", "a"], "B"),
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


def test_nobody_reads_the_output(here):
    """A reader that has gone ends it quietly, with the status of a process that SIGPIPE has ended."""
    with start("probe", ".") as process:
        process.stdout.close()
        complaints = process.stderr.read()

    assert (process.returncode, complaints) == (141, b"")
