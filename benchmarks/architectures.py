"""Trains every architecture under one budget and writes the results page's table.

    python benchmarks/architectures.py ferplus:DIR runs/results --weights FILE

Each file of ``recipes/results`` is one row: one training after the other, by ``mien train``; a
stopped one goes on where it was, a finished one is not repeated. FILE holds MobileNetV2's ImageNet
weights in timm's names; without it they come from the Hub. ``--epochs`` sets another budget for
every row. ``--page FILE`` then scores the runs and their ensemble and renews the page's tables.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "results"
#: Quick networks first.
ORDER = (
    "mienet_s", "lenet", "cnn_simple", "cnn_simple_balanced", "alexnet", "mobilenetv2_frozen",
    "mobilenetv2_finetuned", "mobilenetv2_scratch", "efficientnet_b0", "vgg11", "inception",
    "vit_tiny", "resnet34",
)  # fmt: skip


def train(name: str, data: str, runs: Path, *, weights: str, epochs: int) -> None:
    """Trains one row to its end, or goes on with it."""
    output = runs / name
    if (output / "config.json").is_file():
        print(f"{name}: done before", flush=True)
        return
    recipe = RECIPES / f"{name}.yaml"
    command = [sys.executable, "-m", "mien", "train", "-c", str(recipe), "-d", data]
    command += ["-o", str(output), "--resume"]
    command += ["--epochs", str(epochs)] if epochs else []
    if weights and "weights: hub" in recipe.read_text(encoding="utf-8"):
        command += ["--weights", weights]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    print(f"{name}: {(time.perf_counter() - started) / 60:.1f} min", flush=True)


def main() -> None:
    """Trains the rows that are asked for, one at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="dataset, KIND:PATH")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--weights", default="", help="MobileNetV2's ImageNet weights")
    parser.add_argument("--epochs", type=int, default=0, help="0: as the recipes say")
    parser.add_argument("--only", nargs="*", choices=ORDER, default=ORDER, help="rows to train")
    given = parser.parse_args()
    for name in given.only:
        train(name, given.data, given.runs, weights=given.weights, epochs=given.epochs)


if __name__ == "__main__":
    main()
