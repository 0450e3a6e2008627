"""`outputs()`: staged and published without Snakemake's doing, in whatever Python runs the rule."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import atomik
from snakemake_atomik import configure, outputs
from support.needs import need_root
from support.processes import run
from support.watch import litter


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Be in an empty folder, with the settings as they are in the beginning."""
    monkeypatch.chdir(tmp_path)
    yield
    configure()


def test_all_are_published_together_when_the_block_ends():
    """Paths keep their relative places, their directories exist, and nothing is at the destinations before the end."""
    with outputs(["out/index.1", "out/index.2", "deep/er/folder"]) as (one, two, folder):
        Path(one).write_text("1")
        Path(f"{one[:-1]}2").write_text("2")
        Path(folder).mkdir()
        Path(folder, "inner").touch()
        assert two == f"{one[:-1]}2"
        assert one.startswith(".snakemake/atomik/.atomik-")
        assert [] == os.listdir("out")

    assert ["1", "2"] == [Path(f"out/index.{number}").read_text() for number in (1, 2)]
    assert ["inner"] == os.listdir("deep/er/folder")
    assert [] == litter(Path())


def test_one_path_is_given_as_it_came():
    """A string gives a string, a Path a Path; absolute ones give absolute ones; an old version is replaced."""
    Path("x").write_text("old")
    with outputs("x") as text:
        Path(text).write_text("new")
        assert "old" == Path("x").read_text()
    assert "new" == Path("x").read_text()
    with outputs(Path("y")) as path:
        path.write_text("y")
    with outputs(os.path.abspath("z")) as absolute:
        assert os.path.isabs(absolute)
        Path(absolute).write_text("z")
    assert ["x", "y", "z"] == sorted(name for name in os.listdir() if name != ".snakemake")


def test_what_lies_in_a_directory_output_is_published_with_it():
    """An output inside another is made in it, and is there when that is."""
    with outputs(["folder/inner/file", "folder"]) as (file, folder):
        assert file == f"{folder}/inner/file"
        Path(file).write_text("x")
    assert "x" == Path("folder/inner/file").read_text()


def test_outputs_outside_of_the_working_directory_and_with_odd_names(tmp_path, monkeypatch):
    """A path that leads up, an absolute one elsewhere, and names that the staging folder uses itself are all published."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    paths = ["../up/file", str(tmp_path / "elsewhere"), "lock", ".outside/file", ".directory-0", "outputs"]
    with outputs(paths) as staged:
        assert len(set(staged)) == len(paths)
        for path in staged:
            Path(path).write_text(path)
    assert staged == [Path(path).read_text() for path in paths]
    assert [] == litter(tmp_path)


@pytest.mark.leaves_litter
def test_if_one_is_missing_none_is_published_and_the_others_are_kept():
    """The error names the missing ones, and says where the others are; what was there stays."""
    Path("a").write_text("old")
    with pytest.raises(
        atomik.NothingStagedError, match="Not made where it was to be: 'b'; nothing is published"
    ) as caught:
        with outputs(["a", "b"]) as (a, _):
            Path(a).write_text("new")
    [kept] = Path(".snakemake/atomik").iterdir()
    assert str(kept.absolute()) in str(caught.value)
    assert "new" == Path(kept, "a").read_text()
    assert "old" == Path("a").read_text()
    assert [".snakemake", "a"] == sorted(os.listdir())


def test_an_exception_discards_and_passes():
    """Whatever the block raises, nothing is published or left, and it is raised as it was."""
    with pytest.raises(KeyboardInterrupt), outputs("a") as a:
        Path(a).write_text("half")
        raise KeyboardInterrupt
    assert not Path("a").exists()
    assert [] == litter(Path())


@pytest.mark.system
@pytest.mark.leaves_litter
def test_what_cannot_be_published_is_kept(tmp_path, mounts):
    """A full disk takes no output with it: the error says where they all are."""
    need_root()
    full = mounts.small()
    configure(tmp_dir=tmp_path / "scratch")
    with pytest.raises(OSError, match="No space left") as caught, outputs([f"{full}/a", "b", f"{full}/c"]) as (a, b, c):
        Path(a).write_text("a")
        Path(b).write_text("b")
        Path(c).write_bytes(bytes(16 << 20))

    # What had gone beside its destination already is kept there, and the last one where it was made.
    kept = [*Path("scratch").absolute().iterdir(), *full.iterdir(), *tmp_path.glob("atomik-kept-*")]
    assert all(repr(str(folder)) in str(caught.value) for folder in kept)
    found = {path.name: path.stat().st_size for folder in kept for path in folder.rglob("*") if path.is_file()}
    assert {"a": 1, "b": 1, "c": 16 << 20} == found


def test_links_are_published_for_where_they_will_be():
    """A link that counts from the staged path, or names another staged one, is rewritten; one that is right stays."""
    Path("data").mkdir()
    Path("data/in").write_text("in")
    with outputs(["out/direct", "out/relative", "out/absolute", "out/file", "out/folder"]) as made:
        direct, relative, absolute, file, folder = made
        os.symlink("../data/in", direct)
        os.symlink(os.path.relpath("data/in", os.path.dirname(relative)), relative)
        os.symlink(os.path.abspath(file), absolute)
        Path(file).write_text("file")
        os.mkdir(folder)
        os.symlink("../file", f"{folder}/beside")
        os.symlink(os.path.relpath("data/in", folder), f"{folder}/out")

    links = ("out/direct", "out/relative", "out/absolute", "out/folder/beside", "out/folder/out")
    assert ["in", "in", "file", "file", "in"] == [Path(link).read_text() for link in links]
    assert ["../data/in", "../data/in"] == [os.readlink(link) for link in links[:2]]
    assert "../../data/in" == os.readlink("out/folder/out")


def test_a_fifo_is_left_alone():
    """What is no file, such as a pipe() of Snakemake's, is written to where it is."""
    os.mkfifo("pipe")
    with outputs(["pipe", "file"]) as (pipe, file):
        assert "pipe" == pipe
        Path(file).touch()
    assert Path("file").exists()


