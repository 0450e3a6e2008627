"""What a stage says before its end, what it lays at the staged paths, and what it keeps if nothing is to be published."""

from __future__ import annotations

import errno
import logging
import os

import pytest

import atomik
from atomik_core._os import rename
from atomik_core._publish.staging import Wrapper
from support.watch import litter, tree


def test_outcomes_are_those_that_the_report_has_in_the_end(tmp_path):
    """Made, changed, left as it was, written directly, missing: it is said as often as one asks, and changes nothing."""
    for name in ("changed", "same", "direct"):
        (tmp_path / name).write_text("old")
    with atomik.stage({name: tmp_path / name for name in ("made", "changed", "same", "direct")}) as out:
        assert out.outcomes() == {"made": "missing", "changed": "missing", "same": "missing", "direct": "missing"}
        out["made"].write_text("new")
        out.copy_old("same")
        out.copy_old("changed").write_text("new")
        (tmp_path / "direct").write_text("direct")
        found = out.outcomes()
        assert found == {"made": "published", "changed": "published", "same": "unchanged", "direct": "direct"}
        assert found == out.outcomes()
    assert found == out.report.outputs
    with pytest.raises(ValueError, match="the stage cannot be looked at: it is published"):
        out.outcomes()


def test_outcomes_of_what_lies_in_an_output(tmp_path):
    """An output in another one shares its fate, if it is there."""
    with atomik.stage({"folder": tmp_path / "d", "there": tmp_path / "d" / "a", "not": tmp_path / "d" / "b"}) as out:
        out["there"].write_text("new")
        assert out.outcomes() == {"folder": "published", "there": "published", "not": "missing"}
        out["not"].write_text("new")


