"""The ten most usual programs, as somebody writes them who knows the README and the API pages."""

from __future__ import annotations

import ast

import pytest

from support import ROOT

PROGRAMS = {path.stem: path for path in (ROOT / "examples").glob("*.py")}


def test_there_are_the_ten_programs() -> None:
    assert set(PROGRAMS) == {
        "predict_one", "predict_many", "predict_clip", "train", "plot", "evaluate", "export",
        "own_detector", "own_loss", "own_network",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_program_has_at_most_eight_lines(name: str) -> None:
    text = PROGRAMS[name].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    body = ast.parse(text).body[1:]
    lines = text.splitlines()[body[0].lineno - 1 :]
    assert sum(bool(line.strip()) for line in lines) <= 8
