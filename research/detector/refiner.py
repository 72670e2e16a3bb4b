"""The detector's second stage: its network, its training on two processor cores, its export.

``python -m research.detector.refiner --proposals FOLDER -o FOLDER`` trains it in about
a quarter of an hour, goes on where it was stopped, and writes ``refiner.safetensors`` and
``refiner.onnx``.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from research.detector.checkpoint import follow, load_run, save_run
from research.detector.export import export_crop_network
from research.detector.network import Residual, conv_block
from research.detector.pack import SOURCES
from research.detector.proposals import CONTEXT as STORED_CONTEXT
from research.detector.proposals import Proposals, read_proposals
from research.detector.train import parameter_groups
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

#: Side of the input, in pixels, and that of its square as a multiple of the proposal's side.
SIDE, CONTEXT = 40, 1.5
OUTPUTS = 15


@dataclass(frozen=True)
class RefinerConfig:
    """A training run of the second stage.

    Args:
        widths: Channels of the four stages.
        hidden: Width of the layer before the answer.
        batch_size: Crops per step.
        epochs: How many times as many crops are drawn as there are.
        lr: Highest learning rate of AdamW.
        weight_decay: On all weights of more than one axis.
        faces: Share of faces in a batch.
        ema: Decay of the averaged weights per step.
        box: Weight of the boxes' error.
        point: Weight of the landmarks' error.
        seed: Of the random numbers.
    """

    widths: tuple[int, int, int, int] = (16, 32, 48, 64)
    hidden: int = 32
    batch_size: int = 256
    epochs: float = 6.0
    lr: float = 0.004
    weight_decay: float = 0.05
    faces: float = 0.4
    ema: float = 0.998
    box: float = 3.0
    point: float = 3.0
    seed: int = 0


class RefinerNetwork(nn.Module):
    """Looks at crops around proposals.

    >>> RefinerNetwork()(torch.zeros(2, 3, 40, 40)).shape
    torch.Size([2, 15])
    """

    def __init__(self, config: RefinerConfig | None = None) -> None:
        super().__init__()
        config = config or RefinerConfig()
        first, second, third, fourth = config.widths
        self.input_scale = 1 / 64
        self.body = nn.Sequential(
            conv_block(3, first, 2), conv_block(first, second, 2), Residual(second),
            conv_block(second, third, 2), Residual(third), conv_block(third, fourth, 2),
        )  # fmt: skip
        cells = math.ceil(SIDE / 16) ** 2
        self.hidden = nn.Linear(fourth * cells, config.hidden)
        self.dropout = nn.Dropout(0.1)
        self.answer = nn.Linear(config.hidden, OUTPUTS)
        nn.init.normal_(self.answer.weight, std=0.01)
        start = torch.zeros(OUTPUTS)
        start[1:5] = torch.tensor([-0.33, -0.33, 0.33, 0.33])
        self.answer.bias.data.copy_(start)

    def forward(self, x: Tensor) -> Tensor:
        """Maps crops (N, 3, 40, 40), RGB 0..255, to (N, 15).

        Returns:
            The score's logit, the corners of the box and the five points, as shares of the crop
            from its middle.
        """
        y = self.body(x if self.input_scale == 1 else x * self.input_scale)
        return self.answer(self.dropout(functional.relu(self.hidden(y.flatten(1)))))


@dataclass(frozen=True)
class Crops:
    """Proposals as tensors; see :class:`research.detector.proposals.Proposals`."""

    images: Tensor
    target: Tensor
    boxes: Tensor
    points: Tensor

    @classmethod
    def of(cls, found: Proposals) -> Crops:
        """Takes over what :class:`Proposals` holds."""
        images = torch.from_numpy(found.crops)
        values = (torch.from_numpy(v) for v in (found.target, found.boxes, found.points))
        return cls(images, *values)

    def take(self, index: Tensor) -> Crops:
        """Returns some of them, the images as float32 (N, 3, H, W)."""
        images = self.images[index].permute(0, 3, 1, 2).float()
        return Crops(images, self.target[index], self.boxes[index], self.points[index])


def view(
    crops: Crops,
    *,
    moved: bool,
    side: int = SIDE,
    ratio: float = CONTEXT / STORED_CONTEXT,
    tilt: float = math.pi / 18,
    jitter: float = 1.0,
    generator: torch.Generator | None = None,
) -> Crops:
    """Cuts the inputs of a network out of stored crops.

    Args:
        crops: Images float32 (N, 3, H, W).
        moved: Mirror, move, scale, turn and degrade them at random.
        side: Of the inputs, in pixels.
        ratio: Side of an input as a share of the stored crop's.
        tilt: How far they are turned at most, in radians.
        jitter: Share of the usual moving and scaling.
        generator: Of the random numbers.
    """
    count = len(crops.target)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    scale = torch.full((count,), ratio)
    shift, flip, angle = torch.zeros(count, 2), torch.ones(count), torch.zeros(count)
    if moved:
        scale = ratio * torch.exp((rand(count) - 0.5) * 0.4 * jitter)
        shift = (rand(count, 2) - 0.5) * 0.2 * jitter
        flip = torch.where(rand(count) < 0.5, -1.0, 1.0)
        angle = (rand(count) - 0.5) * (2 * tilt)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    # From the crop's coordinates to those of the stored one, both -1..1.
    matrix = torch.stack(
        [torch.stack([cos * flip, -sin, shift[:, 0]], 1),
         torch.stack([sin * flip, cos, shift[:, 1]], 1)], 1
    )  # fmt: skip
    grid = functional.affine_grid(matrix, [count, 3, side, side], align_corners=False)
    images = functional.grid_sample(crops.images, grid, "bilinear", "border", align_corners=False)
    inverse = torch.linalg.inv(matrix[:, :, :2])
    middle = shift[:, None] / 2

    def place(points: Tensor) -> Tensor:
        return (inverse[:, None] @ (points - middle)[..., None])[..., 0]

    x1, y1, x2, y2 = crops.boxes.unbind(1)
    corners = torch.stack([x1, y1, x2, y1, x1, y2, x2, y2], 1).view(-1, 4, 2)
    turned = place(corners)
    # The corners of a turned box lie further out than its face: keep its size.
    centre = turned.mean(1)
    half = torch.stack([x2 - x1, y2 - y1], 1) / 2 / scale[:, None]
    points = place(crops.points)
    order = torch.tensor([1, 0, 2, 4, 3])
    points = torch.where((flip < 0)[:, None, None], points[:, order], points)
    boxes = torch.cat([centre - half, centre + half], 1)
    if moved:
        images = degrade(images, rand)
    return Crops(images, crops.target, boxes, points)


def degrade(images: Tensor, rand: Any) -> Tensor:
    """Changes light and colour, blurs, adds noise, covers a part: each of a share of the images."""
    count, side = len(images), images.shape[-1]

    def some(share: float) -> Tensor:
        return (rand(count) < share).view(-1, 1, 1, 1)

    gray = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    images = torch.where(some(0.2), gray.expand_as(images), images)
    gain = 1 + (rand(count, 3, 1, 1) - 0.5) * 0.2
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast = torch.exp((rand(count, 1, 1, 1) - 0.5) * 0.9)
    shift = (rand(count, 1, 1, 1) - 0.5) * 80
    images = ((images - mean) * contrast + mean + shift) * gain
    small = functional.interpolate(images, scale_factor=0.5, mode="area")
    blurred = functional.interpolate(small, size=images.shape[2:], mode="bilinear")
    images = torch.where(some(0.2), blurred, images)
    noisy = torch.nonzero(some(0.3).flatten())[:, 0]
    strength = 40 * rand(len(noisy), 1, 1, 1)
    images[noisy] += (rand(len(noisy), *images.shape[1:]) - 0.5) * strength
    row, column = torch.arange(side).view(1, 1, -1, 1), torch.arange(side).view(1, 1, 1, -1)
    top, left = (rand(2, count, 1, 1, 1) * side).unbind(0)
    tall, wide = (6 + rand(2, count, 1, 1, 1) * 12).unbind(0)
    covered = (row >= top) & (row < top + tall) & (column >= left) & (column < left + wide)
    paint = rand(count, 3, 1, 1) * 255
    return torch.where(covered & some(0.2), paint, images).clamp(0, 255)


def refiner_loss(answers: Tensor, crops: Crops, config: RefinerConfig) -> dict[str, Tensor]:
    """Cross-entropy of the score; of faces also the error of the box and of known landmarks."""
    face = crops.target > 0
    score = functional.binary_cross_entropy_with_logits(answers[:, 0], crops.target)
    count = face.sum().clamp(min=1)
    apart = functional.smooth_l1_loss(
        answers[:, 1:5], crops.boxes.nan_to_num(), beta=0.02, reduction="none"
    )
    known = face & crops.points.isfinite().flatten(1).all(1)
    away = functional.smooth_l1_loss(
        answers[:, 5:], crops.points.nan_to_num().flatten(1), beta=0.02, reduction="none"
    )
    return {
        "score": score,
        "box": config.box * apart.mean(1)[face].sum() / count,
        "point": config.point * away.mean(1)[known].sum() / known.sum().clamp(min=1),
    }


def sampling_weights(found: Proposals, config: RefinerConfig) -> Tensor:
    """How often each proposal is drawn: faces a fixed share, others more where they fool most."""
    face = found.target > 0
    weight = np.ones(len(found), np.float64)
    # What the first network takes for a face though it is none says most, and a face that it
    # hardly sees; so do animals, of which there are few.
    wrong = np.where(face, 1 - found.logits, found.logits + 2)
    weight += np.where(np.isfinite(wrong), np.clip(wrong, 0, 4), 0)
    names = np.array(SOURCES)[found.source]
    weight[~face & np.isin(names, ["catdog", "animals"])] *= 2.0
    weight[face & np.isin(names, ["mask"])] *= 2.0
    weight[face] *= config.faces / weight[face].sum()
    weight[~face] *= (1 - config.faces) / weight[~face].sum()
    return torch.from_numpy(weight)


class RefinerTraining:
    """One run, which can be stopped and goes on from its checkpoint.

    Args:
        found: What it learns from.
        config: The run's.
        output: Folder for the checkpoint.
        start: Weights to begin with; None: of chance.
    """

    def __init__(
        self, found: Proposals, config: RefinerConfig, output: Path, start: Path | None = None
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.path = config, output / "checkpoint.pt"
        self.network, self.average = RefinerNetwork(config), RefinerNetwork(config).eval()
        if start is not None:
            self.network.load_state_dict(load_file(start))
        self.average.load_state_dict(self.network.state_dict())
        self.average.requires_grad_(requires_grad=False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, config.weight_decay), lr=config.lr
        )  # fmt: skip
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.crops, self.weights = Crops.of(found), sampling_weights(found, config)
        self.steps = max(1, round(config.epochs * len(found) / config.batch_size))
        self.step = 0
        if load_run(self, self.path):
            torch.manual_seed(config.seed + self.step)

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        save_run(self, self.path)

    def learn(self) -> dict[str, Tensor]:
        """One step of the optimiser."""
        config, done = self.config, self.step / self.steps
        rate = config.lr * min(done / 0.05 + 0.01, (1 + math.cos(math.pi * done)) / 2 + 0.003)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        index = torch.multinomial(self.weights, config.batch_size, replacement=True)
        batch = view(self.crops.take(index), moved=True)
        self.network.train()
        images = batch.images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            answers = self.network(images)
        parts = refiner_loss(answers.float(), batch, config)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        decay = min(config.ema, (1 + self.step) / (10 + self.step))
        follow(self.average, self.network, decay)
        return {name: part.detach() for name, part in parts.items()}

    def run(self, seconds: float = 0.0) -> bool:
        """Trains to the end, or for so many seconds; returns whether it is done."""
        start = saved = time.monotonic()
        while self.step < self.steps:
            parts = self.learn()
            now = time.monotonic()
            if self.step % 100 == 0:
                values = " ".join(f"{name} {float(part):.4f}" for name, part in parts.items())
                print(f"{self.step} of {self.steps}, {now - start:.0f} s: {values}", flush=True)
            if now - saved > 30 or (seconds and now - start > seconds):
                self.save()
                saved = now
            if seconds and now - start > seconds:
                break
        return self.step >= self.steps


def export_refiner(network: RefinerNetwork, path: Path) -> float:
    """Writes ``refiner.onnx``; returns how far ONNX Runtime is from torch."""
    return export_crop_network(network, path, side=SIDE, numbers=OUTPUTS, output="answers")


def main() -> None:
    """Trains and exports from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposals", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after that; 0: never")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--mix", type=float, default=1.0, help="share of the new weights in them")
    parser.add_argument("--epochs", type=float, default=RefinerConfig.epochs)
    parser.add_argument("--lr", type=float, default=RefinerConfig.lr)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = RefinerConfig(epochs=args.epochs, lr=args.lr)
    training = RefinerTraining(read_proposals(args.proposals), config, args.output, args.start)
    if not training.run(args.seconds):
        print("stopped; type the command again to go on")
        return
    network = training.average
    if args.start is not None and args.mix < 1:
        old, new = load_file(args.start), network.state_dict()
        network.load_state_dict(
            {k: v.lerp(new[k], args.mix) if v.is_floating_point() else v for k, v in old.items()}
        )
    args.output.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), args.output / "refiner.safetensors")
    path = args.output / "refiner.onnx"
    print(f"parity {export_refiner(network, path):.2g}, {path.stat().st_size:,} bytes")
    print(f"{sum(p.numel() for p in network.parameters()):,} weights")


if __name__ == "__main__":
    main()
