from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer
from mien.cli import main
from mien.data import read_manifest
from mien.evaluation import Evaluation, evaluate, record_evaluation
from mien.hub import read_model_folder
from mien.labels import get_schema


@pytest.mark.parametrize(
    ("model", "floor"), [("mienet_s.faces8", 0.85), ("mienet_s.ferplus8", 0.885)]
)
def test_bundled_model_on_ferplus_valid(shared: Path, model: str, floor: float) -> None:
    pytest.importorskip("pyarrow")
    manifest = read_manifest(f"ferplus:{shared / 'data' / 'ferplus'}")
    recognizer = EmotionRecognizer(model, detector="none")
    report = evaluate(recognizer, manifest).to_dict()
    assert report["n"] == 3199
    assert report["accuracy"] >= floor
    recorded = recognizer.config.metrics["valid"]
    assert report["accuracy"] == pytest.approx(recorded["accuracy"], abs=2e-3)
    assert report["deduplicated"]["n"] == 3199 - 251


def test_recorded_scores_stand_in_the_folder_and_its_card(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    from support.faces import write_folder

    model = tmp_path / "model"
    shutil.copytree(trained, model)
    faces = write_folder(tmp_path / "faces", 8)
    flags = ["-d", f"folder:{faces}", "-m", str(model), "--robustness", "--record", "-q"]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *flags, "--format", "json"])
    assert ended.value.code == 0
    assert f"recorded in {model}" in capsys.readouterr().err
    recorded = json.loads((model / "eval" / "valid.json").read_text())
    card = (model / "README.md").read_text()
    cells = [row["accuracy"] for row in recorded["robustness"] if row["severity"]]
    assert f"{sum(cells) / 30:.1%} is the mean of all 30 cells" in card
    assert "![Share of right answers" in card
    assert (model / "eval" / "valid.png").read_bytes().startswith(b"\x89PNG")
    assert read_model_folder(model).config.metrics["valid"]["n"] == recorded["n"]


def test_other_labels_are_recorded_beside_the_own(tmp_path: Path, trained: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained, model)
    folder = read_model_folder(model)
    before = dict(folder.config.metrics)
    probs = np.full((4, 8), 0.04)
    probs[:, 3] = 0.72
    class_ids = np.array([3, 3, 3, 4])
    other = Evaluation(
        model="m", data="d", split="valid", labels=get_schema("ferplus8").labels,
        keys=tuple("abcd"), class_ids=class_ids, targets=np.eye(8, dtype=np.float32)[class_ids],
        probs=probs,
        leaked=np.zeros(4, bool),
    )  # fmt: skip
    folder = record_evaluation(folder, other, "drawn")
    assert folder.config.metrics["valid-ferplus8"]["accuracy"] == 0.75
    assert {key: value for key, value in folder.config.metrics.items() if key in before} == before
    card = (model / "README.md").read_text()
    assert "| `ferplus8` |" in card
    assert "75.00% (30.06% to 95.44%), n = 4" in card
    assert "valid-ferplus8" not in card, "neither a split nor a result of the model's own labels"


@pytest.mark.parametrize("verb", ["evaluate", "calibrate"])
def test_a_folder_that_cannot_be_written_is_said(
    verb: str, tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    from support.faces import write_folder

    monkeypatch.setattr("mien.hub.card.write_config", refuse)
    model = tmp_path / "model"
    shutil.copytree(trained, model)
    faces = write_folder(tmp_path / "faces", 8)
    flags = ["-d", f"folder:{faces}", "-m", str(model), "-q"]
    with pytest.raises(SystemExit) as ended:
        main([verb, *flags, *(["--record"] if verb == "evaluate" else [])])
    assert ended.value.code == 2
    assert "cannot be written (Permission denied): copy the folder" in capsys.readouterr().err
