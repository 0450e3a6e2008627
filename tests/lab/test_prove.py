"""`atomik probe --prove` in each place: what the laboratory asks first, by processes of one client and by two clients."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: By what every line of the report begins that says of which proof it is.
PROOFS = (
    "one rival wins: file",
    "one rival wins: folder",
    "one rival wins: path",
    "one rival wins: group",
    "readers, while a file is replaced",
    ("readers, while a folder is replaced", "a folder cannot be replaced"),
    "publishers that are killed",
    "a cleaner beside slow publishers",
    "a cleaner beside busy publishers",
    "locks between processes",
    "the price of a full sync",
)
each_proof = pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof if isinstance(proof, str) else proof[0])

#: The report of each place, made by the first test that wants it.
_reports: dict[tuple[str, str, bool], dict[str, tuple[str, str]]] = {}


def report(user, place, *, peer):
    """What came of each proof: its verdict, and what was seen."""
    key = (user, place.kind, peer)
    if key not in _reports:
        command = [sys.executable, "-m", "atomik", "probe", "--prove", "--json"]
        commands = (
            [[*command, "--peer", where] for where in (place.path, place.peer)] if peer else [[*command, place.path]]
        )
        running = [
            subprocess.Popen(each, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for each in commands
        ]
        done = [process.communicate() for process in running]
        texts = [out + err for out, err in done]
        assert {process.returncode for process in running} <= {0, 1}, texts
        assert all(out.startswith("{") for out, _ in done), texts
        found = json.loads(done[0][0])
        assert bool(found["peer"]) == peer
        _reports[key] = {each["proof"]: (each["verdict"], each["detail"]) for each in found["proofs"]}
        _reports[key]["left"] = ("broken" if any(place.path.iterdir()) else "kept", str([*place.path.iterdir()]))
    return _reports[key]


def holds(found, proof):
    """Assert that a proof was made, and that it did not break."""
    verdict, detail = next(found[name] for name in ([proof] if isinstance(proof, str) else proof) if name in found)
    assert verdict in {"kept", "refused", "unknown"}, detail


@pytest.mark.places("ext4", "xfs", "btrfs", "f2fs", "overlay", "nfs4.2", "nfs3", "smb3")
@each_proof
def test_processes(kernel, user, place, proof):
    """Of the processes of one client none breaks a promise."""
    holds(report(user, place, peer=False), proof)


@pytest.mark.places("nfs4.2", "nfs3", "smb3")
@each_proof
def test_two_clients(kernel, user, place, proof):
    """Nor do those of two; but one may fail to read a file in the instant in which the other replaces it."""
    found = report(user, place, peer=True)
    may_fail = {"smb3": "[Errno 22]", "nfs3": "[Errno 116]", "nfs4.2": "[Errno 116]"}[place.kind]  # the table's notes
    if proof == "readers, while a file is replaced" and may_fail in found[proof][1]:
        return
    holds(found, proof)


@pytest.mark.places("nfs4.2", "nfs3", "smb3")
def test_nothing_is_left(kernel, user, place):
    """When both have ended, the directory is empty again."""
    assert report(user, place, peer=True)["left"][0] == "kept", report(user, place, peer=True)["left"][1]
