"""A group's life cycle: nothing before its end, everything at its end, in order; or nothing at all."""

from __future__ import annotations

import gc
import os

import pytest

import atomik
import atomik_core.testing
from support.watch import no_leaks, tree
from together.outputs import NAMES, OUTPUTS, add, add_all, lay_all, member, read_all


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_all_at_the_end(tmp_path, overwrite, sync):
    """Complete members stay out of sight until the group's block ends; then each is there, and nothing else."""
    if overwrite:
        lay_all(tmp_path)
    before = read_all(tmp_path)

    with no_leaks(), atomik.group(sync=sync) as group:
        add_all(group, tmp_path, overwrite=overwrite)
        assert read_all(tmp_path) == before

    assert read_all(tmp_path) == ["new"] * 4
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)
    assert group.state == "published"


def test_overwriting_what_is_not_there(tmp_path):
    """`overwrite=True` does not need anything to overwrite."""
    with no_leaks(), atomik.group() as group:
        add_all(group, tmp_path, overwrite=True)

    assert read_all(tmp_path) == ["new"] * 4
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


def test_published_in_the_order_in_which_they_were_made(tmp_path):
    """The members are published in the order in which they were made, not that in which they were completed."""
    published = []

    def watch(publication, step):
        if step == "synced":
            published.append([name for name in "abc" if (tmp_path / name).exists()])

    with atomik_core.testing.watching(watch), atomik.group() as group:
        members = [group.file(tmp_path / name) for name in "abc"]
        for each in reversed(members):
            with each as file:
                file.write("new")

    assert published == [[], ["a"], ["a", "b"]]
    assert group.publications == tuple(members)


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
def test_exception_in_the_groups_block(tmp_path, overwrite):
    """An exception after complete members discards all of them, and is raised unchanged."""
    if overwrite:
        lay_all(tmp_path)
    before = tree(tmp_path)
    error = KeyError("mine")

    with no_leaks(), pytest.raises(KeyError) as raised, atomik.group() as group:
        add_all(group, tmp_path, overwrite=overwrite)
        raise error

    assert raised.value is error
    assert getattr(error, "__notes__", []) == []
    assert tree(tmp_path) == before
    assert group.state == "discarded"
    assert {each.state for each in group.publications} == {"discarded"}


@pytest.mark.parametrize("name", NAMES)
def test_exception_in_a_members_block(tmp_path, name):
    """An exception in the last member's block discards the complete ones, too."""
    error = KeyError("mine")

    with no_leaks(), pytest.raises(KeyError) as raised, atomik.group() as group:
        add(group, OUTPUTS[name], tmp_path / "first")
        with member(group, OUTPUTS[name], tmp_path / "second") as handle:
            OUTPUTS[name].fill(handle, "new")
            raise error

    assert raised.value is error
    assert os.listdir(tmp_path) == []


def test_swallowed_error_of_a_member(tmp_path):
    """If a member failed and its error was swallowed, the group raises and publishes nothing: it would not be whole."""
    error = KeyError("mine")

    with no_leaks(), pytest.raises(atomik.AtomikError, match="second") as raised, atomik.group() as group:
        add_all(group, tmp_path)
        try:
            with group.file(tmp_path / "second"):
                raise error
        except KeyError:
            pass

    assert raised.value.__cause__ is error
    assert os.listdir(tmp_path) == []
    assert group.state == "discarded"


def test_swallowed_refusal_of_a_member(tmp_path):
    """The same if it could not even be opened."""
    (tmp_path / "second").write_text("theirs")

    with pytest.raises(atomik.AtomikError, match="second"), atomik.group() as group:
        add_all(group, tmp_path)
        try:
            with group.file(tmp_path / "second"):
                pass
        except FileExistsError:
            pass

    assert os.listdir(tmp_path) == ["second"]
    assert (tmp_path / "second").read_text() == "theirs"


@pytest.mark.parametrize("name", NAMES)
def test_discarded_member(tmp_path, name):
    """A member that was discarded on purpose is left out, and its destination is free for another one."""
    with no_leaks(), atomik.group() as group:
        add(group, OUTPUTS[name], tmp_path / "first")
        left_out = member(group, OUTPUTS[name], tmp_path / "second")
        with left_out as handle:
            OUTPUTS[name].fill(handle, "no")
            left_out.discard()
        complete = add(group, OUTPUTS[name], tmp_path / "third", "no")
        complete.discard()
        add(group, OUTPUTS[name], tmp_path / "third", "yes")

    assert OUTPUTS[name].read(tmp_path / "first") == "new"
    assert OUTPUTS[name].read(tmp_path / "third") == "yes"
    assert sorted(os.listdir(tmp_path)) == ["first", "third"]


