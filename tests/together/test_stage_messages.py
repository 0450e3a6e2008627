"""What a stage says when outputs are missing is true of all of them."""

from __future__ import annotations

import pytest

import atomik


@pytest.mark.leaves_litter  # what was made is kept
def test_what_was_written_directly_is_not_said_to_be_unpublished(tmp_path, monkeypatch):
    """If one output is missing and one was written directly, the error says that the latter stays."""
    monkeypatch.setenv("ATOMIK_SYNC", "off")
    direct, missing = tmp_path / "direct", tmp_path / "missing"
    with pytest.raises(atomik.NothingStagedError) as caught, atomik.stage([direct, missing]):
        direct.write_text("x")

    assert f"{str(direct)!r} was written by the program itself, and stays; nothing else is published" in str(
        caught.value
    )
    assert "x" == direct.read_text()


@pytest.mark.leaves_litter
def test_if_nothing_was_written_nothing_is_published(tmp_path, monkeypatch):
    """Otherwise it says just that."""
    monkeypatch.setenv("ATOMIK_SYNC", "off")
    with (
        pytest.raises(atomik.NothingStagedError, match="'; nothing is published"),
        atomik.stage([tmp_path / "missing"]),
    ):
        pass
