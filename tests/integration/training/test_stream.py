from __future__ import annotations

from multiprocessing import active_children
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mien.data import Manifest, read_manifest
from mien.data.writers.parquet import write_shards
from mien.errors import DataError
from mien.preprocess import Preprocessing
from mien.training.config import TrainConfig
from mien.training.data.stream import StreamedFaces, StreamLoader
from mien.training.distributed.processes import SINGLE
from mien.training.result import TrainResult
from mien.training.run import train
from support.command_line import run
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


def test_an_error_leaves_no_process_of_the_loader(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "faces", 13)
    (root / "train" / "happiness" / "003.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_shards(read_manifest(f"folder:{root}"), tmp_path / "s", faces_per_shard=10)
    stopping = read_manifest(f"shards:{tmp_path / 's'},on_error=stop").split("train")
    config = TrainConfig.make({**_values(tmp_path / "s"), "workers": 2})
    loader = StreamLoader(StreamedFaces(stopping, Preprocessing(size=48)), config, SINGLE)
    before = set(active_children())
    with pytest.raises(DataError, match="train-0000"):
        list(loader)
    assert set(active_children()) <= before


@pytest.mark.parametrize("form", ["folder", "shards"])
def test_a_training_with_damaged_pictures_ends_with_exit_code_1(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "faces", 13)
    for name in ("train/happiness/003.png", "valid/neutral/001.png"):
        (root / name).write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode())
    if form == "shards":
        write_shards(read_manifest(f"folder:{root}"), tmp_path / "shards", faces_per_shard=10)
        root = tmp_path / "shards"
    flags = ["--model", "mienet_test", "--epochs", "1", "--threads", "1", "-b", "8", "-q",
             "--workers", "0"]  # fmt: skip
    words = ["train", "-d", f"{form}:{root}", *flags, "-o", str(tmp_path / "run")]
    assert run(*words) == 1
    printed = capsys.readouterr()
    assert "accuracy" in printed.out
    assert "error: 2 pictures could not be read and took no part" in printed.err
    assert TrainResult.read(tmp_path / "run").unreadable == 2
    assert run(*words, "--on-error", "stop", "--overwrite") == 1
    assert "accuracy" not in capsys.readouterr().out


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
