"""What a reader sees while a job is run again: the old version until the new one is there, in one instant."""

from __future__ import annotations

import os
import stat

import pytest

import atomik
from support.namespace import command
from support.needs import need_root, need_tool
from support.state import state
from support.watcher import Watcher

pytestmark = [pytest.mark.system, pytest.mark.slow]

RULES = """
    from snakemake_atomik import atomic

    rule:
        input: "in"
        output: atomic("file"), atomic(directory("folder"))
        shell:
            "for n in 1 2 3 4 5; do cat {input} >> {output[0]}; mkdir -p {output[1]}; cat {input} > {output[1]}/$n; "
            "sleep 0.1; done"
"""


def test_a_reader_sees_the_old_version_until_the_new_one_is_whole(workflow):
    """A file and a directory are made anew in steps; a reader sees both whole versions and nothing else, ever."""
    workflow.write(RULES)
    workflow.write("old", "in")
    workflow.run()
    outputs = [workflow / "file", workflow / "folder"]
    # Snakemake sets the time of a directory in a file inside of it, which has nothing to say.
    old = [state(path) for path in outputs]

    workflow.write("new", "in")
    with Watcher(outputs[0]) as file, Watcher(outputs[1]) as folder:
        workflow.run()

    new = [state(path) for path in outputs]
    assert [old[0], new[0]] == file.history
    assert [old[1], new[1]] == folder.history


def test_a_directory_is_not_there_before_it_is_whole(workflow):
    """Snakemake makes the folders of an output, or a log, that lies in another output: a reader does not see them meanwhile."""
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic(directory("d")), atomic("d/sub/x")
            log: "d/logs/log"
            shell: "test ! -e d; echo x > {output[1]}; echo l > {log}"
    """)
    workflow.run()
    assert "x\n" == (workflow / "d/sub/x").read_text()
    assert "l\n" == (workflow / "d/logs/log").read_text()


def test_a_filesystem_without_exchange_takes_an_old_directory_away_first(workflow, mounts):
    """Where nothing can be exchanged (as on NFS), outputs are replaced all the same; a directory has a gap, no more."""
    need_root()
    need_tool("bindfs")
    there = mounts("bindfs")
    workflow.write(
        RULES.replace('atomic("file")', f'atomic("{there}/file")').replace('("folder")', f'("{there}/folder")')
    )
    workflow.write("old", "in")
    workflow.run()
    outputs = [there / "file", there / "folder"]
    old = [state(path) for path in outputs]

    workflow.write("new", "in")
    with Watcher(outputs[0]) as file, Watcher(outputs[1]) as folder:
        out = workflow.run().out

    new = [state(path) for path in outputs]
    # A rename through FUSE is one for the filesystem below; who looks up the name meanwhile may find nothing.
    assert {old[0], new[0]} <= file.states <= {old[0], "absent", new[0]}
    assert {old[1], new[1]} <= folder.states <= {old[1], "absent", new[1]}
    # A file that a reader has open is hidden by libfuse, not removed, and so the old version can stay as a leftover, which is said.
    assert all(
        f"could not be removed and stays at {there}/{name}" in out for name in {*os.listdir(there)} - {"file", "folder"}
    )
    atomik.clean(there)
    assert {"file", "folder"} == set(os.listdir(there))


def test_an_output_is_made_where_it_inherits_what_it_has_to(workflow, mounts):
    """The group of a setgid directory is inherited in the staging folder, too; on another filesystem an output is staged there."""
    need_root()
    there = mounts("tmpfs")
    shared = workflow / "shared"
    shared.mkdir()
    os.chown(shared, -1, 12345)
    shared.chmod(0o2775)
    workflow.write(f"""
        from snakemake_atomik import atomic

        rule:
            output: atomic("shared/sub/file"), atomic(directory("shared/folder")), atomic("{there}/there"), atomic("here")
            shell: 'for file in {{output[0]}} {{output[2]}} {{output[3]}}; do echo "$file" > "$file"; done; mkdir {{output[1]}}; '
                   "touch {{output[1]}}/inner"
    """)

    workflow.run()

    assert (shared / "sub/file").read_text().startswith(".snakemake/atomik/.atomik-")
    assert (there / "there").read_text().startswith(f"{there}/.atomik-")
    assert (workflow / "here").read_text().startswith(".snakemake/atomik/.atomik-")
    for path in (shared / "sub/file", shared / "folder", shared / "folder/inner"):
        assert 12345 == path.stat().st_gid, path
    assert stat.S_ISGID & (shared / "folder").stat().st_mode
    assert 0o644 == stat.S_IMODE((shared / "sub/file").stat().st_mode)
    assert ["folder", "sub"] == sorted(os.listdir(shared))
    assert ["there"] == os.listdir(there)


def test_an_output_inherits_the_acl_of_its_directory(workflow):
    """Where whoever makes something there shares it by a default ACL, an atomic output is shared, too."""
    need_tool("setfacl")
    shared = workflow / "shared"
    shared.mkdir()
    command("setfacl", "-d", "-m", "u:1234:rwx", shared)
    workflow.write("""
        from snakemake_atomik import atomic

        rule:
            output: atomic("shared/file"), atomic(directory("shared/folder"))
            shell: "touch {output[0]}; mkdir {output[1]}; touch {output[1]}/inner"
    """)

    workflow.run()

    (shared / "plain").touch()
    (shared / "plain folder").mkdir()
    (shared / "plain folder/inner").touch()
    for name, plain in (("file", "plain"), ("folder", "plain folder"), ("folder/inner", "plain folder/inner")):
        assert _acls(shared / plain) == _acls(shared / name)
        assert "system.posix_acl_access" in _acls(shared / name)


def _acls(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path) if name.startswith("system.posix_acl")}


def test_a_temporary_directory_of_ones_own(workflow, mounts):
    """`configure(tmp_dir=...)` stages on another filesystem, from which outputs are copied; the environment can, too."""
    need_root()
    scratch = mounts("tmpfs")
    workflow.write("""
        from snakemake_atomik import atomic, configure

        configure(sync="normal", tmp_dir=config.get("scratch"))

        rule:
            output: atomic("file"), atomic(directory("folder"))
            shell: "echo {output[0]} > {output[0]}; mkdir {output[1]}; touch {output[1]}/inner"
    """)

    workflow.run("--config", f"scratch={scratch}/configured")
    assert (workflow / "file").read_text().startswith(f"{scratch}/configured/.atomik-")
    assert (workflow / "folder/inner").exists()

    workflow.run("--forceall", ATOMIK_SNAKEMAKE_TMP_DIR=f"{scratch}/environment")
    assert (workflow / "file").read_text().startswith(f"{scratch}/environment/.atomik-")
    assert [[], []] == [os.listdir(scratch / name) for name in ("configured", "environment")]
