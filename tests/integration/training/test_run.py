from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from safetensors.numpy import load_file

from mien.errors import ConfigError
from mien.evaluation import evaluate
from mien.hub import read_model_folder
from mien.training.config import TrainConfig
from mien.training.run import train
from support.faces import write_folder
from support.processes import Command, start


def _values(data: Path, **more: object) -> dict[str, object]:
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 4, "warmup_epochs": 1,
        "batch_size": 16, "lr": 0.05, "ema_decay": 0.9, "threads": 1, "precision": "32",
        "erase": 0.1, "seed": 3, "tag": "drawn", **more,
    }  # fmt: skip


def _start(output: Path, values: dict[str, object], *more: str) -> Command:
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in values.items()]
    return start("train", "-o", str(output), *flags, "-q", *more, log=output.parent / "log")


def test_run_directory_is_a_model_folder_that_learned(trained: Path) -> None:
    folder = read_model_folder(trained)
    assert folder.config.name == "mienet_test.drawn"
    # Three folders, but their names are those of fer7: a missing class never shifts the others.
    assert folder.config.schema.name == "fer7"
    assert folder.config.metrics["valid"]["accuracy"] > 0.7
    assert set(folder.config.files) == {"model.onnx", "model.safetensors"}
    for name in folder.config.files:
        folder.file(name)
    for name in ("args.yaml", "metrics.csv", "README.md", "eval/valid.json"):
        assert (trained / name).is_file(), name
    rows = list(csv.DictReader((trained / "metrics.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    best = max(float(row["valid_accuracy"]) for row in rows)
    # The epoch was chosen by the faces that do not calibrate.
    calibrates = set(json.loads((trained / "split.json").read_text())["calibrate"])
    scored = evaluate(str(trained), json.loads((trained / "split.json").read_text())["data"])
    chose = np.array([key not in calibrates for key in scored.keys])
    hits = scored.predicted[chose] == scored.class_ids[chose]
    assert hits.mean() == pytest.approx(best, abs=1e-6)
    report = json.loads((trained / "eval" / "valid.json").read_text())
    assert report["accuracy"] == folder.config.metrics["valid"]["accuracy"]


@pytest.mark.slow
def test_killed_run_resumes_to_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    values = _values(write_folder(tmp_path / "faces", 64))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert _start(whole, values).wait() == 0
    process = _start(cut, values)
    process.wait_for(cut / "checkpoints" / "last.ckpt")
    time.sleep(0.05)
    process.kill()
    assert not (cut / "config.json").exists()
    assert _start(cut, values, "--resume").wait() == 0
    expected, found = (load_file(run / "model.safetensors") for run in (whole, cut))
    assert expected.keys() == found.keys()
    for name in expected:
        assert np.array_equal(expected[name], found[name]), name
    untimed = [
        [{k: v for k, v in row.items() if k not in ("seconds", "faces_per_s")} for row in
         csv.DictReader((run / "metrics.csv").read_text().splitlines())]
        for run in (whole, cut)
    ]  # fmt: skip
    assert untimed[0] == untimed[1]
    assert not [path for path in cut.rglob(".*") if path.is_file()], "temporary files are left"


def test_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    values = _values(write_folder(tmp_path / "faces", 16), epochs=2000)
    run = tmp_path / "run"
    process = _start(run, values)
    process.wait_for(run / "checkpoints" / "last.ckpt")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert "--resume" in process.err
    assert "Traceback" not in process.err


def test_last_checkpoint_is_of_the_last_epoch_whichever_was_best(trained: Path) -> None:
    import torch

    rows = list(csv.DictReader((trained / "metrics.csv").read_text().splitlines()))
    scores = [float(row["valid_accuracy"]) for row in rows]
    checkpoints = trained / "checkpoints"
    last, best = (
        torch.load(checkpoints / f"{n}.ckpt", weights_only=True) for n in ("last", "best")
    )
    assert last["epoch"] == len(rows) - 1
    assert best["epoch"] == scores.index(max(scores))
    assert (trained / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_used_directory_is_not_overwritten(tmp_path: Path, trained: Path) -> None:
    values = _values(tmp_path)
    with pytest.raises(ConfigError, match="--resume"):
        train(TrainConfig.make(values), trained)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("my own words")
    with pytest.raises(ConfigError, match="not overwritten"):
        train(TrainConfig.make(values), tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "my own words"


def test_resume_with_other_values_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="other values"):
        train(TrainConfig.make(_values(tmp_path, lr=0.5)), trained, resume=True)


def test_first_epochs_are_trained_at_a_lower_resolution(tmp_path: Path) -> None:
    from mien.training.module import ExpressionModule

    faces = write_folder(tmp_path / "faces", 8)
    seen: dict[int, set[int]] = {}
    step = ExpressionModule.training_step

    def watched(module: ExpressionModule, batch: Any, index: int) -> Any:
        sides = seen.setdefault(module.current_epoch, set())
        hook = module.network.register_forward_pre_hook(
            lambda _module, inputs: sides.add(inputs[0].shape[-1])
        )
        try:
            return step(module, batch, index)
        finally:
            hook.remove()

    config = TrainConfig.make(_values(faces, epochs=3, first_size=24, first_share=0.4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExpressionModule, "training_step", watched)
        folder = train(config, tmp_path / "run", progress=False)
    # 0.4 of three epochs: those that start before 1.2 of them are done.
    assert seen == {0: {24}, 1: {24}, 2: {48}}
    assert folder.config.preprocessing.size == 48
