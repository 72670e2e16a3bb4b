"""Occlusion sensitivity (Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.explanation.methods import register_method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mien.explanation.methods import FaceBatch
    from mien.recognizer import EmotionRecognizer

#: Side and step of the patch, as a share of the face's side.
PATCH, STEP = 1 / 4, 1 / 12


def patches(size: int, patch: int, step: int) -> Iterator[tuple[slice, slice]]:
    """Yields the rows and columns of each place of a square patch; together they cover all.

    >>> [(rows.start, columns.start) for rows, columns in patches(5, 3, 2)]
    [(0, 0), (0, 2), (2, 0), (2, 2)]
    """
    starts = sorted({*range(0, size - patch, step), size - patch})
    for top in starts:
        for left in starts:
            yield slice(top, top + patch), slice(left, left + patch)


@register_method("occlusion", summary="how much covering a place lowers the label; no torch")
def occlusion(
    recognizer: EmotionRecognizer, batch: FaceBatch, columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Covers each face with a patch of its mean grey, place by place.

    Args:
        recognizer: The model.
        batch: N faces.
        columns: (N,), the label of each.

    Returns:
        float32 (N, S, S): by how much log p(label) falls on average when a patch covers the
        pixel; 0 where it rises.
    """
    size = batch.crops.shape[1]
    patch, step = max(round(size * PATCH), 1), max(round(size * STEP), 1)
    places = list(patches(size, patch, step))
    before = np.log(np.maximum(recognizer.pipeline.probs(batch.logits), 1e-12))
    maps = np.zeros((len(columns), size, size))
    covered = np.zeros((size, size))
    for rows, cols in places:
        covered[rows, cols] += 1
    for index, column in enumerate(columns):
        crop = batch.crops[index]
        hidden = np.repeat(crop[None], len(places), axis=0)
        fill = crop.mean(axis=(0, 1)).round().astype(np.uint8)
        for place, (rows, cols) in enumerate(places):
            hidden[place, rows, cols] = fill
        after = recognizer.pipeline.probs(recognizer.pipeline.logits(hidden))[:, column]
        drop = before[index, column] - np.log(np.maximum(after, 1e-12))
        for value, (rows, cols) in zip(drop, places, strict=True):
            maps[index, rows, cols] += value
    return np.maximum(maps / covered, 0.0).astype(np.float32)
