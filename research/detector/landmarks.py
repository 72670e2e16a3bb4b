"""The detector's third network: where the five landmarks of a found face lie.

``python -m research.detector.landmarks --pack PACK --shared ../shared -o FOLDER`` cuts the faces
with known landmarks out of the pack and of all training portraits, learns from them on two
processor cores in about a quarter of an hour, goes on where it was stopped, and writes
``landmarks.safetensors`` and ``landmarks.onnx``.
"""

from __future__ import annotations

import argparse
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from research.detector.checkpoint import follow, load_run, save_run
from research.detector.export import export_crop_network
from research.detector.pack import IGNORE, Pack, decode_rgb, load_pack
from research.detector.prepare import is_valid
from research.detector.refiner import Crops, view
from research.detector.teachers import YuNet
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from mien.detectors.framing import Framing, crop_box
from mien.preprocess import Preprocessing, crop_faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Side of the input, in pixels, and that of its square as a multiple of the box's side.
SIDE, CONTEXT = 48, 1.4
#: The same of the stored crops.
STORED_SIDE, STORED_CONTEXT = 96, 2.2
#: Smallest faces to learn from, in pixels.
MIN_SIDE = 20
#: Cells of the maps along each axis.
CELLS = SIDE // 4
WIDTH, DEPTH = 32, 6


class Mixing(nn.Module):
    """A depthwise and a pointwise convolution, added to what they are given."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(
            channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False
        )
        self.depth_norm = nn.BatchNorm2d(channels)
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.point_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        y = functional.relu(self.depth_norm(self.depth(x)))
        return functional.relu(x + self.point_norm(self.point(y)))


class LandmarkNetwork(nn.Module):
    """A map for each landmark; its place is the mean of the map's cells, weighed by them.

    >>> LandmarkNetwork()(torch.zeros(2, 3, 48, 48)).shape
    torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.input_scale = 1 / 64
        half = WIDTH // 2
        self.stem = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(half)
        self.down = nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False)
        self.down_norm = nn.BatchNorm2d(half)
        self.widen = nn.Conv2d(half, WIDTH, 1, bias=False)
        self.widen_norm = nn.BatchNorm2d(WIDTH)
        self.body = nn.Sequential(*(Mixing(WIDTH, 1 + i % 3) for i in range(DEPTH)))
        self.whole = nn.Linear(WIDTH, WIDTH)
        self.maps = nn.Conv2d(WIDTH, 5, 1)
        # A face may turn out larger than its square: cells reach further than it.
        axis = (torch.arange(CELLS) - (CELLS - 1) / 2) / CELLS * 1.2
        places = torch.stack([axis.repeat(CELLS), axis.repeat_interleave(CELLS)], 1)
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps crops (N, 3, 48, 48), RGB 0..255, to (N, 10): x and y of five points.

        Returns:
            Shares of the crop's side from its middle.
        """
        y = functional.relu(self.stem_norm(self.stem(x if self.input_scale == 1 else x / 64)))
        y = functional.relu(self.down_norm(self.down(y)))
        y = functional.relu(self.widen_norm(self.widen(y)))
        y = self.body(y)
        y = y + self.whole(y.mean((2, 3)))[..., None, None]
        weights = self.maps(y).flatten(2).softmax(2)
        return (weights @ self.places).flatten(1)


@cache
def _opened(pack: Path, teacher: Path) -> tuple[Pack, YuNet]:
    return load_pack(pack), YuNet(teacher)


def cut(
    image_rgb: NDArray[np.uint8], boxes: NDArray[np.float32], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Returns faces (N, 96, 96, 3) and their landmarks (N, 5, 2) as shares of the crops."""
    squares = crop_box(boxes, Framing(scale=STORED_CONTEXT))
    middle = (squares[:, None, :2] + squares[:, None, 2:]) / 2
    shares = (points - middle) / (squares[:, 2] - squares[:, 0])[:, None, None]
    crops = crop_faces(image_rgb, squares, Preprocessing(size=STORED_SIDE, color="rgb"))
    return crops, shares.astype(np.float32)


def _task(task: tuple[Path, Path, int | bytes]) -> Any:
    path, weights, item = task
    pack, teacher = _opened(path, weights)
    if isinstance(item, bytes):
        image = decode_rgb(item)
        found = teacher.detect_twice(image, 0.7)
        boxes, points = found.boxes, found.points
    else:
        image, rows = pack.image(item), pack.regions(item)
        known = (pack.target[rows] != IGNORE) & np.isfinite(pack.points[rows]).all((1, 2))
        boxes, points = pack.boxes[rows][known], pack.points[rows][known]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    large = sides >= MIN_SIDE
    return *cut(image, boxes[large], points[large]), sides[large]