def test_a_destination_that_is_written_to(tmp_path):
    """A direct write is seen at once, whether or not something is at the staged path, too; a publication is none."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("old")
    with atomik.stage([tmp_path / "a", tmp_path / "b", tmp_path / "c"]) as out:
        assert [out.is_written(key) for key in out] == [False, False, False]
        (tmp_path / "a").write_text("direct")
        (tmp_path / "b").write_text("direct")
        for key in (1, 2):
            out[key].write_text("staged")
        assert [out.is_written(key) for key in out] == [True, True, False]
    assert out.report.outputs == {0: "direct", 1: "published", 2: "published"}
    assert (tmp_path / out.report.kept[1].name).read_text() == "direct"
    atomik.remove(out.report.kept[1])


def test_the_caller_may_say_it_in_its_own_words(tmp_path, caplog):
    """With `warn=False` nothing is logged of direct writes; the report has them all the same."""
    with caplog.at_level(logging.WARNING, "atomik"):
        out = atomik.stage([tmp_path / "a"]).open()
        (tmp_path / "a").write_text("direct")
        out.publish(warn=False)
    assert out.report.outputs == {0: "direct"}
    assert caplog.records == []


def test_where_to_look_at_what_an_output_will_be(tmp_path):
    """A link is followed from where it will be: to another output of the stage, to what is there, to nothing."""
    (tmp_path / "in").write_text("in")
    names = ("file", "to_file", "chain", "reckoned", "absolute", "to_old", "to_extra", "dangling")
    (tmp_path / "up").mkdir()
    with atomik.stage({name: tmp_path / "up" / ".." / "out" / name for name in names}) as out:
        out["file"].write_text("file")
        out["to_file"].symlink_to("file")
        out["chain"].symlink_to("to_file")
        out["reckoned"].symlink_to(os.path.relpath(tmp_path / "in", out["reckoned"].parent))
        out["absolute"].symlink_to(out["file"])
        out["to_old"].symlink_to("../in")
        out["to_extra"].symlink_to("version/1")
        (out["file"].parent / "version").mkdir()
        (out["file"].parent / "version" / "1").write_text("extra")
        out["dangling"].symlink_to("../file")  # which is there from the staged path, one directory deeper
        resolved = {name: out.resolved(name) for name in names}
        assert {name: resolved[name] for name in ("file", "to_file", "chain", "absolute")} == dict.fromkeys(
            ("file", "to_file", "chain", "absolute"), out["file"]
        )
        assert resolved["to_extra"] == out["file"].parent / "version" / "1"
        assert resolved["reckoned"] == resolved["to_old"] == tmp_path / "in"
        assert resolved["dangling"] == tmp_path / "file"
        assert not resolved["dangling"].exists()


def test_a_link_into_the_staging_folder_of_another_directory(tmp_path):
    """Outputs of two directories, which are staged in two folders: a link from one to the other leads to the destination."""
    with atomik.stage([tmp_path / "a" / "file", tmp_path / "b" / "absolute", tmp_path / "b" / "relative"]) as out:
        out[0].write_text("file")
        out[1].symlink_to(out[0])
        out[2].symlink_to(os.path.relpath(out[0], out[2].parent))
        assert out.resolved(1) == out.resolved(2) == out[0]
    assert os.readlink(tmp_path / "b" / "absolute") == str(tmp_path / "a" / "file")
    assert os.readlink(tmp_path / "b" / "relative") == "../a/file"


@pytest.mark.system
def test_links_come_last(tmp_path):
    """A reader never finds a link that leads to what is not there yet, whatever the order of the outputs."""
    with atomik.stage([tmp_path / "link", tmp_path / "file"]) as out:
        out[0].symlink_to("file")
        out[1].write_text("new")
    seen = [path.lstat().st_ctime_ns for path in (tmp_path / "file", tmp_path / "link")]
    assert seen == sorted(seen)


def test_a_folder_for_the_program_is_no_work(tmp_path):
    """A folder that was laid there for a log is not published, unless something is made in it."""
    with pytest.raises(atomik.NothingStagedError), atomik.stage([tmp_path / "d"]) as out:
        assert out.make_folder(0, "logs/inner") == out[0] / "logs" / "inner"
        assert out.outcomes() == {0: "missing"}
    assert litter(tmp_path) == []

    with atomik.stage([tmp_path / "d"]) as out:
        (out.make_folder(0, "logs") / "log").write_text("log")
        assert out.make_folder(0) == out[0]
    assert (tmp_path / "d" / "logs" / "log").read_text() == "log"


@pytest.mark.parametrize("inner", ["..", "a/../../x", "/tmp"])
def test_a_folder_that_leads_out_of_the_output(tmp_path, inner):
    """It is refused, and nothing is made; so is one where a file is."""
    with atomik.stage([tmp_path / "d"]) as out:
        with pytest.raises(ValueError, match="leads out of the output"):
            out.make_folder(0, inner)
        assert set(tree(out[0].parent)) == {"."}
        assert out.make_folder(0, "./logs/../b") == out[0] / "b"
        assert out.outcomes() == {0: "missing"}
        (out[0] / "file").touch()
        with pytest.raises(NotADirectoryError):
            out.make_folder(0, "file")


@pytest.mark.leaves_litter
def test_one_that_cannot_be_kept_takes_no_other_with_it(tmp_path, monkeypatch):
    """The error says where the others are, and what a full disk did not take stays where it was made."""
    out = atomik.stage([tmp_path / name / "f" for name in "abc"]).open()
    for key in out:
        out[key].write_text(str(key))
    staged, new_folder = out[1], rename.new_folder

    def refuse(source_dir, source, target_dir, target):
        if source == staged.parent.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        new_folder(source_dir, source, target_dir, target)

    def refuse_above(wrapper, kept, first):
        raise first

    monkeypatch.setattr(rename, "new_folder", refuse)
    monkeypatch.setattr(Wrapper, "_keep_above", refuse_above)
    with pytest.raises(OSError, match="Not everything could be kept") as caught:
        out.keep()
    for name, text in (("a", "0"), ("c", "2")):
        [kept] = (tmp_path / name).glob("atomik-kept-*")
        assert str(kept) in str(caught.value)
        assert (kept / "f").read_text() == text
    assert staged.read_text() == "1"


@pytest.mark.leaves_litter
def test_what_was_made_so_far_is_kept(tmp_path):
    """`keep` moves the program's work to a folder that no cleaner touches, and publishes nothing; it need be no complete set."""
    (tmp_path / "x" / "sub").mkdir(parents=True)
    (tmp_path / "x" / "same").write_text("old")
    names = ("x/a", "x/same", "y/b", "z/c")
    out = atomik.stage([tmp_path / name for name in names]).open()
    out[0].write_text("half")
    out[0].with_suffix(".idx").write_text("beside")
    out.copy_old(1)
    out[2].mkdir()
    out.make_folder(3, "log")

    kept = out.keep()

    assert [folder.parent for folder in kept] == [tmp_path / "x", tmp_path / "y"]
    assert [set(tree(folder)) for folder in kept] == [{".", "a", "a.idx"}, {".", "b"}]
    assert out.state == "discarded"
    assert out.keep() == []
    assert (tmp_path / "x" / "same").read_text() == "old"
    assert not (tmp_path / "x" / "a").exists()
    assert len(atomik.clean(tmp_path, recursive=True)) == 0


def test_nothing_to_keep(tmp_path):
    """Where nothing was made nothing is kept; so it is of a stage that is not open, or has published."""
    out = atomik.stage([tmp_path / "a"])
    assert out.keep() == []
    out.open()
    assert out.keep() == []
    assert litter(tmp_path) == []
    with atomik.stage([tmp_path / "a"]) as out:
        out[0].write_text("new")
    assert out.keep() == []
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("name", [".atomik-lock", ".atomik-directory-0"])
def test_a_name_that_is_ours_in_a_staging_folder(tmp_path, name):
    """It is refused before the program starts; in a directory below the root it is a name like any other."""
    with pytest.raises(ValueError, match="has a name that Atomik uses itself"), atomik.stage([tmp_path / name]):
        pytest.fail("the program was started")
    with atomik.stage([tmp_path / "x" / name], root=tmp_path) as out:
        out[0].write_text("new")
    assert (tmp_path / "x" / name).read_text() == "new"
    (tmp_path / "x" / name).unlink()


