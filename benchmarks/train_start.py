"""How long it takes from the command to the first step of a training, and of a plain torch script.

    python benchmarks/train_start.py --rounds 3

The plain script imports torch and Pillow, reads the same drawn faces, and takes one step of SGD of
a LeNet, nothing else; mien trains its `lenet` on them with the default recipe. Both take turns in
processes of their own. Printed are the best wall and CPU seconds of each and their ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PLAIN = """
import sys
from pathlib import Path
import numpy as np
import torch
from PIL import Image
from torch import nn

files = sorted(Path("faces/train").rglob("*.png"))
labels = sorted({file.parent.name for file in files})
x = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
y = torch.tensor([labels.index(file.parent.name) for file in files])
x = (torch.from_numpy(x).float() - x.mean()) / x.std()
network = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(16 * 10 * 10, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 3))
optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
loss = nn.functional.cross_entropy(network(x[:128, None]), y[:128])
loss.backward()
optimizer.step()
"""

#: Ends a training of mien after its first step, with exit code 7.
STAMP = """
import os

class FirstStep:
    def on_train_batch_end(self, *_):
        os._exit(7)
"""


def draw_faces(root: Path, per_class: int) -> None:
    """Writes noise as faces: what is in them does not matter here."""
    rng = np.random.default_rng(0)
    for split, count in (("train", per_class), ("valid", per_class // 4)):
        for label in ("happiness", "sadness", "neutral"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (48, 48), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")


def seconds_of(command: list[str], folder: Path, code: int) -> tuple[float, float]:
    """Runs a command; returns its wall and its CPU seconds."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode != code:
        raise SystemExit(done.stderr)
    cpu = after.children_user + after.children_system
    return wall, cpu - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-class", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_faces(folder / "faces", given.per_class)
        (folder / "stamp.py").write_text(STAMP)
        mien = (
            "-m mien train -d folder:faces --model lenet -o run --overwrite -q "
            "--callbacks stamp:FirstStep"
        )
        commands = {
            "plain torch": ([sys.executable, "-c", PLAIN], 0),
            "mien train": ([sys.executable, *mien.split()], 7),
        }
        times: dict[str, list[tuple[float, float]]] = {key: [] for key in commands}
        for number in range(given.rounds + 1):  # the first one warms the files up
            for key, (command, code) in commands.items():
                found = seconds_of(command, folder, code)
                if number:
                    times[key].append(found)
    best = {key: [min(column) for column in zip(*rows, strict=True)] for key, rows in times.items()}
    print(f"from the command to the first step, best of {given.rounds}, {os.cpu_count()} cores")
    print(f"{'':12}{'wall s':>8}{'CPU s':>8}")
    for key, (wall, cpu) in best.items():
        print(f"{key:12}{wall:8.2f}{cpu:8.2f}")
    plain, own = best.values()
    print(f"{'ratio':12}{own[0] / plain[0]:8.2f}{own[1] / plain[1]:8.2f}")


if __name__ == "__main__":
    main()
