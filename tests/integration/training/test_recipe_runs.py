"""Whole runs with the options of a recipe, and what a run does with what it cannot use."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file

from mien.backends import open_backend
from mien.errors import ModelError
from mien.exporting import export_run
from mien.hub import read_model_folder
from mien.training.config import TrainConfig
from mien.training.run import train
from support.training_recipe_runs import _values, largest_file, rows


def test_head_first_then_stage_by_stage(faces: Path, trained: Path, tmp_path: Path) -> None:
    """Frozen weights stay bit by bit; the run's own callback watches after each epoch."""
    (tmp_path / "watching.py").write_text(
        "from mien.training import Callback\n"
        "seen = []\n"
        "class Watch(Callback):\n"
        "    def on_train_epoch_end(self, trainer, module):\n"
        "        state = module.network.state_dict()\n"
        "        seen.append({k: v.clone() for k, v in state.items()})\n"
    )
    with contextlib.chdir(tmp_path):
        values = _values(
            faces, weights=str(trained / "model.safetensors"), freeze="features", freeze_epochs=1,
            unfreeze=2, layer_decay=0.5, callbacks="watching:Watch", optimizer="adamw", lr=0.002,
            loss="focal", class_weight="effective", schedule="one_cycle", randaugment=1, cutmix=0.5,
        )  # fmt: skip
        folder = train(TrainConfig.make(values), tmp_path / "run", progress=False)
    import watching  # type: ignore[import-not-found]

    start = load_file(trained / "model.safetensors")
    first, second, third = watching.seen
    moved = [
        {name for name, value in state.items()
         if not name.endswith("tracked") and not np.array_equal(value.numpy(), start[name])}
        for state in (first, second, third)
    ]  # fmt: skip
    assert moved[0] == {"head.weight", "head.bias"}
    assert any(name.startswith("stages.2.") for name in moved[1])
    assert any(name.startswith("stages.1.") for name in moved[1])
    assert not any(name.startswith(("stem.", "stages.0.")) for name in moved[1])
    assert any(name.startswith("stages.0.") for name in moved[2])
    assert any(name.startswith("stem.") for name in moved[2]), "five stages, 1 + 2 + 2"
    assert read_model_folder(folder.path).config.metrics["valid"]["n"] == 12
    assert (tmp_path / "run" / "curves.png").is_file()


def test_any_size_and_color_trains_exports_and_agrees(faces: Path, tmp_path: Path) -> None:
    values = _values(faces, epochs=1, size=40, color="rgb", sampler="weighted", schedule="plateau")
    folder = train(TrainConfig.make(values), tmp_path / "run", progress=False)
    p = read_model_folder(folder.path).config.preprocessing
    assert (p.size, p.color) == (40, "rgb")
    batch = np.random.default_rng(0).normal(size=(3, 3, 40, 40)).astype(np.float32)
    a, b = (open_backend(folder, name).run(batch).logits for name in ("onnx", "torch"))
    assert np.abs(a - b).max() < 1e-4


def test_a_run_on_a_full_disk_ends_with_one_error_and_resumes(faces: Path, tmp_path: Path) -> None:
    config = TrainConfig.make(_values(faces, epochs=1))
    with largest_file(30_000), pytest.raises(ModelError, match="make room"):
        train(config, tmp_path / "run", progress=False)
    folder = train(config, tmp_path / "run", resume=True, progress=False)
    assert len(rows(folder.path)) == 1


@pytest.mark.parametrize("fault", ["parity", "operation"])
def test_weights_outlive_an_export_that_fails(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such operation")

    with monkeypatch.context() as patch:
        if fault == "parity":
            patch.setattr("mien.exporting.onnx.PARITY", 1e-12)
        else:
            patch.setattr(torch.onnx, "export", refuse)
        with pytest.raises(ModelError, match=r"--backend torch reads: try again with mien export"):
            train(TrainConfig.make(_values(faces, epochs=1)), tmp_path / "run", progress=False)
    folder = read_model_folder(tmp_path / "run")
    assert folder.config.metrics["valid"]["n"] == 12
    logits = open_backend(folder, "torch").run(np.zeros((1, 1, 48, 48), np.float32)).logits
    exported, difference = export_run(tmp_path / "run")
    assert difference < 1e-4
    again = open_backend(exported, "onnx").run(np.zeros((1, 1, 48, 48), np.float32)).logits
    assert np.abs(again - logits).max() < 1e-4