def test_empty_group(tmp_path):
    """A group without members publishes nothing, and that is no error."""
    with no_leaks(), atomik.group() as group:
        pass

    assert group.state == "published"


def test_by_hand(tmp_path):
    """A group, and its members, work without `with`; what is still open is completed when the group is published."""
    with no_leaks():
        group = atomik.group()
        for name, shape in OUTPUTS.items():
            shape.fill(member(group, shape, tmp_path / name).open(), "new")
        assert os.listdir(tmp_path) != []
        assert read_all(tmp_path) == [None] * 4

        group.publish()

    assert read_all(tmp_path) == ["new"] * 4
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


def test_publish_and_discard_repeated(tmp_path):
    """`publish()` and `discard()` may be repeated, and change nothing once the group is at its end."""
    done, undone = atomik.group(), atomik.group()
    add(done, OUTPUTS["file"], tmp_path / "done")
    add(undone, OUTPUTS["file"], tmp_path / "undone")

    done.publish()
    done.publish()
    done.discard()
    undone.discard()
    undone.discard()

    assert os.listdir(tmp_path) == ["done"]
    assert (done.state, undone.state) == ("published", "discarded")
    with pytest.raises(ValueError, match="discarded"):
        undone.publish()


def test_publishing_a_member_completes_it(tmp_path):
    """`publish()` of a member completes it, may be repeated, and makes nothing visible."""
    with atomik.group() as group:
        one = group.file(tmp_path / "a")
        one.open().write("new")
        one.publish()
        one.publish()
        assert not (tmp_path / "a").exists()
        with pytest.raises(ValueError, match="new"):
            group.file(tmp_path / "b").publish()

    assert os.listdir(tmp_path) == ["a"]
    assert one.state == "published"


def test_never_opened_member(tmp_path):
    """A member that was made and never opened is left out, and cannot be opened once the group is at its end."""
    with atomik.group() as group:
        add(group, OUTPUTS["file"], tmp_path / "a")
        late = group.file(tmp_path / "b")

    assert os.listdir(tmp_path) == ["a"]
    with no_leaks(), pytest.raises(ValueError, match="discarded"):
        late.open()


@pytest.mark.parametrize("end", ["publish", "discard"])
def test_no_member_after_the_end(tmp_path, end):
    """A group that is at its end takes no more members."""
    group = atomik.group()
    getattr(group, end)()

    with pytest.raises(ValueError, match="no more members"):
        group.file(tmp_path / "a")
    with pytest.raises(ValueError, match="before"), group:
        pass


def test_bad_sync():
    """A word that is no level of durability is refused at the call."""
    with pytest.raises(ValueError, match="often"):
        atomik.group(sync="often")
    gc.collect()


def test_level_from_the_environment(tmp_path, monkeypatch):
    """Without `sync` the group takes its level from ATOMIK_SYNC."""
    monkeypatch.setenv("ATOMIK_SYNC", "often")

    with pytest.raises(ValueError, match="ATOMIK_SYNC"):
        atomik.group()
    gc.collect()


def test_bad_argument_of_a_member(tmp_path):
    """An argument that makes no sense is refused at the call, and the group goes on without that member."""
    with atomik.group() as group:
        with pytest.raises(ValueError, match="mode"):
            group.file(tmp_path / "a", "r")
        with pytest.raises(ValueError, match="permissions"):
            group.folder(tmp_path / "a", permissions=-1)
        add(group, OUTPUTS["file"], tmp_path / "a")

    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_made(tmp_path, name):
    """A path at which nothing was made fails the whole group, even if it was left to the group to complete it."""
    with no_leaks(), pytest.raises(atomik.NothingStagedError) as raised, atomik.group() as group:
        add(group, OUTPUTS[name], tmp_path / "first")
        group.path(tmp_path / "second").open()

    assert raised.value.filename == str(tmp_path / "second")
    assert os.listdir(tmp_path) == []


def test_collected_unfinished(tmp_path):
    """A group that is garbage-collected unfinished is discarded, with complete and open members."""
    with no_leaks():
        group = atomik.group()
        add_all(group, tmp_path)
        for name, shape in OUTPUTS.items():
            shape.fill(member(group, shape, tmp_path / f"{name}-open").open(), "new")
        del group
        gc.collect()

    assert os.listdir(tmp_path) == []
