"""Programs that nobody here wrote, each told staged paths: what they leave is what a direct run leaves."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

import atomik
from support.needs import need_tool
from support.watch import litter, tree

pytestmark = pytest.mark.system

SAM = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:1000\nread\t0\tchr1\t10\t60\t4M\t*\t0\t0\tACGT\tIIII\n"


def call(*arguments: str | Path, cwd: Path | None = None, check: bool = True) -> int:
    """Run a program, with no home and no configuration."""
    need_tool(str(arguments[0]))
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run([*arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done.returncode


def names(path: Path) -> list[str]:
    """What is in a folder, at any depth."""
    return sorted(tree(path))[1:]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for what is published."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_samtools(tmp_path, out):
    """An index that is not declared is published beside its output; so it is if it is declared."""
    (tmp_path / "in.sam").write_text(SAM)
    with atomik.stage({"bam": out / "a.bam"}) as stage:
        call("samtools", "sort", "-o", stage["bam"], tmp_path / "in.sam")
        call("samtools", "index", stage["bam"])
    assert names(out) == ["a.bam", "a.bam.bai"]
    assert stage.report.extras == (out / "a.bam.bai",)
    call("samtools", "quickcheck", out / "a.bam")

    with atomik.stage({"bam": out / "b.bam", "bai": out / "b.bam.bai"}) as stage:
        call("samtools", "sort", "-o", stage["bam"], tmp_path / "in.sam")
        call("samtools", "index", stage["bam"])
    assert stage.report.extras == ()
    assert stage.report.outputs == {"bam": "published", "bai": "published"}


def test_samtools_fails_half_way(tmp_path, out):
    """The second program of two fails: neither output nor index is there."""
    (tmp_path / "in.sam").write_text(SAM)
    (tmp_path / "broken.sam").write_text("no alignment")
    with pytest.raises(ZeroDivisionError), atomik.stage([out / "a.bam", out / "b.bam"]) as stage:
        call("samtools", "sort", "-o", stage[0], tmp_path / "in.sam")
        call("samtools", "index", stage[0])
        if call("samtools", "sort", "-o", stage[1], tmp_path / "broken.sam", check=False):
            raise ZeroDivisionError

    assert names(out) == []


def test_sqlite_wal(out):
    """A database that was left open in the middle of its work is published with its `-wal`: without, rows are lost."""
    need_tool("sqlite3")

    def write(path: Path) -> None:
        script = "pragma journal_mode=wal; create table t(x); insert into t values (1);\n"
        with subprocess.Popen(["sqlite3", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            shell.stdin.write(script + "select 'done';\n")
            shell.stdin.flush()
            assert shell.stdout.readline() == "wal\n"
            assert shell.stdout.readline() == "done\n"
            shell.kill()

    with atomik.stage([out / "a.db"]) as stage:
        write(stage[0])
    assert {"a.db", "a.db-wal"} <= set(names(out))
    rows = subprocess.run(["sqlite3", out / "a.db", "select count(*) from t"], capture_output=True, text=True)
    assert rows.stdout == "1\n"

    with pytest.raises(atomik.ExtrasError, match=r"b\.db-wal"), atomik.path(out / "b.db") as path:
        write(path)
    [kept] = litter(out)
    assert "b.db-wal" in os.listdir(kept)
    atomik.remove(kept)


def test_sqlite_updates_a_copy(out):
    """A program that changes what is there changes a copy, which takes its place when it is done."""
    call("sqlite3", out / "a.db", "create table t(x)")
    with atomik.stage([out / "a.db"]) as stage:
        call("sqlite3", stage.copy_old(0), "insert into t values (1)")
        assert subprocess.run(["sqlite3", out / "a.db", "select * from t"], capture_output=True).stdout == b""

    assert subprocess.run(["sqlite3", out / "a.db", "select * from t"], capture_output=True).stdout == b"1\n"


def test_zip(tmp_path, out):
    """It makes a new archive under a name of its own, and updates one by renaming over it: a copy, when told so."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    with atomik.stage([out / "a.zip"]) as stage:
        call("zip", "-q", stage[0], "one", cwd=tmp_path)
    with atomik.stage([out / "a.zip"]) as stage:
        call("zip", "-q", stage.copy_old(0), "two", cwd=tmp_path)

    assert zipfile.ZipFile(out / "a.zip").namelist() == ["one", "two"]
    assert names(out) == ["a.zip"]


def test_zip_appends_a_suffix(tmp_path, out):
    """`zip archive` makes archive.zip: no output, but work, which is kept where the error says."""
    (tmp_path / "one").write_text("one")
    with pytest.raises(atomik.NothingStagedError, match="kept"), atomik.stage([out / "a"]) as stage:
        call("zip", "-q", stage[0], "one", cwd=tmp_path)

    [kept] = litter(out)
    assert names(kept) == ["a.zip"]
    atomik.remove(kept)


