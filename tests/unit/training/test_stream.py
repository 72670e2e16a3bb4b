from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.data import Manifest, read_manifest
from mien.data.faces import load_faces
from mien.data.writers.parquet import write_shards
from mien.errors import ConfigError, DataError, MienError
from mien.preprocess import Preprocessing
from mien.training.config import TrainConfig
from mien.training.data.faces import count_steps
from mien.training.data.stream import (
    EpochStream,
    StreamedFaces,
    StreamLoader,
    plan_batches,
    shuffled,
)
from mien.training.distributed.processes import SINGLE, DistInfo
from mien.training.run import load_data
from support.faces import write_folder

INPUT = Preprocessing(size=48, color="gray")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(f"folder:{write_folder(tmp_path_factory.mktemp('faces'), 13)}")


@pytest.fixture(scope="module")
def shards(faces: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "s"
    write_shards(faces, folder, faces_per_shard=10)
    return folder


#: PyTorch says so where a process may use one core alone.
ONE_CORE = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def _stream(shards: Path, **values: object) -> tuple[StreamedFaces, TrainConfig]:
    config = TrainConfig.make({"batch_size": 8, "workers": 0, "shuffle_buffer": 6, **values})
    manifest = read_manifest(f"shards:{shards}").split("train")
    return StreamedFaces(manifest, INPUT), config


@pytest.mark.parametrize("size", [1, 9, 39, 40, 41, 64, 75, 76])
@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_parts_of_all_readers_are_the_epoch(size: int, world: int, workers: int) -> None:
    seen: Counter[int] = Counter()
    steps = count_steps(size, 8)
    sizes = np.zeros((world, steps), int)
    for rank in range(world):
        for worker in range(workers):
            dist = DistInfo(rank, world, rank, world)
            first, own = plan_batches(size, 8, dist, workers=workers, worker=worker)
            seen.update(range(first, first + sum(own)))
            sizes[rank, worker::workers] = own
    whole, rest = divmod(size, 8)
    kept = size if rest == 0 or rest >= 4 or not whole else size - rest
    assert set(seen.values()) <= {1}
    assert len(seen) == kept
    # Each step's batches together have the size of one process's batch.
    assert sizes.sum(axis=0).tolist() == [min(8, size - 8 * k) for k in range(steps)]


def test_buffer_bounds_the_faces_held() -> None:
    drawn, peak = 0, 0

    def source() -> Iterator[int]:
        nonlocal drawn
        for face in range(1000):
            drawn += 1
            yield face

    out = []
    for face in shuffled(source(), 50, np.random.default_rng(0)):
        out.append(face)
        peak = max(peak, drawn - len(out))
    assert peak == 50
    assert sorted(out) == list(range(1000))
    assert out != sorted(out)


def _faces_of(batch: Any) -> list[bytes]:
    assert not isinstance(batch, MienError)
    (images, _, _), damaged = batch
    assert not damaged
    return [face.permute(1, 2, 0).numpy().tobytes() for face in images]


def test_epoch_visits_each_face_once_in_an_order_of_seed_and_epoch(
    faces: Manifest, shards: Path
) -> None:
    expected = Counter(face.tobytes() for face in load_faces(faces.split("train"), INPUT))
    streamed, config = _stream(shards, batch_size=4)  # 39 faces: nine batches of 4, one of 3
    orders = []
    for epoch in (0, 1, 1):
        stream = EpochStream(streamed, config, SINGLE)
        stream.set_epoch(epoch)
        batches = list(stream)
        orders.append([face for batch in batches for face in _faces_of(batch)])
        assert Counter(orders[-1]) == expected
    assert orders[0] != orders[1] == orders[2]
    both: Counter[bytes] = Counter()
    for rank in (0, 1):
        for batch in EpochStream(streamed, config, DistInfo(rank, 2, rank, 2)):
            both.update(_faces_of(batch))
    assert both == expected


@ONE_CORE
def test_labels_go_with_their_faces(faces: Manifest, shards: Path) -> None:
    part = faces.split("train")
    known = dict(
        zip(
            (face.tobytes() for face in load_faces(part, INPUT)),
            part.class_ids.tolist(),
            strict=True,
        )
    )
    streamed, config = _stream(shards, workers=2)
    loader = StreamLoader(streamed, config, SINGLE)
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert len(batches) == len(loader) == 5
        for images, targets, class_ids in batches:
            for face, target, class_id in zip(images, targets, class_ids, strict=True):
                assert known[face.permute(1, 2, 0).numpy().tobytes()] == int(class_id)
                assert int(target.argmax()) == int(class_id)


def _values(shards: Path) -> dict[str, object]:
    return {
        "data": f"shards:{shards}", "model": "mienet_test", "epochs": 2, "warmup_epochs": 1,
        "batch_size": 8, "lr": 0.05, "ema_decay": 0.9, "threads": 1, "precision": "32",
        "workers": 0, "seed": 3, "tag": "drawn",
    }  # fmt: skip


def test_weighted_sampler_is_refused_for_shards(shards: Path) -> None:
    config = TrainConfig.make({**_values(shards), "sampler": "weighted"})
    with pytest.raises(ConfigError, match="class_weight"):
        load_data(config, INPUT)


def test_teachers_are_not_asked_beforehand_about_shards(shards: Path) -> None:
    config = TrainConfig.make({**_values(shards), "teachers": "somewhere", "distill_views": 2})
    with pytest.raises(ConfigError, match="distill_views: 0"):
        load_data(config, INPUT)


@ONE_CORE
def test_damaged_pictures_are_left_out_of_their_batches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_folder(tmp_path / "faces", 13)
    for name in ("happiness/003.png", "neutral/007.png"):
        (root / "train" / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    write_shards(read_manifest(f"folder:{root}"), tmp_path / "shards", faces_per_shard=10)
    for workers in (0, 2):
        streamed, config = _stream(tmp_path / "shards", workers=workers)
        loader = StreamLoader(streamed, config, SINGLE)
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            assert sum(len(batch[0]) for batch in loader) == 37
        assert len(streamed.damaged) == 2
        told = [record.message for record in caplog.records]
        assert len(told) == 1
        assert "2 of 39 train pictures cannot be read and are left out" in told[0]
        caplog.clear()
    stopping = read_manifest(f"shards:{tmp_path / 'shards'},on_error=stop").split("train")
    streamed = StreamedFaces(stopping, INPUT)
    # A traceback keeps what this function holds, and readers in processes are waited for by then.
    del loader
    config = replace(config, workers=0)
    with pytest.raises(DataError, match="train-0000"):
        list(StreamLoader(streamed, config, SINGLE))
