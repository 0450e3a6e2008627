"""What every test of the core may ask for: each way to publish, and no level of durability from outside."""

from __future__ import annotations

import pytest

from core.shapes import SHAPES

_SHAPES = [pytest.param(shape, id=name) for name, shape in SHAPES.items()]


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
