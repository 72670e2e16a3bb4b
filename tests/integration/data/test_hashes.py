"""Hashes, correlations and the search for pairs, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mien.data.inspection.duplicates import (
    alike_pairs,
    perceptual_hashes,
)


def small(picture: Image.Image, side: int) -> np.ndarray:
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("mirrored", [False, True])
def test_pairs_are_those_of_a_plain_double_loop(mirrored: bool) -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(0, 256, (60, 24, 24))
    # 300 pictures, more than one block of rows, each a noisy copy of one of 60.
    noisy = np.clip(base[rng.integers(0, 60, 300)] + rng.normal(0, 20, (300, 24, 24)), 0, 255)
    thumbs = noisy.astype(np.uint8)
    thumbs[::3] = thumbs[::3, :, ::-1]
    grays = np.stack([small(Image.fromarray(thumb), 32) for thumb in thumbs])
    hashes = perceptual_hashes(grays)
    pairs, scores = alike_pairs(hashes, thumbs, mirrored=mirrored, max_bits=16, min_correlation=0.9)
    expected = {}
    for i in range(300):
        for j in range(i + 1, 300):
            bits = (int(hashes[i, 0]) ^ int(hashes[j, int(mirrored)])).bit_count()
            other = thumbs[j][:, ::-1] if mirrored else thumbs[j]
            score = np.corrcoef(thumbs[i].ravel(), other.ravel())[0, 1]
            if bits <= 16 and score >= 0.9:
                expected[i, j] = score
    assert len(expected) > 100
    assert {tuple(pair) for pair in pairs.tolist()} == set(expected)
    assert scores == pytest.approx([expected[tuple(pair)] for pair in pairs.tolist()], abs=1e-4)