def test_shapefile(tmp_path, out):
    """ogr2ogr is told one name of several: all of them are published, in place of those of the last run."""
    point = {"type": "Feature", "properties": {"name": "x"}, "geometry": {"type": "Point", "coordinates": [1, 2]}}
    (tmp_path / "in.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [point]}))
    for _ in range(2):
        with atomik.stage([out / "m.shp"]) as stage:
            call("ogr2ogr", "-q", stage[0], tmp_path / "in.geojson")

    assert names(out) == ["m.dbf", "m.prj", "m.shp", "m.shx"]
    assert {path.name for path in stage.report.extras} == {"m.dbf", "m.prj", "m.shx"}
    call("ogrinfo", "-q", out / "m.shp", "m")

    with pytest.raises(atomik.ExtrasError, match=r"'n\.dbf'"), atomik.path(out / "n.shp") as path:
        call("ogr2ogr", "-q", path, tmp_path / "in.geojson")
    [kept] = litter(out)
    assert "n.dbf" in names(kept) or "n.shp" in names(kept)
    atomik.remove(kept)


def test_tar(tmp_path, out):
    """A tree with relative and absolute links, a read-only folder and odd modes comes out as tar would have left it."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "x").write_text("x")
    (source / "sub" / "x").chmod(0o440)
    (source / "near").symlink_to("sub/x")
    (source / "far").symlink_to("/etc/hostname")
    (source / "sub").chmod(0o555)
    call("tar", "-C", source, "-cf", tmp_path / "a.tar", ".")

    with atomik.stage([f"{out}/tree/"]) as stage:
        stage[0].mkdir()
        call("tar", "-C", stage[0], "-xpf", tmp_path / "a.tar")

    assert {k: v for k, v in tree(out / "tree").items() if k != "."} == {
        k: v for k, v in tree(source).items() if k != "."
    }


def test_git_clone(tmp_path, out):
    """A clone is whole, and `git status` has nothing to say; the directory's name is the one that git derives from."""
    call("git", "init", "-q", tmp_path / "origin")
    (tmp_path / "origin" / "x").write_text("x")
    call("git", "-C", tmp_path / "origin", "add", "x")
    call("git", "-C", tmp_path / "origin", "-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "-qm", "x")

    with atomik.stage([f"{out}/clone/"]) as stage:
        call("git", "clone", "-q", tmp_path / "origin", stage[0])

    assert (out / "clone" / "x").read_text() == "x"
    done = subprocess.run(["git", "-C", out / "clone", "status", "--porcelain"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_rsync(tmp_path, out):
    """Rsync makes its temporary files in its target: nothing of them is left, and times are kept."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x").write_text("x")
    os.utime(tmp_path / "in" / "sub" / "x", (1, 1))
    with atomik.stage([f"{out}/mirror/"]) as stage:
        call("rsync", "-a", f"{tmp_path}/in/", f"{stage[0]}/")
    assert names(out) == ["mirror", "mirror/sub", "mirror/sub/x"]

    with atomik.stage([f"{out}/mirror/"]) as stage:
        stage.copy_old(0)
        call("rsync", "-a", f"{tmp_path}/in/", f"{stage[0]}/")
    assert stage.report.outputs == {0: "unchanged"}, "rsync had nothing to do"
    assert (out / "mirror" / "sub" / "x").stat().st_mtime == 1


def test_rsync_to_the_destination_itself(tmp_path, out):
    """A program that does not go by what it is told: what it wrote stays, and the report says so."""
    (tmp_path / "x").write_text("new")
    (out / "x").write_text("older")
    with atomik.stage([out / "x"]) as stage:
        call("rsync", "-a", tmp_path / "x", out / "x")

    assert stage.report.outputs == {0: "direct"}
    assert (out / "x").read_text() == "new"


def test_gcc(tmp_path, out):
    """Names that a compiler derives from its output's (`-MD`, `-save-temps`) are right, in the dependency file, too."""
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    with atomik.stage({"obj": out / "a.o", "bin": out / "a"}) as stage:
        call("gcc", "-MD", "-c", "-o", stage["obj"], "a.c", cwd=tmp_path)
        call("gcc", "-o", stage["bin"], stage["obj"])

    assert names(out) == ["a", "a.d", "a.o"]
    assert stage.report.extras == (out / "a.d",)
    call(out / "a")


def test_a_prefix(tmp_path, out):
    """`split` is told a prefix: what begins with it is published beside it, and only that nothing bears the name is said."""
    (tmp_path / "in").write_text("1\n2\n3\n")
    with atomik.stage({"first": out / "part.aa"}) as stage:
        prefix = str(stage["first"]).removesuffix("aa")
        call("split", "-l", "1", tmp_path / "in", prefix)

    assert names(out) == ["part.aa", "part.ab", "part.ac"]


def test_ln(tmp_path, out):
    """`ln -s` is told a staged path: the link says what it has to say at its destination."""
    (out / "releases").mkdir()
    (out / "releases" / "7").mkdir()
    with atomik.stage({"current": out / "current", "absolute": out / "absolute", "counted": out / "counted"}) as stage:
        call("ln", "-s", "releases/7", stage["current"])
        call("ln", "-s", out / "releases" / "7", stage["absolute"])
        call("ln", "-sr", out / "releases" / "7", stage["counted"])

    assert os.readlink(out / "current") == "releases/7"
    assert os.readlink(out / "absolute") == str(out / "releases" / "7")
    assert os.readlink(out / "counted") == "releases/7"