def test_what_was_made_keeps_its_mode_and_a_link_in_the_way_goes():
    """An executable replaces one that is not; a link at the destination is replaced, not followed."""
    Path("script").write_text("old")
    Path("target").write_text("target")
    os.symlink("target", "link")
    with outputs(["script", "link"]) as (script, link):
        Path(script).write_text("new")
        os.chmod(script, 0o755)
        Path(link).write_text("a file")
    assert os.access("script", os.X_OK)
    assert not os.path.islink("link")
    assert "target" == Path("target").read_text()


def test_settings_say_where_and_how(tmp_path, monkeypatch):
    """`configure` and the environment choose the directory to stage in; a wrong word for `sync` is refused at once."""
    configure(tmp_dir=tmp_path / "configured", sync="off")
    with outputs("x") as x:
        Path(x).touch()
        assert x.startswith("configured/.atomik-")
    configure()
    monkeypatch.setenv("ATOMIK_SNAKEMAKE_TMP_DIR", "environment")
    with outputs("x") as x:
        Path(x).touch()
        assert x.startswith("environment/.atomik-")
    with pytest.raises(ValueError, match="sync is 'fast'; it takes 'full', 'normal' and 'off'"):
        configure(sync="fast")


KILLED = """
import os, signal, sys
from pathlib import Path
from atomik_core import testing
from snakemake_atomik import outputs

def die(publication, step):
    if step == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

with testing.watching(die), outputs("deep/folder") as folder:
    Path(folder).mkdir()
    Path(folder, "new").touch()
    if sys.argv[1] == "staged":
        os.kill(os.getpid(), signal.SIGKILL)
"""
NEXT = """
from pathlib import Path
from snakemake_atomik import outputs
with outputs("next") as path:
    Path(path).touch()
"""


@pytest.mark.system
@pytest.mark.parametrize(("moment", "version"), [("staged", "old"), ("synced", "old"), ("published", "new")])
def test_what_the_killed_left_goes_with_the_next_and_what_lives_stays(moment, version):
    """The next process sweeps staged content, and what is beside destinations, but nothing of a process that lives."""
    Path("deep/folder").mkdir(parents=True)
    Path("deep/folder/old").touch()

    with outputs("mine") as mine:
        Path(mine).write_text("alive")
        assert -9 == run(KILLED, moment).code
        left = litter(Path())
        assert 2 <= len(left)
        # Only what is being exchanged lies beside its destination.
        assert (moment != "published") == all(path.is_relative_to(".snakemake") for path in left)
        assert run(NEXT).code == 0
        assert [Path(mine).parent] == litter(Path())

    assert "alive" == Path("mine").read_text()
    assert [version] == os.listdir("deep/folder")
    assert [] == litter(Path())


@pytest.mark.system
@pytest.mark.slow
def test_in_run_and_in_a_script_the_names_of_outputs_are_kept(workflow):
    """`outputs(output)` gives what Snakemake's own `output` gives, by number and by name; both kinds of rule publish."""
    workflow.write("""
        from snakemake_atomik import outputs

        rule all:
            input: "run/1", "script/1"

        rule run:
            output: "run/1", named="run/2"
            run:
                with outputs(output) as out:
                    shell("echo {out} > {out[0]}; echo {out.named} > {out.named}; ls run >> {out[0]}")

        rule script:
            output: "script/1", named="script/2"
            script: "script.py"
    """)
    workflow.write(
        """
        from snakemake_atomik import outputs

        with outputs(snakemake.output) as out:
            for path in (out[0], out.named):
                with open(path, "w") as file:
                    print(path, file=file)
        """,
        "script.py",
    )

    workflow.run()

    for name in ("run/2", "script/1", "script/2"):
        assert (workflow / name).read_text().startswith(".snakemake/atomik/.atomik-")
    assert 1 == (workflow / "run/1").read_text().count("\n")
    assert [] == workflow.staged()
