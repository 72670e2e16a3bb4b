"""The public door: every name of ``mien`` is documented, and its example runs."""

from __future__ import annotations

import doctest
import os
import sys
from pathlib import Path

import pytest

import mien
import mien.training

FUNCTIONS = {name for name in mien.__all__ if name[0].islower()}


@pytest.mark.parametrize("name", sorted(FUNCTIONS | {"TrainResult"}))
def test_example_of_the_door_runs(name: str, workplace: Path) -> None:
    value = getattr(mien if name in FUNCTIONS else mien.training, name)
    names = {**vars(sys.modules[value.__module__]), "mien": mien}
    (test,) = doctest.DocTestFinder(recurse=False).find(value, name, globs=names)
    assert test.examples, f"mien.{name} has no example"
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert "".join(said) == ""


def test_one_recognizer_is_shared_by_all_calls(workplace: Path) -> None:
    from mien.recognizer import as_recognizer

    assert as_recognizer(max_faces=2) is as_recognizer(max_faces=2)
    assert as_recognizer(max_faces=2) is not as_recognizer(max_faces=3)
    first = as_recognizer("runs/train", detector="none")
    assert as_recognizer("runs/train", detector="none") is first
    assert as_recognizer(first) is first
    config = workplace / "runs" / "train" / "config.json"
    os.utime(config, ns=(1, 1))
    assert as_recognizer("runs/train", detector="none") is not first, "it was trained anew"
