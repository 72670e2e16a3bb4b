"""Batches of training views: made in the background, the same ones for the same step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mien.train.finder.compose import compose
from mien.train.finder.pasting import Pasting
from mien.train.finder.targets import Faces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.train.finder.compose import View
    from mien.train.finder.config import FinderConfig
    from mien.train.finder.pool import Pool

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def collate(views: Sequence[View]) -> Batch:
    """Joins views: pictures uint8 (N, H, W, 3); image, boxes, points and is_face of all labels."""
    image = np.concatenate([np.full(len(v.boxes), i, np.int64) for i, v in enumerate(views)])
    return (
        torch.from_numpy(np.stack([view.image_rgb for view in views])),
        torch.from_numpy(image),
        torch.from_numpy(np.concatenate([view.boxes for view in views])),
        torch.from_numpy(np.concatenate([view.points for view in views])),
        torch.from_numpy(np.concatenate([view.is_face for view in views])),
    )


class Steps(Dataset[Batch]):
    """Item ``i`` is the batch of step ``i``."""

    def __init__(self, pool: Pool, config: FinderConfig) -> None:
        self.pool, self.config = pool, config

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> Batch:
        config = self.config
        seeds = ((config.seed, step, index) for index in range(config.batch_size))
        pasting = Pasting(config.pastes, config.crops, config.squares, config.decoys)
        shares = {name: getattr(config, name) for name in ("animals", "drawings", "decoys")}
        views = [compose(self.pool, config.size, s, pasting=pasting, **shares) for s in seeds]
        return collate(views)


def batches(pool: Pool, config: FinderConfig, start: int) -> Iterator[tuple[torch.Tensor, Faces]]:
    """Yields the network's input (N, 3, H, W) on 0..255 and the labels, from step ``start`` on."""
    loader = DataLoader(
        Steps(pool, config),
        batch_size=None,
        sampler=range(start, config.steps),
        num_workers=config.workers,
        multiprocessing_context="fork" if config.workers else None,
        prefetch_factor=6 if config.workers else None,
    )
    for pictures, image, boxes, points, is_face in loader:
        yield pictures.permute(0, 3, 1, 2).float(), Faces(image, boxes, points, is_face)


def split_batch(
    pictures: torch.Tensor, faces: Faces, parts: int
) -> list[tuple[torch.Tensor, Faces]]:
    """Cuts a batch into parts of the same size, labels with their pictures."""
    size = -(-len(pictures) // parts)
    cut = []
    for start in range(0, len(pictures), size):
        mine = (faces.image >= start) & (faces.image < start + size)
        labels = Faces(
            faces.image[mine] - start, faces.boxes[mine], faces.points[mine], faces.is_face[mine]
        )
        cut.append((pictures[start : start + size], labels))
    return cut
