"""`atomik run`: a program's outputs are published together if it succeeds, and signals are its own affair."""

from __future__ import annotations

import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from command.cli import atomik, complaint, environment, folder, start
from support.needs import need_tool
from support.watch import litter, tree


def test_what_it_made_is_published_when_it_succeeds(here):
    """While it runs there is nothing at the destination; the staged path is absolute and has the destination's name."""
    done = atomik(
        "run", "-o", "a b.txt", "--", "sh", "-c", 'test ! -e "$2" && echo "$1" > "$1"', "sh", "{}", here / "a b.txt"
    )

    assert done.returncode == 0, done.stderr
    staged = Path(Path("a b.txt").read_text().rstrip("\n"))
    assert staged.is_absolute()
    assert staged.name == "a b.txt"
    assert os.listdir() == ["a b.txt"]


def test_several_outputs_are_published_together(here):
    """Files and folders, by number in the arguments and in the environment."""
    done = atomik(
        *("run", "-o", "table", "--output", "plots/", "-o", "sub/log", "--parents"),
        *("sh", "-c", 'echo 1 > "$0"; mkdir "$1"; echo 2 > "$1"/p; echo 3 > "$ATOMIK_OUTPUT_3"', "{1}", "{2}"),
    )

    assert done.returncode == 0, done.stderr
    assert {name: entry.content for name, entry in tree(here).items() if entry.kind == "file"} == {
        "table": b"1\n",
        "plots/p": b"2\n",
        "sub/log": b"3\n",
    }


@pytest.mark.parametrize("outputs", [1, 2])
def test_nothing_is_published_when_it_fails(here, outputs):
    """What it made is discarded, the old versions stay, and its exit status is passed on."""
    names = ["a", "b"][:outputs]
    for name in names:
        Path(name).write_text("old")
    options = [option for name in names for option in ("-o", name)]
    done = atomik("run", "--overwrite", *options, "--", "sh", "-c", "echo new > $ATOMIK_OUTPUT_1; exit 23")

    assert done.returncode == 23
    assert complaint(done) == f"{', '.join(names)}: nothing was published, since sh exited with 23"
    assert {name: Path(name).read_text() for name in os.listdir()} == dict.fromkeys(names, "old")


@pytest.mark.leaves_litter
def test_one_of_several_is_missing(here):
    """Success with an output that was not made publishes none; the line names it alone, and where the others are kept."""
    done = atomik("run", "-o", "a", "-o", "b", "--stdout", "c", "--", "sh", "-c", "echo made > {1}; echo printed")

    assert done.returncode == 1
    assert complaint(done).startswith("b: ")
    (kept,) = os.listdir()
    assert kept in complaint(done)
    assert {name: Path(kept, name).read_text() for name in os.listdir(kept)} == {"a": "made\n", "c": "printed\n"}


def test_nothing_is_made(here):
    """Every output is named, and there is nothing to keep."""
    done = atomik("run", "-o", "a", "-o", "b", "--", "true")

    assert done.returncode == 1
    assert "'a', 'b'" in complaint(done)
    assert not os.listdir()


_BESIDE = (
    "sh",
    "-c",
    'echo data > "$0"; echo index > "$0.idx"; mkdir "$(dirname "$0")"/more; touch "$(dirname "$0")"/more/x',
)


def test_what_is_made_beside_an_output(here):
    """It is published beside the destination, where a direct run would have made it, and reported in one line."""
    Path("sub").mkdir()
    Path("sub/data.idx").write_text("old\n")
    done = atomik("run", "-o", "sub/data", "--", *_BESIDE, "{}")

    assert done.returncode == 0
    assert complaint(done) == "sub/data.idx, sub/more: published, too, since sh made it beside its output"
    assert sorted(tree(Path("sub"))) == [".", "data", "data.idx", "more", "more/x"]
    assert Path("sub/data.idx").read_text() == "index\n"


def test_what_is_made_beside_an_output_quietly(here):
    """With --quiet it is published without a word."""
    done = atomik("run", "-q", "-o", "data", "--", *_BESIDE, "{}")

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir()) == ["data", "data.idx", "more"]


