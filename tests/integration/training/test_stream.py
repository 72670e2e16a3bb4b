from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from mien.data import Manifest, read_manifest
from mien.data.writers.parquet import write_shards
from mien.errors import DataError
from mien.training.config import TrainConfig
from mien.training.run import train
from support.faces import write_folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(f"folder:{write_folder(tmp_path_factory.mktemp('faces'), 13)}")


@pytest.fixture(scope="module")
def shards(faces: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "s"
    write_shards(faces, folder, faces_per_shard=10)
    return folder


def test_damaged_shard_ends_the_training_and_is_named(faces: Manifest, tmp_path: Path) -> None:
    write_shards(faces, tmp_path / "s", faces_per_shard=10)
    path = tmp_path / "s" / "train-00002-of-00004.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:300] + bytes(16) + data[316:])
    values = _values(tmp_path / "s")
    with pytest.raises(DataError, match=r"train-00002-of-00004\.parquet is damaged"):
        train(TrainConfig.make(values), tmp_path / "run", progress=False)


def _values(shards: Path) -> dict[str, object]:
    return {
        "data": f"shards:{shards}", "model": "mienet_test", "epochs": 2, "warmup_epochs": 1,
        "batch_size": 8, "lr": 0.05, "ema_decay": 0.9, "threads": 1, "precision": "32",
        "workers": 0, "seed": 3, "tag": "drawn",
    }  # fmt: skip


def test_training_on_shards_leaves_a_model_folder(shards: Path, tmp_path: Path) -> None:
    folder = train(TrainConfig.make(_values(shards)), tmp_path / "run", progress=False)
    assert folder.config.metrics["valid"]["n"] == 12
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3
