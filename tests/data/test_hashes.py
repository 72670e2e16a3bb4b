"""Hashes, correlations and the search for pairs, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mien.data.inspection.duplicates import (
    alike_pairs,
    bit_counts,
    connected_groups,
    correlations,
    perceptual_hashes,
)


def small(picture, side):
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def faces(draw):
    return [draw("sadness", seed) for seed in range(40)]


def test_hash_is_the_dct_hash_of_one_picture_at_a_time(faces):
    scipy_fft = pytest.importorskip("scipy.fft")
    for face in faces[:10]:
        gray = small(face, 32).astype(np.float64)
        low = scipy_fft.dct(scipy_fft.dct(gray, axis=0), axis=1)[:8, :8].ravel()
        bits = low > np.median(low[1:])
        ours = perceptual_hashes(gray.astype(np.uint8)[None])[0, 0]
        theirs = np.packbits(bits).view(np.uint64)[0]
        # A coefficient next to the median may fall on either side of it in float32.
        assert bit_counts(np.array([ours ^ theirs]))[0] <= 1


def test_mirrored_hash_is_the_hash_of_the_mirror_image(faces):
    stack = np.stack([small(face, 32) for face in faces])
    upright, flipped = perceptual_hashes(stack), perceptual_hashes(stack[:, :, ::-1])
    assert (bit_counts(upright[:, 1] ^ flipped[:, 0]) <= 1).all()
    assert (upright[:, 0] != upright[:, 1]).all()


def test_hashes_of_a_recompressed_picture_are_close(faces, tmp_path):
    for face in faces[:5]:
        face.save(tmp_path / "a.jpg", quality=30)
        both = [small(face, 32), small(Image.open(tmp_path / "a.jpg"), 32)]
        first, second = perceptual_hashes(np.stack(both))[:, 0]
        assert bit_counts(np.array([first ^ second]))[0] <= 8


def test_bit_counts_without_numpy_2(monkeypatch):
    values = np.random.default_rng(0).integers(0, 2**64, (50, 3), dtype=np.uint64)
    expected = [[int(value).bit_count() for value in row] for row in values]
    assert bit_counts(values).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert bit_counts(values).tolist() == expected


def test_correlations_are_pearsons():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 5, 24, 24)).astype(np.uint8)
    b[0] = 255 - a[0]
    b[1] = a[1, :, ::-1]
    a[2] = 7
    got = correlations(a, b)
    assert got[0] == pytest.approx(-1, abs=1e-5)
    assert got[2] == 0
    assert got[3] == pytest.approx(np.corrcoef(a[3].ravel(), b[3].ravel())[0, 1], abs=1e-5)
    assert correlations(a, b, mirrored=True)[1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_pairs_are_those_of_a_plain_double_loop(mirrored):
    rng = np.random.default_rng(5)
    base = rng.integers(0, 256, (60, 24, 24))
    # 300 pictures, more than one block of rows, each a noisy copy of one of 60.
    thumbs = np.clip(base[rng.integers(0, 60, 300)] + rng.normal(0, 20, (300, 24, 24)), 0, 255)
    thumbs = thumbs.astype(np.uint8)
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


def test_groups_link_through_others():
    assert connected_groups(6, [(4, 2), (2, 5), (0, 1)]).tolist() == [0, 0, 2, 3, 2, 2]
