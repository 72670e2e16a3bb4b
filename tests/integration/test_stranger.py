"""The ten most usual programs, as somebody writes them who knows the README and the API pages."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

from support import ROOT

PROGRAMS = {path.stem: path for path in (ROOT / "examples").glob("*.py")}
TRAINING = {"train", "own_loss", "own_network"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in TRAINING)) for n in sorted(PROGRAMS)]
)
def test_program_runs(
    name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for extra in {"train": ["torch"], "predict_clip": ["av"], "predict_many": ["pandas"]}.get(
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
