"""How much of the speed of a training from memory a training from shards keeps.

All sides train the same network on the same faces in turns, in one run; what differs is where the
faces come from: tensors in memory, shards of pictures, shards of bare pixels. Validation is left
out. Usage: ``python benchmarks/stream_speed.py ferplus:DIR``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.data import read_manifest
from mien.data.writers.parquet import write_shards
from mien.models import model_spec
from mien.training.config import TrainConfig
from mien.training.data.faces import make_loader
from mien.training.data.stream import StreamedFaces, StreamLoader
from mien.training.distributed.processes import SINGLE
from mien.training.run import TrainingData, _make_module, load_data

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "mienet_s_ferplus.yaml"


def epoch(config: TrainConfig, data: TrainingData) -> float:
    """Faces a second of a warm epoch: forward, backward, step."""
    module = _make_module(config, model_spec(config.model), data)
    faces = data.train_faces
    if isinstance(faces, StreamedFaces):
        loader = StreamLoader(faces, config, SINGLE)
    else:
        loader = make_loader(faces, config.batch_size, seed=config.seed)
    optimizer = module.configure_optimizers()[0][0]
    module.on_train_epoch_start()
    for number in (0, 1):
        loader.sampler.set_epoch(number)
        start, seen = time.perf_counter(), 0
        for index, batch in enumerate(loader):
            optimizer.zero_grad()
            module.training_step(batch, index).backward()
            optimizer.step()
            seen += len(batch[0])
    return seen / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--limit", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    spec = model_spec("mienet_s")
    config = TrainConfig.load(
        RECIPE, data=arguments.data, workers=arguments.workers, precision="32", mixup=0
    )
    with tempfile.TemporaryDirectory() as folder:
        whole = read_manifest(arguments.data)
        kept = [
            rows[:most]
            for split, most in (("train", arguments.limit), ("valid", 256))
            for rows in [np.flatnonzero(whole.splits == split)]
        ]
        keep = whole.select(np.concatenate(kept))
        sides = {"memory": load_data(config, spec.preprocessing, manifest=keep)}
        for name, pixels in (("pictures", None), ("pixels", spec.preprocessing)):
            write_shards(keep, Path(folder) / name, faces_per_shard=1024, pixels=pixels)
            shards = replace(config, data=f"shards:{folder}/{name}")
            sides[name] = load_data(shards, spec.preprocessing)
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(arguments.rounds):
            for name, data in sides.items():
                speeds[name].append(epoch(config, data))
    for name, values in speeds.items():
        ratio = statistics.median(values) / statistics.median(speeds["memory"])
        print(
            f"{name}: {statistics.median(values):.0f} faces/s (from {min(values):.0f} to "
            f"{max(values):.0f}, {len(values)} rounds), {ratio:.3f} of memory"
        )


if __name__ == "__main__":
    main()