def test_nobody_reads_what_was_made_beside_an_output(here):
    """It is published all the same, and that is no failure."""
    done = subprocess.run("atomik run -o a -- touch {} {}x 2>/dev/full", shell=True, env=environment())

    assert done.returncode == 0
    assert sorted(os.listdir()) == ["a", "ax"]


@pytest.mark.leaves_litter
def test_what_is_made_beside_an_output_is_refused(here):
    """With --extras=refuse nothing is published, the line says what it is, what to pass and where everything is kept."""
    done = atomik("run", "--extras=refuse", "-o", "data", "--", *_BESIDE, "{}")

    assert done.returncode == 1
    (kept,) = os.listdir()
    assert all(words in complaint(done) for words in ("data.idx", "--extras=publish", "--extras=discard", kept))
    assert sorted(os.listdir(kept)) == ["data", "data.idx", "more"]


def test_what_is_made_beside_an_output_is_dropped(here):
    """With --extras=discard only the outputs are published."""
    done = atomik("run", "--extras=discard", "-o", "data", "--", *_BESIDE, "{}")

    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir() == ["data"]


@pytest.mark.parametrize("old", [None, "old\n"])
def test_a_program_that_writes_to_the_destination(here, old):
    """What it wrote stays, and a line says that this was not atomic; with --strict that is a failure."""
    for name in ("a", "b"):
        if old is not None:
            Path(name).write_text(old)
    reported = atomik("run", "--overwrite", "-o", "a", "--", "sh", "-c", "echo direct > a")
    failed = atomik("run", "--overwrite", "--strict", "-o", "b", "--", "sh", "-c", "echo direct > b")

    assert reported.returncode == 0
    assert complaint(reported).startswith("a: ")
    assert "not published atomically" in complaint(reported)
    assert failed.returncode == 1
    assert complaint(failed).startswith("b: ")
    assert {name: Path(name).read_text() for name in os.listdir()} == {"a": "direct\n", "b": "direct\n"}


@pytest.mark.leaves_litter
def test_a_program_that_writes_to_both(here):
    """What it made at the staged path is published; what it wrote to the destination is kept, and the line says where."""
    Path("a").write_text("old\n")
    done = atomik("run", "--overwrite", "-o", "a", "--", "sh", "-c", "echo direct > a; echo staged > {}")

    assert done.returncode == 0
    (kept,) = set(os.listdir()) - {"a"}
    assert kept in complaint(done)
    assert Path("a").read_text() == "staged\n"
    assert Path(kept).read_text() == "direct\n"


def test_a_symbolic_link_is_an_output(here):
    """It is published as the program made it, and takes the place of another link."""
    Path("releases/1").mkdir(parents=True)
    Path("releases/2").mkdir()
    Path("releases/2/page").write_text("two")
    first = atomik("run", "-o", "current", "--", "ln", "-s", "releases/1", "{}")
    assert os.readlink("current") == "releases/1"
    second = atomik("run", "--overwrite", "-o", "current", "--", "ln", "-s", "releases/2", "{}")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert os.readlink("current") == "releases/2"
    assert Path("current/page").read_text() == "two"
    assert os.listdir("releases/1") == []


def test_outputs_of_one_directory_and_in_one_another(here):
    """The staged paths lie to each other as the destinations do."""
    script = (
        'test "$(dirname "$1")" = "$(dirname "$2")" && test "$3" = "$2/in/c" && mkdir -p "$2/in" && touch "$1" "$3"'
    )
    done = atomik("run", "-o", "a", "-o", "b/", "-o", "b/in/c", "--", "sh", "-c", script, "sh", "{1}", "{2}", "{3}")

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(tree(here)) == [".", "a", "b", "b/in", "b/in/c"]


