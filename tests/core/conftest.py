"""What every test of the core may ask for: each way to publish, and no level of durability from outside."""

from __future__ import annotations

import pytest

from core.shapes import FILE, FOLDER, PATH_TO_FILE, PATH_TO_FOLDER

_SHAPES = [
    pytest.param(FILE, id="file"),
    pytest.param(FOLDER, id="folder"),
    pytest.param(PATH_TO_FILE, id="path-file"),
    pytest.param(PATH_TO_FOLDER, id="path-folder"),
]


@pytest.fixture(params=_SHAPES)
def shape(request):
    """Each way to publish."""
    return request.param


@pytest.fixture(params=[param for param in _SHAPES if not param.values[0].is_folder])
def file_shape(request):
    """Each way to publish a file."""
    return request.param


@pytest.fixture(params=[param for param in _SHAPES if param.values[0].is_folder])
def folder_shape(request):
    """Each way to publish a folder."""
    return request.param


@pytest.fixture(autouse=True)
def level_of_the_call(monkeypatch):
    """Keep a level of durability that is set outside away from the tests."""
    monkeypatch.delenv("ATOMIK_SYNC", raising=False)
