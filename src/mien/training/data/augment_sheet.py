"""A sheet of faces before and after a recipe's augmentation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.data import Manifest, read_manifest
from mien.data.faces import load_readable
from mien.errors import ConfigError
from mien.explanation.sheets import sheet
from mien.training.config import TrainConfig, check_data
from mien.training.data.augment import TECHNIQUES, augment, cut_mix, mix_up
from mien.training.network import trained_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Generator, Tensor

    from mien.arrays import U8
    from mien.preprocess import Preprocessing

__all__ = ["augmentation_sheet", "draw_augmentation", "pick_faces"]

#: Keys of the recipe that are chances; the sheet shows what happens where they strike.
_CHANCES = ("blur", "low_resolution", "noise", "erase")
#: Draws among which MixUp or CutMix must show a pair of which both are seen.
_TRIES = 200


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

    What is drawn is said at :func:`augmentation_sheet`; ``faces`` is how many.
    """
    check_data(config)
    if faces < 1 or copies < 1:
        raise ConfigError(f"a sheet needs faces and copies of 1 or more; got {faces}, {copies}.")
    train = read_manifest(config.data, seed=config.seed).split("train")
    options = {"faces": faces, "copies": copies, "side": side}
    return augmentation_sheet(config, train, trained_spec(config).preprocessing, **options)


def augmentation_sheet(
    config: TrainConfig,
    train: Manifest,
    preprocessing: Preprocessing,
    *,
    faces: int = 3,
    copies: int = 3,
    side: int = 112,
) -> U8:
    """Draws faces of a manifest as the network sees them in training, and each technique alone.

    Each of the ``faces`` has a row: as it is, then ``copies`` changed by all techniques, in tiles
    of ``side`` pixels. A row for each technique of the recipe follows, where it is certain
    instead of a matter of chance; then MixUp and CutMix, with both parents and their shares. The
    recipe's seed picks the faces and draws the changes. Returned is uint8 (H, W, 3).
    """
    picked = train.select(pick_faces(train, faces, seed=config.seed))
    chosen, pictures = load_readable(picked, preprocessing)
    before = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    generator = torch.Generator().manual_seed(config.seed)
    labels = [chosen.schema.labels[k] if k >= 0 else "no majority" for k in chosen.class_ids]
    after = augment(before.repeat_interleave(copies, dim=0), config, generator)
    tiles, captions = [], []
    for row, label in enumerate(labels):
        tiles += _tiles(before[row : row + 1]) + _tiles(after[row * copies : (row + 1) * copies])
        captions += [label, "all together", *[""] * (copies - 1)]
    for name, changed in _alone(before[:1].repeat_interleave(copies, dim=0), config, generator):
        tiles += _tiles(before[:1]) + _tiles(changed)
        captions += [labels[0], name, *[""] * (copies - 1)]
    for mixed, words in _mixed(before, labels, config, generator, count=max((1 + copies) // 3, 1)):
        tiles += mixed
        captions += words
        rest = -len(tiles) % (1 + copies)
        tiles += [np.full_like(tiles[0], 255)] * rest
        captions += [""] * rest
    return sheet(tiles, captions, columns=1 + copies, side=side)


def _alone(
    faces: Tensor, config: TrainConfig, generator: Generator
) -> Iterator[tuple[str, Tensor]]:
    """Changes faces (N, C, S, S) by one technique after another, each by itself."""
    chances: dict[str, Any] = {key: 1.0 for key in _CHANCES if getattr(config, key)}
    certain = replace(config, **chances)
    for name, key, change in TECHNIQUES:
        moves = config.flip or config.rotate or config.shift
        moves = moves or (config.scale_min, config.scale_max) != (1, 1)
        if getattr(config, key) if key else moves:
            yield name, change(faces, certain, generator)


def _mixed(
    faces: Tensor, labels: list[str], config: TrainConfig, generator: Generator, *, count: int
) -> Iterator[tuple[list[U8], list[str]]]:
    """Mixes faces among themselves: tiles and captions of two parents and of what they became."""
    targets, certain = torch.eye(len(faces)), replace(config, mixup=1)
    for name, is_on, mix in (("MixUp", config.mixup, mix_up), ("CutMix", config.cutmix, cut_mix)):
        tiles: list[U8] = []
        words: list[str] = []
        for _ in range(_TRIES if is_on else 0):
            mixed, shares = mix(faces, targets, certain, generator)
            for child in np.flatnonzero(((shares > 0.25).sum(dim=1) == 2).numpy())[:1].tolist():
                other = int(shares[child].index_fill(0, torch.tensor(child), 0).argmax())
                tiles += _tiles(faces[[child, other]]) + _tiles(mixed[child : child + 1])
                parts = " + ".join(f"{float(shares[child, at]):.0%}" for at in (child, other))
                words += [labels[child], labels[other], f"{name} {parts}"]
            if len(tiles) >= 3 * count:
                break
        if tiles:
            yield tiles, words


def _tiles(faces: Tensor) -> list[U8]:
    pixels = faces.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [face[:, :, 0] if face.shape[2] == 1 else face for face in pixels]
