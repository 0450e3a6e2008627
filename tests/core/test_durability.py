"""The three levels of durability: who chooses, and what is synced in which order."""

from __future__ import annotations

import errno
import os
from typing import get_args

import pytest

import atomik
from core.shapes import FOLDER
from support.traced import Traced

WORKLOADS = {
    "file": "with atomik.file('a', sync=level) as f: f.write('new')",
    "file over": "with atomik.file('old', overwrite=True, sync=level) as f: f.write('new')",
    "folder": "with atomik.folder('a', sync=level) as d: (d / 'one').write_text('new')",
    "folder over": "with atomik.folder('tree', overwrite=True, sync=level) as d: (d / 'one').write_text('new')",
    "path": "with atomik.path('a', sync=level) as p: p.write_text('new')",
}

#: The calls by which a version becomes visible, by their names in traces.
VISIBLE = ("renameat2", "renameat", "rename", "linkat", "link")
SYNCS = ("fsync", "fdatasync", "syncfs", "sync_file_range")


@pytest.mark.parametrize("level", ["full", "normal", "off", None])
def test_levels(tmp_path, shape, level):
    """Each level publishes the same."""
    shape.publish(tmp_path / "a", "old", sync=level)
    shape.publish(tmp_path / "a", "new", sync=level, overwrite=True)

    assert shape.read(tmp_path / "a") == "new"


@pytest.mark.parametrize("word", ["", "FULL", "none", "yes", True, 1])
def test_no_level(tmp_path, shape, word):
    """Any other word is a ValueError at the call, which names the three."""
    with pytest.raises(ValueError, match="'full', 'normal', 'off'"):
        shape.call(tmp_path / "a", sync=word)


def test_no_level_in_the_environment(tmp_path, shape, monkeypatch):
    """A wrong word in ATOMIK_SYNC is a ValueError, too, which names the variable."""
    monkeypatch.setenv("ATOMIK_SYNC", "fast")

    with pytest.raises(ValueError, match="ATOMIK_SYNC"):
        shape.call(tmp_path / "a")
    shape.publish(tmp_path / "a", "new", sync="full")

    assert shape.read(tmp_path / "a") == "new"


@pytest.fixture(scope="module")
def traced():
    """A process whose calls can be looked at."""
    with Traced("import os, atomik\nwith atomik.file('warm') as f: pass\nwith atomik.folder('warm2'): pass") as warm:
        yield warm


def syncs(traced, directory, workload, level, environment=""):
    """Run a workload; give the names of the calls that sync or make visible, in order, with what they were made on."""
    directory.mkdir()
    (directory / "old").write_text("old")
    (directory / "tree").mkdir()
    (directory / "tree" / "old").write_text("old")
    source = f"{environment}\nimport atomik\nlevel = {level!r}\n{workload}"
    return [
        (call.name, call.arguments)
        for call in traced.calls(source, directory)
        if call.name in VISIBLE or call.name in SYNCS or (call.name == "unlinkat" and '"old"' in call.arguments)
    ]


@pytest.mark.system
@pytest.mark.parametrize("name", WORKLOADS)
def test_full(tmp_path, traced, name):
    """With "full" the content is synced, then published, then the directory is synced, and only then the old version goes."""
    calls = syncs(traced, tmp_path / "w", WORKLOADS[name], "full")

    names = ["visible" if call in VISIBLE else "sync" if call in SYNCS else "remove" for call, _ in calls]
    visible = len(names) - 1 - names[::-1].index("visible")
    assert "sync" in names[:visible]
    assert names[visible + 1] == "sync"
    assert f"{tmp_path}/w>" in calls[visible + 1][1]
    assert names[visible + 2 :] == (["remove"] if name == "folder over" else [])


@pytest.mark.system
@pytest.mark.leaves_litter
@pytest.mark.parametrize("publish", ["atomik.folder('a', overwrite=True)", "atomik.path('a', overwrite=True)", "GROUP"])
def test_the_old_version_outlives_a_failed_sync(tmp_path, traced, publish):
    """Where the directory could not be synced a power cut may bring the old name back: the old version stays for that."""
    workload = (
        "import atomik\nfrom core.shapes import FOLDER, Path\n"
        "FOLDER.publish(Path('a'), 'old', overwrite=True)\nFOLDER.publish(Path('b'), 'old', overwrite=True)\nsay('laid')\n"
    )
    if publish == "GROUP":
        workload += (
            "with atomik.group() as group:\n"
            "    for name in 'ab':\n        with group.folder(name, overwrite=True) as handle: FOLDER.lay(handle / 'x', 'new')\n"
        )
    else:
        make = "" if "folder" in publish else "handle.mkdir(); "
        workload += f"with {publish} as handle: {make}FOLDER.lay(handle / 'x', 'new')\n"
    (tmp_path / "w").mkdir()
    (tmp_path / "v").mkdir()
    last = [call for call in traced.calls(workload, tmp_path / "v") if call.name == "fsync"][-1]

    outcome = traced.failing_at(last, errno.EIO, workload, tmp_path / "w")

    assert outcome.raised.types[0] == "NotDurableError"
    assert (tmp_path / "w" / "a" / "x" / "one").read_text() == "new"
    kept = [path for path in (tmp_path / "w").iterdir() if path.name not in {"a", "b"}]
    assert [FOLDER.read(path) for path in kept] == ["old"] * (2 if publish == "GROUP" else 1)