@pytest.mark.parametrize("root", [False, True])
def test_where_a_linked_directory_is_staged(tmp_path, root):
    """What a link leads to is found below a directory that is itself a link: the new version, not the old one."""
    (tmp_path / "disk" / "store").mkdir(parents=True)
    (tmp_path / "disk" / "store" / "file").write_text("old")
    (tmp_path / "results").symlink_to("disk/store")
    names = ("file", "link", "in/link", "in/extra")
    with atomik.stage([tmp_path / "results" / name for name in names], root=tmp_path if root else None) as out:
        out[0].write_text("new")
        (out[0].parent / "beside").write_text("new")
        out[1].symlink_to("file")
        out[2].symlink_to("../file")
        out[3].symlink_to("../beside")
        assert [out.resolved(key) for key in out] == [out[0]] * 3 + [out[0].parent / "beside"]
    assert {(tmp_path / "results" / name).read_text() for name in names} == {"new"}


@pytest.mark.leaves_litter
def test_what_is_in_a_folder_that_was_not_there_yet_is_kept_too(tmp_path):
    """The folder was to be published as a whole when it was asked for: a rival makes it, and loses nothing."""
    out = atomik.stage([tmp_path / "a"]).open()
    out[0].write_text("new")
    (out[0].parent / "logs" / "inner").mkdir(parents=True)
    (out[0].parent / "logs" / "inner" / "log").write_text("new")
    asked = out.extras()
    (tmp_path / "logs" / "inner").mkdir(parents=True)
    (tmp_path / "logs" / "inner" / "log").write_text("a rival's")
    out.publish(keep_replaced=asked)

    assert asked == [tmp_path / "logs"]
    [(path, kept)] = out.report.kept_extras.items()
    assert path == tmp_path / "logs" / "inner" / "log"
    assert (path.read_text(), kept.read_text()) == ("new", "a rival's")


@pytest.mark.parametrize("root", [False, True])
def test_what_extras_replace(tmp_path, root):
    """What stands where they will be is told, and kept beside them if that is asked for; folders are merged, and replace nothing."""
    (tmp_path / "logs" / "inner").mkdir(parents=True)
    for name in ("a.idx", "b.idx", "logs/log", "logs/other"):
        (tmp_path / name).write_text("old")
    out = atomik.stage([tmp_path / "a"], root=tmp_path if root else None).open()
    (out[0].parent / "logs" / "inner").mkdir(parents=True)
    for name in ("a", "a.idx", "b.idx", "new.idx", "logs/log", "logs/new", "logs/inner/new"):
        (out[0].parent / name).write_text("new")

    made = ("a.idx", "b.idx", "logs/inner/new", "logs/log", "logs/new", "new.idx")
    assert out.extras() == [tmp_path / name for name in made]
    replaced = [path for path in out.extras() if path.exists()]
    out.publish(
        keep_replaced=[replaced[0], replaced[2], tmp_path / "new.idx", tmp_path / "logs" / "other", tmp_path / "a"]
    )

    assert set(out.report.kept_extras) == {replaced[0], replaced[2]}
    for path, kept in out.report.kept_extras.items():
        assert (path.read_text(), kept.read_text(), kept.parent) == ("new", "old", path.parent)
        atomik.remove(kept)
    assert {path.name for path in tmp_path.rglob("*")} == {
        *("a", "a.idx", "b.idx", "new.idx", "logs", "log", "new", "other", "inner")
    }


@pytest.mark.parametrize("root", [False, True])
def test_where_what_would_be_at_a_path_is_now(tmp_path, monkeypatch, root):
    """An output, an extra, something in a folder of extras, by absolute and relative paths; None for what nobody has made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    with atomik.stage([tmp_path / "sub/a", "b"], root=tmp_path if root else None) as out:
        assert out.find("sub/a") is None
        out[0].write_text("a")
        out[1].write_text("b")
        (out[0].parent / "folder").mkdir()
        (out[0].parent / "folder/extra").write_text("extra")
        assert out.find("sub/a") == out[0]
        assert out.find(os.fsencode(tmp_path / "b")) == out[1]
        assert out.find("sub/folder/extra").read_text() == "extra"
        assert out.find(tmp_path / "sub/other") is None
        assert out.find("there") is None
    with pytest.raises(ValueError, match="the stage cannot be looked at: it is published"):
        out.find("b")


def test_extras_that_are_dropped_replace_nothing(tmp_path):
    """With `extras="discard"` nothing is replaced beside the outputs."""
    (tmp_path / "a.idx").write_text("old")
    with atomik.stage([tmp_path / "a"], extras="discard") as out:
        out[0].write_text("new")
        out[0].with_suffix(".idx").write_text("new")
        assert out.extras() == []
    with pytest.raises(ValueError, match="looked at"):
        out.extras()
    assert (tmp_path / "a.idx").read_text() == "old"
