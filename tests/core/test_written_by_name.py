"""A destination that the block itself writes to, by its name, is not replaced: an error, and both versions are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import atomik


def kept(error):
    """Return the path that an error names for what was kept."""
    return Path(str(error).partition("is kept as '")[2].partition("'")[0])


@pytest.mark.leaves_litter
@pytest.mark.parametrize("existed", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("how", ["w", "a", "r+", "truncate"])
@pytest.mark.parametrize("together", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("sync", ["full", "off"])
def test_written_by_name(tmp_path, existed, how, together, sync):
    """Whoever opens `f.name` in the block finds there what they wrote, not the block's empty file."""
    path = tmp_path / "a"
    if existed:
        path.write_text("old")
    elif how in {"r+", "truncate"}:
        how = "w"  # there is nothing to change

    with pytest.raises(atomik.FileAlreadyExistsError, match="written to during the block") as caught:
        with atomik.group(sync=sync) as group:
            with group.file(path, overwrite=True) if together else atomik.file(path, overwrite=True, sync=sync) as f:
                if how == "truncate":
                    os.truncate(f.name, 1)
                else:
                    with open(f.name, how) as direct:
                        direct.write("by its name")
                if existed:
                    f.write("into the block's file")

    found = {"w": "by its name", "a": ("old" if existed else "") + "by its name", "r+": "by its name", "truncate": "o"}[
        how
    ]
    assert path.read_text() == found
    if existed:
        where = kept(caught.value)
        assert where.read_text() == "into the block's file"


def test_rival_with_the_same_inode_number(tmp_path):
    """A rival's version is another file, and is replaced, as ever."""
    (tmp_path / "a").write_text("old")

    with atomik.file(tmp_path / "a", overwrite=True) as f:
        f.write("new")
        for number in range(50):
            os.unlink(tmp_path / "a")
            (tmp_path / "a").write_text(f"rival {number}")

    assert (tmp_path / "a").read_text() == "new"


def test_read_by_name(tmp_path):
    """Who only reads it by its name, or changes its mode, is not in the way."""
    (tmp_path / "a").write_text("old")

    with atomik.file(tmp_path / "a", overwrite=True) as f:
        with open(f.name) as old:
            assert old.read() == "old"
        os.chmod(f.name, 0o600)
        f.write("new")

    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("mode", [0o444, 0o000])
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize("permissions", [None, 0o640])
@pytest.mark.parametrize("together", [False, True], ids=["alone", "group"])
def test_hard_link_made_at_the_staged_path(tmp_path, mode, overwrite, permissions, together):
    """A hard link to a cache's file keeps that file as it was: what is published is a copy, if anything had to be changed."""
    cache = tmp_path / "cache"
    cache.write_text("cached")
    cache.chmod(mode)
    before = cache.stat()
    if overwrite:
        (tmp_path / "a").write_text("old")
        (tmp_path / "a").chmod(0o666)

    with atomik.group() as group:
        with (group if together else atomik).path(tmp_path / "a", overwrite=overwrite, permissions=permissions) as p:
            os.link(cache, p)

    after, published = cache.stat(), (tmp_path / "a").stat()
    assert (after.st_mode, after.st_uid, after.st_ino) == (before.st_mode, before.st_uid, before.st_ino)
    wanted = permissions if permissions is not None else 0o666 if overwrite else mode
    assert published.st_mode & 0o7777 == wanted
    (tmp_path / "a").chmod(0o600)  # an ordinary user could not read it otherwise
    assert (tmp_path / "a").read_text() == "cached"
    assert (published.st_ino == after.st_ino) == (wanted == mode and not overwrite)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("call", ["folder", "path"])
def test_staged_is_closed_while_it_is_filled(tmp_path, call, together):
    """A staged folder, or the one that a path lies in, is closed to others for as long as it is filled."""
    modes = []
    with atomik.group() as group, getattr(group if together else atomik, call)(tmp_path / "a") as p:
        p.mkdir(exist_ok=True)
        modes += [each.stat().st_mode & 0o777 for each in tmp_path.iterdir()]
    assert modes == [0o700]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