@pytest.mark.parametrize("option", ["-o", "--stdout"])
def test_options(here, option):
    """They do what they do in Python: mode, staging elsewhere, the old version kept."""
    Path("tmp").mkdir()
    Path("dest").write_text("old\n")
    Path("dest").chmod(0o644)
    script = "echo new" if option == "--stdout" else "echo new > {}"
    done = atomik(
        *("run", "--overwrite", "--permissions=640", "--tmp-dir=tmp", "--backup=before", "--sync=normal"),
        *(option, "dest", "--", "sh", "-c", script),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert Path("dest").read_text() == "new\n"
    assert stat.S_IMODE(Path("dest").stat().st_mode) == 0o640
    assert Path("before").read_text() == "old\n"
    assert sorted(os.listdir()) == ["before", "dest", "tmp"]
    assert not os.listdir("tmp")


def test_a_destination_is_there_already(here):
    """It is refused before the program is started."""
    Path("b").write_text("old")
    done = atomik("run", "-o", "a", "-o", "b", "--", "touch", "started")

    assert done.returncode == 1
    assert "--overwrite" in complaint(done)
    assert os.listdir() == ["b"]


@pytest.mark.parametrize(("program", "status"), [("no-such-program", 127), ("./plain-file", 126)])
def test_a_program_that_cannot_be_started(here, program, status):
    """The statuses are those of a shell, and the line names the destination and the program."""
    Path("plain-file").write_text("")
    done = atomik("run", "-o", "out", "--", program)

    assert done.returncode == status
    assert complaint(done).startswith(f"out: nothing was published, since {program} could not be started (")
    assert os.listdir() == ["plain-file"]


def test_a_program_that_a_signal_ends(here):
    """The status is 128 and the signal's number, as in a shell."""
    done = atomik("run", "-o", "out", "--", "sh", "-c", "kill -KILL $$")

    assert done.returncode == 128 + signal.SIGKILL
    assert complaint(done) == "out: nothing was published, since sh was ended by SIGKILL"


_TRAPPING = """
import os, signal, sys, time
seen = []
for number in map(int, sys.argv[2:]):
    signal.signal(number, lambda number, frame: seen.append(number))
open(sys.argv[1], "w").close()
print("ready", flush=True)
deadline = time.monotonic() + 60
while not seen and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(0.5)  # for a second one, which there should not be
print(*seen, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on(here, number):
    """The program gets the signal once and decides: it succeeds all the same, and what it made is published."""
    with start("run", "-o", "out", "--", sys.executable, "-c", _TRAPPING, "{}", str(int(number))) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.stdout.read() == f"{int(number)}\n".encode()
        assert process.wait(60) == 0

    assert os.listdir() == ["out"]


def test_a_signal_that_the_program_does_not_survive(here):
    """It ends the program, everything is discarded, and the status is that of the signal."""
    with start("run", "-o", "out", "--", sys.executable, "-c", _TRAPPING, "{}") as process:
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(60) == 143

    assert not os.listdir()


def _press_control_c(*cmd: str, then: int | None = None) -> tuple[int, list[bytes]]:
    """Run CMD at a terminal, press Ctrl-C there, THEN send `atomik` another signal; its status and CMD's words."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(folder() / "atomik", ["atomik", "run", "-o", "out", "--", *cmd], environment())
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    while b"^C" not in seen:  # when the terminal shows it, it has sent the signal
        seen += os.read(terminal, 1024)
    if then is not None:
        os.kill(child, then)
    while seen.count(b"\n") < 2:
        seen += os.read(terminal, 1024)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen.replace(b"^C", b"").split()


def test_control_c_reaches_the_program(here):
    """It decides what becomes of it, and here it succeeds."""
    status, words = _press_control_c(sys.executable, "-c", _TRAPPING, "{}", str(int(signal.SIGINT)))

    assert (status, words) == (0, [b"ready", b"2"])
    assert os.listdir() == ["out"]


def test_control_c_is_not_passed_on(here):
    """Whom the terminal has not told, such as a program in a session of its own, is not told by us; others are once."""
    need_tool("setsid")
    trapped = [str(int(number)) for number in (signal.SIGINT, signal.SIGUSR1)]
    status, words = _press_control_c("setsid", sys.executable, "-c", _TRAPPING, "{}", *trapped, then=signal.SIGUSR1)

    assert (status, words) == (0, [b"ready", b"%d" % signal.SIGUSR1])


def test_the_program_gets_the_signals_that_it_would_get_anyway(here):
    """Nothing is blocked or ignored that was not before: `head` may close a pipe on it, and Ctrl-C may end it."""
    show = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
    plain = subprocess.run(show, capture_output=True, text=True)
    done = atomik("run", "-o", "out", "--", *show)

    assert _standard_signals(done.stdout) == _standard_signals(plain.stdout)


def _standard_signals(status: str) -> list[int]:
    """The masks in STATUS, without the two signals that the C library keeps to itself."""
    return [int(line.split()[1], 16) & 0x7FFFFFFF for line in status.splitlines()]


def test_descriptors_are_passed_on(here):
    """What the caller has left open for its children is open in the program, such as a jobserver of make."""
    reading, writing = os.pipe()
    with open(reading, "rb") as reader:
        done = atomik(
            "run",
            "-o",
            "out",
            "--",
            "sh",
            "-c",
            f"echo token > /proc/self/fd/{writing}; touch {{}}",
            pass_fds=[writing],
        )
        os.close(writing)
        assert reader.read() == b"token\n"

    assert done.returncode == 0


def test_an_outer_run_keeps_its_outputs_to_itself(here):
    """One `atomik run` in another sees only its own outputs."""
    inner = 'env | grep ATOMIK_OUTPUT_ | sed "s/=.*//" > "$ATOMIK_OUTPUT_1"'
    done = atomik(
        *(
            "run",
            "-o",
            "a",
            "-o",
            "b",
            "--",
            "sh",
            "-c",
            'touch "$1" "$2"; atomik run -o c -- sh -c "$0"',
            inner,
            "{1}",
            "{2}",
        )
    )

    assert done.returncode == 0, done.stderr
    assert Path("c").read_text() == "ATOMIK_OUTPUT_1\n"


def test_braces(here):
    """Doubled they are literal; those of a shell, of awk or of a regular expression are left alone."""
    done = atomik(
        *("run", "-o", "a", "-o", "b", "--", "sh", "-c", 'touch {1} "$ATOMIK_OUTPUT_2"; printf "%s" "$0$1"'),
        *("{{}} {{3}} {x} {1,2} a{,} ", "${1} ${3} {print $2}"),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "{} {3} {x} {1,2} a{,} ${1} ${3} {print $2}"


def test_another_text_stands_for_the_output(here):
    """With -I a program gets {} as it is; numbers go on meaning outputs."""
    done = atomik("run", "-o", "a", "-I", "%", "--", "sh", "-c", 'echo "$@" > "$0"', "%", "{}", "{{}}", "x%y", "{1}")

    assert done.returncode == 0, done.stderr
    only, literal, *within = Path("a").read_text().split()
    staged = within[-1]
    assert (only, literal, within) == ("{}", "{{}}", [f"x{staged}y", staged])


def test_find_replaces_its_own_braces(here):
    """Under find, which replaces every {}, the output is {1}."""
    for name in ("a b", "c"):
        Path(f"{name}.txt").write_text(f"{name}\n")
    find = "find . -name '*.txt' -exec atomik run -o {}.copy -- cp {} {1} ';'"
    done = subprocess.run(find, shell=True, env=environment())

    assert done.returncode == 0
    assert Path("a b.txt.copy").read_text() == "a b\n"
    assert Path("c.txt.copy").read_text() == "c\n"


@pytest.mark.parametrize("where", ["new", "sub/new", "old"])
def test_standard_output(here, where):
    """It becomes a file when the program has succeeded; until then there is none, or the old version."""
    Path("old").write_text("old\n")
    looking = 'printf "one\n"; test ! -s new && test ! -e sub/new && grep -q old old && echo two'
    done = atomik("run", "--overwrite", "--parents", "--stdout", where, "--", "sh", "-c", looking)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Path(where).read_text() == "one\ntwo\n"
    assert stat.S_IMODE(Path(where).stat().st_mode) == 0o644


def test_standard_output_and_other_outputs(here):
    """All are published together; only those of -o have numbers."""
    done = atomik(
        *("run", "--stdout", "log", "-o", "a", "-o", "b/", "--"),
        *("sh", "-c", 'echo 1 > "$0"; mkdir "$1"; echo made; env | grep -c ATOMIK_OUTPUT_', "{1}", "{2}"),
    )

    assert done.returncode == 0, done.stderr
    assert Path("log").read_text() == "made\n2\n"
    assert Path("a").read_text() == "1\n"
    assert sorted(os.listdir()) == ["a", "b", "log"]


def test_standard_output_of_a_program_that_fails(here):
    """What `dump | gzip > file` would have taken for the whole is discarded, and the status is the program's."""
    Path("dump").write_text("yesterday\n")
    done = atomik("run", "--overwrite", "--stdout", "dump", "-o", "a", "--", "sh", "-c", "echo half; touch {}; exit 4")

    assert done.returncode == 4
    assert complaint(done) == "a, dump: nothing was published, since sh exited with 4"
    assert {name: Path(name).read_text() for name in os.listdir()} == {"dump": "yesterday\n"}


def test_standard_output_over_a_folder(here):
    """It is refused before the program starts."""
    Path("dest").mkdir()
    done = atomik("run", "--overwrite", "--stdout", "dest", "--", "touch", "started")

    assert done.returncode == 1
    assert complaint(done).startswith("dest: A folder stands at the destination")
    assert os.listdir() == ["dest"]


def test_a_standard_output_that_is_closed_is_no_other_descriptor(here):
    """The program gets the file as its standard output, even if the command has been started without one."""
    done = subprocess.run("atomik run --stdout out -- echo text >&- 2>&-", shell=True, env=environment())

    assert done.returncode == 0
    assert Path("out").read_text() == "text\n"


def test_a_slash_asks_for_a_folder(here):
    """That is published, with what is in it."""
    done = atomik("run", "-o", "made/", "--", "sh", "-c", 'mkdir "$0"; touch "$0"/x', "{}")

    assert done.returncode == 0, done.stderr
    assert os.listdir("made") == ["x"]


@pytest.mark.leaves_litter
def test_a_file_where_a_slash_asks_for_a_folder(here):
    """It is refused, the line names that output alone, and what was made is kept."""
    done = atomik("run", "-o", "fil/", "-o", "log", "--", "touch", "{1}", "{2}")

    assert done.returncode == 1
    assert complaint(done).startswith("fil/: ")
    (kept,) = os.listdir()
    assert kept in complaint(done)
    assert sorted(os.listdir(kept)) == ["fil", "log"]


def test_outputs_where_nothing_can_be_exchanged(mounts):
    """Files are replaced all the same, each in one instant; a folder that exists is refused before the program starts."""
    there = mounts("bindfs")
    for name in ("a", "b"):
        (there / name).write_text("old")
    (there / "c").mkdir()
    (there / "c/old").write_text("old")
    files = atomik(
        *("run", "--overwrite", "-o", there / "a", "-o", there / "b", "--", "sh", "-c", "echo new | tee {1} > {2}"),
    )
    folder = atomik("run", "--overwrite", "-o", there / "c/", "--", "touch", there / "started")

    assert files.returncode == 0, files.stderr
    assert [(there / name).read_text() for name in ("a", "b")] == ["new\n", "new\n"]
    assert folder.returncode == 1
    assert "RENAME_EXCHANGE" in complaint(folder)
    assert not (there / "started").exists()
    assert not litter(there)


@pytest.mark.leaves_litter
def test_kill_9_leaves_what_clean_removes(here):
    """The destination is as it was; what is left is dead as soon as the program is, and `atomik clean` takes it."""
    program = 'echo part > "$ATOMIK_OUTPUT_1"; echo ready; read line'
    with start("run", "-o", "out", "--", "sh", "-c", program, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.stdin.close()
        process.stdout.read()  # to the end of the program, which nobody has told

    assert not Path("out").exists()
    assert litter(here)
    assert atomik("clean", ".").returncode == 0
    assert not os.listdir()
