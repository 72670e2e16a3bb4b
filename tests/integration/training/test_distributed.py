from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mien.hub import read_model_folder
from mien.training.config import TrainConfig
from mien.training.run import train
from support.faces import write_folder

PROBE = """
import hashlib, json, os, time
from pathlib import Path
from mien.training import Callback

class Probe(Callback):
    def on_train_start(self, trainer, module):
        Path(f"pid{trainer.global_rank}").write_text(str(os.getpid()))

    def on_train_epoch_end(self, trainer, module):
        if Path("slow").exists():
            time.sleep(1)
        digest = hashlib.sha256()
        for tensor in module.average.state_dict().values():
            digest.update(tensor.numpy().tobytes())
        seen = {"average": digest.hexdigest(), "augment": module._random.initial_seed(),
                "accuracy": float(trainer.callback_metrics["valid_accuracy"])}
        Path(f"seen{trainer.global_rank}.json").write_text(json.dumps(seen))
"""


def _values(data: Path, **more: object) -> dict[str, object]:
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 4, "warmup_epochs": 1,
        "batch_size": 16, "lr": 0.02, "ema_decay": 0.9, "threads": 1, "precision": "32",
        "seed": 3, "tag": "drawn", **more,
    }  # fmt: skip


def _flags(output: Path, values: dict[str, object], *more: str) -> list[str]:
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in values.items()]
    return ["-m", "mien", "train", "-o", str(output), *flags, *more]


def _rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path: Path) -> None:
    # Without augmentation, dropout and batch norm, two have nothing to differ from one in.
    still = dict.fromkeys(
        ("mixup", "flip", "rotate", "shift", "light", "blur", "low_resolution", "noise", "erase"), 0
    )
    values = _values(
        write_folder(tmp_path / "faces", 9),
        model="lenet",
        model_args="batch_norm=false,dropout=0",
        precision="32",
        batch_size=10,
        scale_min=1,
        scale_max=1,
        epochs=3,
        sampler="weighted",
        **still,
    )  # fmt: skip  (27 faces: two batches of 10, one of 7, which is shared as 4 and 3)
    one, two = tmp_path / "one", tmp_path / "two"
    train(TrainConfig.make(values), one, progress=False)
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *start, *_flags(two, values, "-q")],
        check=True, timeout=500, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.count("accuracy") == 1
    for alone, shared in zip(_rows(one), _rows(two), strict=True):
        for name in ("train_loss", "valid_loss"):
            assert float(shared[name]) == pytest.approx(float(alone[name]), rel=1e-4)
        assert float(shared["valid_accuracy"]) == pytest.approx(float(alone["valid_accuracy"]))
        assert float(shared["lr"]) == float(alone["lr"])
    scores = [read_model_folder(run).config.metrics["valid"] for run in (one, two)]
    assert scores[0]["n"] == scores[1]["n"] == 12
    assert scores[0]["accuracy"] == scores[1]["accuracy"]


@pytest.mark.slow
def test_run_with_a_killed_worker_ends_and_resumes(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "slow").touch()
    data, run = write_folder(tmp_path / "faces", 17), tmp_path / "run"
    values = _values(data, epochs=5, devices=2, callbacks="probe:Probe")
    command = [sys.executable, *_flags(run, values, "-q")]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 400
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(int((tmp_path / "pid1").read_text()), signal.SIGKILL)
    killed = time.monotonic()
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert time.monotonic() - killed < 150
    assert "--resume" in err
    assert "SIGKILL" in err or "is gone" in err
    assert not (run / "config.json").exists()
    (tmp_path / "slow").unlink()
    subprocess.run([*command, "--resume"], cwd=tmp_path, check=True, timeout=500)
    assert [int(row["epoch"]) for row in _rows(run)] == [1, 2, 3, 4, 5]
    folder = read_model_folder(run)
    folder.file("model.safetensors")
    first, second = (json.loads((tmp_path / f"seen{rank}.json").read_text()) for rank in (0, 1))
    assert first["average"] == second["average"]
    assert first["accuracy"] == second["accuracy"]
    assert first["augment"] != second["augment"]
    assert not [path for path in run.rglob(".*") if path.is_file()], "temporary files are left"
