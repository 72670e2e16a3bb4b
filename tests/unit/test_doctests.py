from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import mien

EXTRAS = {"training", "models", "exporting", "serve", "demo", "video", "jobs", "__main__"}
NEED_TORCH = {"mien.backends.torch", "mien.explanation.layers", "mien.explanation.gradients"}
#: Their examples are run in a folder with a photo, faces and runs: see test_door.py.
DOOR = {name for name in mien.__all__ if name.islower() and name != "read_manifest"}
NAMES = sorted(
    module.name
    for module in pkgutil.walk_packages(mien.__path__, "mien.")
    if module.name.split(".")[1] not in EXTRAS and module.name not in NEED_TORCH
)


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module):
        if test.examples and test.name.rpartition(".")[2] not in DOOR:
            runner.run(test)
    assert runner.summarize().failed == 0


def test_most_public_modules_have_examples() -> None:
    with_examples = [
        name
        for name in NAMES
        if any(t.examples for t in doctest.DocTestFinder().find(importlib.import_module(name)))
    ]
    assert len(with_examples) >= 10


def test_every_public_name_loads() -> None:
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    assert set(mien.__all__) <= set(dir(mien))
    with pytest.raises(AttributeError, match="Recogniser"):
        _ = mien.Recogniser
