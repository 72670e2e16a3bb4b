"""Fixtures of the whole suite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` next to the repository: media, data and weights for tests."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder 'shared' next to the repository")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network trained on drawn faces: a run directory that is a model folder."""
    pytest.importorskip("lightning")
    from faces_made import write_folder
    from mien.training.config import TrainConfig
    from mien.training.run import train

    root = tmp_path_factory.mktemp("trained")
    data = write_folder(root / "faces", 96)
    values = {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 16, "warmup_epochs": 1,
        "batch_size": 16, "lr": 0.05, "ema_decay": 0.95, "precision": "32", "mixup": 0,
        "rotate": 5, "erase": 0, "seed": 3, "tag": "drawn",
    }  # fmt: skip
    train(TrainConfig.make(values), root / "run", progress=False)
    return root / "run"


@pytest.fixture
def workplace(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that examples are typed in: a photo, a clip, faces, and two finished runs."""
    from faces_made import write_folder
    from mien.hub import ASSETS
    from mien.images import decode
    from video.clips_made import write_clip

    shutil.copyfile(ASSETS / "sample" / "astronaut.jpg", tmp_path / "photo.jpg")
    write_clip(tmp_path / "clip.mp4", [decode(tmp_path / "photo.jpg")] * 12)
    write_folder(tmp_path / "faces", 96)
    for name in ("train", "other"):
        shutil.copytree(trained, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
