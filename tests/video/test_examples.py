from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import mien.video

NAMES = sorted(module.name for module in pkgutil.walk_packages(mien.video.__path__, "mien.video."))


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_loads() -> None:
    for name in mien.video.__all__:
        assert getattr(mien.video, name) is not None
    with pytest.raises(AttributeError, match="read_clip"):
        _ = mien.video.read_clip
