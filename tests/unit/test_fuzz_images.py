"""Mutated image files: nothing but an InputError or an array comes out, and memory stays flat."""

from __future__ import annotations

import pytest

from support.fuzz_images import TARGETS, seeds


@pytest.mark.parametrize("name", list(TARGETS))
def test_seeds_are_read(name: str) -> None:
    for data in seeds():
        TARGETS[name](data)
