"""What the tests of jobs share."""

from __future__ import annotations

import pytest

from support.jobs import faces, nodes, photos, store, undisturbed
from support.jobs_stores import local

__all__ = ["faces", "local", "nodes", "photos", "store", "undisturbed"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the test that ends a Ray node behind those that need both, in whatever random order."""
    places = [at for at, item in enumerate(items) if item.path.name == "test_ray.py"]
    tests = sorted((items[at] for at in places), key=lambda item: "outlives_one" in item.name)
    for at, item in zip(places, tests, strict=True):
        items[at] = item
