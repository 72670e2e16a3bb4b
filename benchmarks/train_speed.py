"""How much of the bare network's training speed ``mien train`` keeps.

Both sides train the same network on the same faces, batch size, precision and memory format, in
turns, in one run. The bare side is fed with ready float tensors: no augmentation, no averaging of
weights, no loop around it. Usage: ``python benchmarks/train_speed.py ferplus:DIR``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

from mien.models import create_model, model_spec
from mien.models.layers import normalize_tensor
from mien.training.config import TrainConfig
from mien.training.data.faces import make_loader
from mien.training.distributed.processes import SINGLE, process_settings
from mien.training.module import ExpressionModule
from mien.training.run import TrainingData, load_data
from mien.training.trainer import make_trainer

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "mienet_s_ferplus.yaml"


def bare(data: TrainingData, batch_size: int, name: str) -> float:
    """Faces a second of a plain loop over tensors that are ready."""
    faces, targets = data.train_faces.faces, data.train_faces.targets
    x = normalize_tensor(faces.float(), model_spec(name).preprocessing)
    network = create_model(name, num_classes=targets.shape[1]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True)
    batches = [
        (
            x[i : i + batch_size].contiguous(memory_format=torch.channels_last),
            targets[i : i + batch_size],
        )
        for i in range(0, len(x) - batch_size + 1, batch_size)
    ]
    start = time.perf_counter()
    for inputs, wanted in batches:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(inputs)
        loss = functional.cross_entropy(logits.float(), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(batches) * batch_size / (time.perf_counter() - start)


def through_mien(data: TrainingData, spec: str, limit: int) -> float:
    """Faces a second that ``mien train`` writes into its metrics.csv, in a warm epoch."""
    config = TrainConfig.load(
        RECIPE, data=spec, epochs=2, warmup_epochs=0, limit=limit, precision="bf16"
    )
    with tempfile.TemporaryDirectory() as folder:
        network = create_model(config.model, num_classes=data.train_faces.targets.shape[1])
        network = network.to(memory_format=torch.channels_last)
        loader = make_loader(data.train_faces, config.batch_size)
        module = ExpressionModule(
            network, config, model_spec(config.model).preprocessing, steps_per_epoch=len(loader)
        )
        trainer = make_trainer(config, Path(folder), progress=False)
        with process_settings(config, SINGLE):
            trainer.fit(module, loader, make_loader(data.valid_faces, 256, shuffle=False))
        rows = list(csv.DictReader((Path(folder) / "metrics.csv").open()))
    return float(rows[-1]["faces_per_s"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--limit", type=int, default=5120)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = TrainConfig.load(RECIPE, data=arguments.data, limit=arguments.limit)
    data = load_data(config, model_spec(config.model).preprocessing)
    bare(data, config.batch_size, config.model)  # warm-up
    sides: dict[str, list[float]] = {"bare": [], "mien": []}
    for _ in range(arguments.rounds):
        sides["bare"].append(bare(data, config.batch_size, config.model))
        sides["mien"].append(through_mien(data, arguments.data, arguments.limit))
    for name, values in sides.items():
        print(
            f"{name}: {statistics.median(values):.0f} faces/s "
            f"(from {min(values):.0f} to {max(values):.0f}, {len(values)} rounds)"
        )
    ratio = statistics.median(sides["mien"]) / statistics.median(sides["bare"])
    print(f"ratio: {ratio:.3f}")


if __name__ == "__main__":
    main()
