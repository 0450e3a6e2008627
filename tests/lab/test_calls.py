"""x."""

import os
import pytest
import atomik

pytestmark = pytest.mark.places("ext4", "xfs", "btrfs", "f2fs", "overlay", "nfs4.2", "nfs3", "smb3")


@pytest.mark.quick
def test_new(kernel, user, place):
    """x."""
    with atomik.file(place / "a") as f:
        f.write("x")
    assert os.listdir(place.path) == ["a"]
    assert place.peer is None or os.listdir(place.peer) == ["a"]
    print(os.uname(), os.getuid(), atomik.probe(place.path))