@pytest.mark.system
@pytest.mark.parametrize("name", WORKLOADS)
def test_normal(tmp_path, traced, name):
    """With "normal" the content is synced before it is published, and no directory after."""
    calls = [call for call, _ in syncs(traced, tmp_path / "w", WORKLOADS[name], "normal") if call != "unlinkat"]

    assert any(call in SYNCS for call in calls)
    assert calls[-1] in VISIBLE


@pytest.mark.system
@pytest.mark.parametrize("name", ["file", "folder", "path"])
def test_off(tmp_path, traced, name):
    """With "off" a new version is published without any sync."""
    assert not [call for call, _ in syncs(traced, tmp_path / "w", WORKLOADS[name], "off") if call in SYNCS]


@pytest.mark.system
@pytest.mark.parametrize(
    ("said", "environment", "expected"),
    [
        (None, "", 2),
        (None, "import os; os.environ['ATOMIK_SYNC'] = 'full'", 2),
        (None, "import os; os.environ['ATOMIK_SYNC'] = 'normal'", 1),
        (None, "import os; os.environ['ATOMIK_SYNC'] = 'off'", 0),
        (None, "import os; os.environ['ATOMIK_SYNC'] = ''", 2),
        ("full", "import os; os.environ['ATOMIK_SYNC'] = 'off'", 2),
        ("off", "import os; os.environ['ATOMIK_SYNC'] = 'full'", 0),
    ],
)
def test_who_chooses(tmp_path, traced, said, environment, expected):
    """What the call says counts, else what ATOMIK_SYNC says at the call, else "full"."""
    calls = syncs(traced, tmp_path / "w", WORKLOADS["file"], said, environment)

    assert len([call for call, _ in calls if call in SYNCS]) == expected


@pytest.mark.system
def test_made_parents(tmp_path, traced):
    """With "full" the parent of every directory that was made is synced, too."""
    workload = "with atomik.file('b/c/a', parents=True, sync=level) as f: f.write('new')"
    calls = syncs(traced, tmp_path / "w", workload, "full")

    synced = [arguments for call, arguments in calls if call == "fsync"]
    for directory in ("w/b/c", "w/b", "w"):
        assert any(f"{tmp_path}/{directory}>" in arguments for arguments in synced[1:])


@pytest.mark.system
@pytest.mark.parametrize(
    ("workload", "directories"),
    [
        ("atomik.rename('old', 'sub/new', sync=level)", {"w", "w/sub"}),
        ("atomik.exchange('old', 'sub/other', sync=level)", {"w", "w/sub"}),
        ("atomik.remove('old', sync=level)", {"w"}),
        ("atomik.remove('tree', sync=level)", {"w"}),
    ],
)
def test_primitives(tmp_path, traced, workload, directories):
    """The primitives sync the directories with "full", each once, and nothing else; with the others nothing."""
    prepare = "import os; os.mkdir('sub'); open('sub/other', 'w').close()"
    for level in ("full", "normal", "off"):
        calls = syncs(traced, tmp_path / level, workload, level, prepare)
        synced = [arguments for call, arguments in calls if call in SYNCS]

        expected = {f"{tmp_path}/{level}{directory[1:]}>" for directory in directories} if level == "full" else set()
        assert len(synced) == len(expected)
        assert all(any(each in arguments for arguments in synced) for each in expected)


def test_levels_are_typed():
    """The levels have a name for annotations."""
    assert get_args(atomik.Sync) == ("full", "normal", "off")


@pytest.mark.timeout(20)
def test_special_files_in_a_folder_are_not_waited_for(tmp_path):
    """A FIFO has no content to be synced, and nobody waits for its writer; nor is a link followed."""
    with atomik.folder(tmp_path / "a", sync="full") as d:
        os.mkfifo(d / "fifo")
        (d / "link").symlink_to("fifo")
        (d / "file").write_text("new")

    assert sorted(os.listdir(tmp_path / "a")) == ["fifo", "file", "link"]
