"""Hashes, correlations and the search for pairs, against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.inspection.duplicates import (
    bit_counts,
    connected_groups,
    correlations,
    perceptual_hashes,
)
from support.faces import Draw


def small(picture: Image.Image, side: int) -> np.ndarray:
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def faces(draw: Draw) -> list[Image.Image]:
    return [draw("sadness", seed) for seed in range(40)]


def test_hash_is_the_dct_hash_of_one_picture_at_a_time(faces: list[Image.Image]) -> None:
    scipy_fft = pytest.importorskip("scipy.fft")
    for face in faces[:10]:
        gray = small(face, 32).astype(np.float64)
        low = scipy_fft.dct(scipy_fft.dct(gray, axis=0), axis=1)[:8, :8].ravel()
        bits = low > np.median(low[1:])
        ours = perceptual_hashes(gray.astype(np.uint8)[None])[0, 0]
        theirs = np.packbits(bits).view(np.uint64)[0]
        # A coefficient next to the median may fall on either side of it in float32.
        assert bit_counts(np.array([ours ^ theirs]))[0] <= 1


def test_mirrored_hash_is_the_hash_of_the_mirror_image(faces: list[Image.Image]) -> None:
    stack = np.stack([small(face, 32) for face in faces])
    upright, flipped = perceptual_hashes(stack), perceptual_hashes(stack[:, :, ::-1])
    assert (bit_counts(upright[:, 1] ^ flipped[:, 0]) <= 1).all()
    assert (upright[:, 0] != upright[:, 1]).all()


def test_hashes_of_a_recompressed_picture_are_close(
    faces: list[Image.Image], tmp_path: Path
) -> None:
    for face in faces[:5]:
        face.save(tmp_path / "a.jpg", quality=30)
        both = [small(face, 32), small(Image.open(tmp_path / "a.jpg"), 32)]
        first, second = perceptual_hashes(np.stack(both))[:, 0]
        assert bit_counts(np.array([first ^ second]))[0] <= 8


def test_bit_counts_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 2**64, (50, 3), dtype=np.uint64)
    expected = [[int(value).bit_count() for value in row] for row in values]
    assert bit_counts(values).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert bit_counts(values).tolist() == expected


def test_correlations_are_pearsons() -> None:
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


def test_groups_link_through_others() -> None:
    assert connected_groups(6, [(4, 2), (2, 5), (0, 1)]).tolist() == [0, 0, 2, 3, 2, 2]
