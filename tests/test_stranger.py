"""The ten most usual programs, as somebody writes them who knows the README and the API pages."""

from __future__ import annotations

import ast
import runpy
import shutil
from pathlib import Path

import pytest

PROGRAMS = {path.stem: path for path in (Path(__file__).parents[1] / "examples").glob("*.py")}
TRAINING = {"train", "own_loss", "own_network"}


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


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in TRAINING)) for n in sorted(PROGRAMS)]
)
def test_program_runs(
    name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for extra in {"train": ["lightning"], "predict_clip": ["av"], "predict_many": ["pandas"]}.get(
        name, []
    ):
        pytest.importorskip(extra)
    (workplace / "photos").mkdir()
    shutil.copyfile("photo.jpg", workplace / "photos" / "a.jpg")
    models = pytest.importorskip("mien.models.registry")
    monkeypatch.setattr(models, "_MODELS", dict(models._MODELS))
    runpy.run_path(str(PROGRAMS[name]), run_name="__main__")
    written = {
        "predict_one": ["annotated.png"], "plot": ["curves.png", "answer.png"],
        "train": ["runs/mine/model.onnx"], "export": ["small/model.onnx"],
        "own_loss": ["runs/brier/model.onnx"], "own_network": ["runs/tiny/model.onnx"],
    }  # fmt: skip
    for file in written.get(name, []):
        assert (workplace / file).is_file()
    assert capsys.readouterr().out or name == "plot"
