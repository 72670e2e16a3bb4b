from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.models import create_model, model_spec
from mien.training import batch_size
from mien.training.config import TrainConfig
from mien.training.data.faces import FaceTensors
from mien.training.module import ExpressionModule
from mien.training.run import train
from mien.training.tuning.find_lr import find_lr
from support.faces import write_folder


def test_a_try_takes_two_steps() -> None:
    config = TrainConfig(batch_size=8, model="mienet_test", precision="32", device="cpu")
    rng, p = np.random.default_rng(0), model_spec("mienet_test").preprocessing
    faces = rng.integers(0, 256, (3, p.size, p.size, p.channels), np.uint8)
    sample = FaceTensors(faces, np.eye(3, dtype=np.float32), np.arange(3))
    network = create_model("mienet_test", num_classes=3)
    module = ExpressionModule(network, config, p, steps_per_epoch=4)
    before = [weight.detach().clone() for weight in network.parameters()]
    batch_size._try_steps(module, torch.device("cpu"), sample, 8)
    assert module.trainer.global_step == 2
    assert module.trainer.current_epoch == 0, "nothing is validated"
    assert not all(map(torch.equal, before, network.parameters()))


def test_a_run_says_and_keeps_the_size_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainConfig.make(
        {
            "data": f"folder:{write_folder(tmp_path / 'faces', 24)}", "model": "mienet_test",
            "epochs": 1, "batch_size": "auto", "device": "cpu", "threads": 1, "precision": "32",
        }
    )  # fmt: skip
    train(config, tmp_path / "run")
    said = capsys.readouterr().err
    count = int(re.findall(r"train ([\d,]+):", said)[0])
    kept = TrainConfig.load(tmp_path / "run" / "args.yaml")
    assert 2 * kept.batch_size > count / 4 >= kept.batch_size
    assert f" steps of {kept.batch_size} faces (auto) on cpu" in said
    assert kept.lr == config.lr
    sizes: list[int] = []

    def stopped(_: object, size: int, **__: object) -> None:
        sizes.append(size)
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.training.tuning.find_lr.make_loader", stopped)
    with pytest.raises(KeyboardInterrupt):
        find_lr(config)
    assert sizes == [kept.batch_size]
