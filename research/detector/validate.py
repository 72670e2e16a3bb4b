"""Quick measurements during training: how the network does on photographs kept aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from research.detector.boxes import nms
from research.detector.metrics import (
    Matched,
    best_threshold,
    false_per_hundred,
    match,
    recall_at,
)
from research.detector.network import cell_grid, decode_boxes
from research.detector.pack import IGNORE, SOURCES, Pack
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SIDES = (416, 640, 1024)
_TOP = 1500


@dataclass(frozen=True)
class Kept:
    """Images kept aside, with their labels, padded and in groups of one size.

    Args:
        groups: uint8 (N, 3, H, W) and, for each of the N, its index in the pack.
        truth: By index, boxes (G, 4) and whether each is ignored.
        source: By index, the name of the source.
    """

    groups: list[tuple[Tensor, list[int]]]
    truth: dict[int, tuple[NDArray[np.float32], NDArray[np.bool_]]]
    source: dict[int, str]


def keep_aside(pack: Pack, limit: int = 0) -> Kept:
    """Decodes the images of a pack that are kept aside; at most ``limit`` of each source."""
    chosen: list[int] = []
    for number in range(len(SOURCES)):
        mine = np.flatnonzero(pack.valid & (pack.source == number))
        chosen += mine[: limit or None].tolist()
    images = dict(zip(chosen, pack.images(np.array(chosen, np.intp)), strict=True))
    groups = []
    for low, side in zip((0, *_SIDES), _SIDES, strict=False):
        mine = [i for i in chosen if low < max(images[i].shape[:2]) <= side]
        for first in range(0, len(mine), 16):
            part = mine[first : first + 16]
            padded = np.zeros((len(part), side, side, 3), np.uint8)
            for row, index in enumerate(part):
                height, width = images[index].shape[:2]
                padded[row, :height, :width] = images[index]
            groups.append((torch.from_numpy(padded).permute(0, 3, 1, 2).contiguous(), part))
    truth = {}
    for index in chosen:
        rows = pack.regions(index)
        truth[index] = pack.boxes[rows], pack.target[rows] == IGNORE
    names = {index: SOURCES[int(pack.source[index])] for index in chosen}
    return Kept(groups, truth, names)


def top_cells(
    outputs: Tensor, height: int, width: int
) -> Iterator[tuple[NDArray[np.float32], ...]]:
    """Yields, of each image, scores, boxes and points of the most confident cells.

    Args:
        outputs: (N, 15, A).
        height: Of the input.
        width: Of the input.
    """
    centres, strides = cell_grid(height, width, outputs.device)
    for values in outputs.float():
        best = values[0].topk(min(_TOP, values.shape[1])).indices
        kept = values[:, best].T
        boxes = decode_boxes(kept[:, 1:5], centres[best], strides[best])
        points = centres[best, None] + kept[:, 5:].view(-1, 5, 2) * strides[best, None, None]
        yield tuple(part.cpu().numpy() for part in (kept[:, 0].sigmoid(), boxes, points))


@torch.no_grad()
def measure(
    network: nn.Module, kept: Kept, device: torch.device, min_score: float = 0.05
) -> tuple[dict[str, float], dict[str, list[Matched]]]:
    """Finds faces in all images kept aside, at their own size, and says how well.

    Returns:
        F1 over the photographs and the threshold it is best at; there, recall and false boxes
        per 100 images of each source; and the matches of each source.
    """
    matches: dict[str, list[Matched]] = {}
    for images, indices in kept.groups:
        height, width = images.shape[2:]
        outputs = network(images.to(device).float())
        for index, (scores, boxes, _) in zip(
            indices, top_cells(outputs, height, width), strict=True
        ):
            sure = scores >= min_score
            best = nms(boxes[sure], scores[sure], 0.4)
            result = match(boxes[sure][best], scores[sure][best], *kept.truth[index])
            matches.setdefault(kept.source[index], []).append(result)
    photos = [m for name, part in matches.items() if name not in SOURCES[6:] for m in part]
    threshold, f1 = best_threshold(photos)
    report = {"f1": f1, "threshold": threshold}
    for name, part in matches.items():
        report[f"{name}_recall"] = recall_at(part, threshold)
        report[f"{name}_false"] = false_per_hundred(part, threshold)
    report["large_recall"] = recall_at(photos, threshold, 128)
    return {key: round(value, 4) for key, value in report.items()}, matches
