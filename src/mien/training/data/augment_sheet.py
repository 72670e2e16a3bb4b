"""A sheet of faces before and after a recipe's augmentation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.data import Manifest, read_manifest
from mien.data.faces import load_faces
from mien.errors import ConfigError
from mien.explanation.sheets import sheet
from mien.training.config import TrainConfig, check_data
from mien.training.data.augment import augment, cut_mix, mix_up
from mien.training.network import trained_spec

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mien.arrays import U8


def pick_faces(manifest: Manifest, count: int, *, seed: int = 0) -> list[int]:
    """Picks positions by chance, the classes in turn, so that rare ones are seen too."""
    order = np.random.default_rng(seed).permutation(len(manifest))
    queues: dict[int, list[int]] = {}
    for index in order.tolist():
        queues.setdefault(int(manifest.class_ids[index]), []).append(index)
    picked: list[int] = []
    while len(picked) < min(count, len(manifest)):
        for class_id in sorted(queues, key=lambda k: (k < 0, k)):
            if queues[class_id] and len(picked) < count:
                picked.append(queues[class_id].pop(0))
    return picked


def draw_augmentation(
    config: TrainConfig, *, faces: int = 6, copies: int = 7, side: int = 112
) -> U8:
    """Draws faces of the training split as they are, with what training makes of each next to it.

    Each of the ``faces`` has a row of ``copies``, in tiles of ``side`` pixels; where the recipe
    mixes faces, two rows more show MixUp and CutMix. Its seed picks the faces and draws the
    changes. Returned is uint8 (H, W, 3).
    """
    check_data(config)
    if faces < 1 or copies < 1:
        raise ConfigError(f"a sheet needs faces and copies of 1 or more; got {faces}, {copies}.")
    train = read_manifest(config.data, seed=config.seed).split("train")
    chosen = train.select(pick_faces(train, faces, seed=config.seed))
    pixels = load_faces(chosen, trained_spec(config).preprocessing)
    before = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    generator = torch.Generator().manual_seed(config.seed)
    after = augment(before.repeat_interleave(copies, dim=0), config, generator)
    tiles, captions = [], []
    for row, class_id in enumerate(chosen.class_ids.tolist()):
        tiles += _tiles(before[row : row + 1]) + _tiles(after[row * copies : (row + 1) * copies])
        label = chosen.schema.labels[class_id] if class_id >= 0 else "no majority"
        captions += [label, *[""] * copies]
    for name, mixed in _mixed(before, config, generator, copies):
        tiles += mixed
        captions += [name, *[""] * (len(mixed) - 1)]
    return sheet(tiles, captions, columns=1 + copies, side=side)


def _mixed(
    faces: Tensor, config: TrainConfig, generator: Generator, copies: int
) -> list[tuple[str, list[U8]]]:
    """Mixes the faces among themselves, anew for each tile of a row."""
    targets, certain = torch.eye(len(faces)), replace(config, mixup=1)
    rows = []
    for name, is_on, mix in (("MixUp", config.mixup, mix_up), ("CutMix", config.cutmix, cut_mix)):
        if is_on:
            draws = [mix(faces, targets, certain, generator)[0] for _ in range(copies + 1)]
            one = [mixed[k % len(faces)] for k, mixed in enumerate(draws)]
            rows.append((name, _tiles(torch.stack(one))))
    return rows


def _tiles(faces: Tensor) -> list[U8]:
    pixels = faces.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [face[:, :, 0] if face.shape[2] == 1 else face for face in pixels]
