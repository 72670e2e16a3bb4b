"""Batches of crops: views of photographs, composed, in changing light, with their faces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from research.detector.compose import (
    ComposeConfig,
    cover_faces,
    mix_mosaics,
    paste_faces,
    paste_others,
)
from research.detector.photometric import PhotometricConfig, change_light, degrade
from research.detector.views import (
    Regions,
    ViewConfig,
    choose_images,
    choose_views,
    find_regions,
    render,
)
from torch import Tensor

if TYPE_CHECKING:
    from research.detector.bank import Bank


@dataclass(frozen=True)
class BatchConfig:
    """How batches are made.

    Args:
        view: Which parts of which images.
        compose: What is added to them.
        photometric: How their pixels change.
        chunk: Crops that are sampled at a time, which bounds the memory.
    """

    view: ViewConfig = field(default_factory=ViewConfig)
    compose: ComposeConfig = field(default_factory=ComposeConfig)
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    chunk: int = 32


@dataclass(frozen=True)
class Batch:
    """B crops of side S.

    Args:
        images: (B, 3, S, S), RGB 0..255.
        ignored: (B, 1, S, S), share of each pixel that lies in a region to ignore, 0..1.
        regions: The faces.
    """

    images: Tensor
    ignored: Tensor
    regions: Regions


def add_slots(regions: Regions, count: int) -> Regions:
    """Appends ``count`` empty regions to each crop."""
    many = len(regions.target)
    box, target = regions.boxes, regions.target
    return Regions(
        torch.cat([box, box.new_zeros(many, count, 4)], dim=1),
        torch.cat([regions.points, box.new_full((many, count, 5, 2), torch.nan)], dim=1),
        torch.cat([target, target.new_zeros(many, count)], dim=1),
        torch.cat([regions.state, regions.state.new_full((many, count), -1)], dim=1),
    )


@torch.no_grad()
def make_batch(bank: Bank, config: BatchConfig, count: int) -> Batch:
    """Makes a random batch of ``count`` crops on the device of the bank."""
    dtype = torch.float16 if bank.device.type == "cuda" else torch.float32
    size = config.view.size
    chosen = choose_images(bank, config.view, count)
    views = choose_views(bank, chosen, config.view)
    parts = []
    for first in range(0, count, config.chunk):
        part = slice(first, first + config.chunk)
        crops = render(bank, chosen[part], views[part], size, dtype)
        light = change_light(crops[:, :3], config.photometric)
        parts.append(torch.cat([light, crops[:, 3:]], dim=1))
    crops = torch.cat(parts)
    regions = find_regions(bank, chosen, views, config.view)
    crops, regions = mix_mosaics(crops, regions, config.compose)
    regions = add_slots(regions, config.compose.paste_most)
    paste_others(crops, regions, config.compose)
    cover_faces(crops, regions, config.compose)
    paste_faces(crops, regions, bank, config.compose)
    images = degrade(crops[:, :3], config.photometric)
    return Batch(images, crops[:, 3:].float(), regions)