def collect(pack: Path, shared: Path, workers: int) -> tuple[Crops, Tensor]:
    """Reads the training faces of the pack's photographs and of all training portraits.

    Returns:
        The crops, and how often each is drawn: of a small face the teacher is less exact.
    """
    import pyarrow.parquet as pq

    opened, teacher = load_pack(pack), shared / "weights/yunet_n_dynamic.onnx"
    rows = pq.read_table(shared / "data/scenes/portraits.parquet")["image"].to_pylist()
    photos = np.flatnonzero(~opened.valid & (opened.source < 4)).tolist()
    items = photos + [row["bytes"] for row in rows if not is_valid(row["path"])]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(_task, [(pack, teacher, i) for i in items], chunksize=16))
    images, points, sides = (
        torch.from_numpy(np.concatenate(values)) for values in zip(*parts, strict=True)
    )
    count, half = len(points), 0.5 / STORED_CONTEXT
    boxes = torch.tensor([[-half, -half, half, half]]).repeat(count, 1)
    return Crops(images, torch.ones(count), boxes, points), (sides / 64).clamp(max=1).double()


@dataclass(frozen=True)
class LandmarkConfig:
    """How long the training is, and how far faces are moved and tilted in it.

    Args:
        jitter: Share of the moving and scaling of the second network's training.
        tilt: Degrees at most.
    """

    steps: int = 8000
    lr: float = 0.004
    batch: int = 128
    jitter: float = 1.0
    tilt: float = 25.0


def turned(crops: Crops, config: LandmarkConfig) -> Crops:
    """Cuts the network's inputs out of stored crops; moved, scaled and tilted."""
    return view(
        crops, moved=True, side=SIDE, ratio=CONTEXT / STORED_CONTEXT,
        tilt=math.radians(config.tilt), jitter=config.jitter,
    )  # fmt: skip


class LandmarkTraining:
    """One run, which can be stopped and goes on from its checkpoint."""

    def __init__(
        self,
        faces: tuple[Crops, Tensor],
        output: Path,
        config: LandmarkConfig,
        *,
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(0)
        (self.crops, self.weights), self.path = faces, output / "landmarks.pt"
        self.config, self.step = config, 0
        self.network, self.average = LandmarkNetwork(), LandmarkNetwork().eval()
        if start is not None:
            self.network.load_state_dict(load_file(start))
        self.average.load_state_dict(self.network.state_dict())
        self.average.requires_grad_(requires_grad=False)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.lr, weight_decay=0.01
        )
        if load_run(self, self.path):
            torch.manual_seed(self.step)

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        save_run(self, self.path)

    def learn(self) -> Tensor:
        """One step; returns the mean distance over that of the eyes."""
        done = self.step / self.config.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * min(
                done / 0.03 + 0.01, (1 + math.cos(math.pi * done)) / 2
            )
        index = torch.multinomial(self.weights, self.config.batch, replacement=True)
        batch = turned(self.crops.take(index), self.config)
        self.network.train()
        found = self.network(batch.images).view(-1, 5, 2)
        # Of a profile the eyes lie close together: at least a quarter of the face counts.
        eyes = (batch.points[:, 0] - batch.points[:, 1]).norm(dim=1).clamp(min=0.25 / CONTEXT)
        away = (found - batch.points).norm(dim=2) / eyes[:, None]
        loss = functional.smooth_l1_loss(away, torch.zeros_like(away), beta=0.03)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        follow(self.average, self.network, decay)
        return away.detach().mean()

    def run(self) -> None:
        """Trains to the end."""
        start = saved = time.monotonic()
        total = 0.0
        while self.step < self.config.steps:
            total += float(self.learn())
            now = time.monotonic()
            if self.step % 200 == 0:
                print(
                    f"{self.step} of {self.config.steps}, {now - start:.0f} s: {total / 200:.4f}",
                    flush=True,
                )
                total = 0.0
            if now - saved > 30:
                self.save()
                saved = now


def export_landmarks(network: LandmarkNetwork, path: Path) -> float:
    """Writes ``landmarks.onnx``; returns how far ONNX Runtime is from torch."""
    return export_crop_network(network, path, side=SIDE, numbers=10, output="points")


def main() -> None:
    """Trains and exports from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    for field in fields(LandmarkConfig):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    faces = collect(args.pack, args.shared, args.threads)
    print(f"{len(faces[1]):,} faces", flush=True)
    config = LandmarkConfig(**{f.name: getattr(args, f.name) for f in fields(LandmarkConfig)})
    training = LandmarkTraining(faces, args.output, config, start=args.start)
    training.run()
    training.save()
    network = training.average
    save_file(network.state_dict(), args.output / "landmarks.safetensors")
    path = args.output / "landmarks.onnx"
    print(f"parity {export_landmarks(network, path):.2g}, {path.stat().st_size:,} bytes")
    print(f"{sum(p.numel() for p in network.parameters()):,} weights")


if __name__ == "__main__":
    main()
