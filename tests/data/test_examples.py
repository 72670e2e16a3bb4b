import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    ["", ".assemble", ".duplicates", ".ferplus", ".manifest", ".naming", ".registry", ".split"],
)
def test_docstring_examples_run(name):
    done = doctest.testmod(importlib.import_module(f"mien.data{name}"))
    assert done.attempted > 0
    assert done.failed == 0
