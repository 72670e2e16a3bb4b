"""Perceptual hashes, and pairs of pictures that show the same.

The hash is the DCT hash of Zauner (2010, "Implementation and benchmarking of perceptual image
hash functions", the ``phash`` of most libraries), computed for many pictures at once. A pair of
close hashes is a candidate; the correlation of small gray pictures decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Side of the gray pictures that hashes are taken of.
HASH_SIDE = 32
#: Side of the gray pictures that are correlated.
THUMB_SIDE = 24
_LOW = 8
_ROWS = 128
_PAIRS = 16_384


def _cosines() -> NDArray[np.float32]:
    """Returns the first 8 rows of the DCT-II matrix, (8, 32)."""
    k, n = np.arange(_LOW)[:, None], np.arange(HASH_SIDE)[None, :]
    return np.cos(np.pi * k * (2 * n + 1) / (2 * HASH_SIDE)).astype(np.float32)


def perceptual_hashes(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Returns the hashes of pictures and of their mirror images.

    Args:
        small: uint8 (N, 32, 32), gray.

    Returns:
        uint64 (N, 2): as it is, and mirrored left to right.

    >>> picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32)).astype(np.uint8)
    >>> upright, flipped = perceptual_hashes(picture), perceptual_hashes(picture[:, :, ::-1])
    >>> bool(upright[0, 0] == flipped[0, 1])
    True
    """
    basis = _cosines()
    low = basis @ small.astype(np.float32) @ basis.T
    # Mirroring turns the sign of the odd frequencies along a row and nothing else.
    signs = np.where(np.arange(_LOW) % 2, -1, 1).astype(np.float32)
    both = np.stack([low, low * signs], axis=1).reshape(len(small), 2, _LOW * _LOW)
    middle = np.median(both[:, :, 1:], axis=2, keepdims=True)
    bits = np.packbits(both > middle, axis=2)
    return np.ascontiguousarray(bits).view(np.uint64)[:, :, 0]


def bit_counts(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Returns how many bits are set in each value.

    >>> bit_counts(np.array([0, 1, 255, 2**64 - 1], np.uint64)).tolist()
    [0, 1, 8, 64]
    """
    if hasattr(np, "bitwise_count"):  # numpy 2
        counts: NDArray[np.uint8] = np.bitwise_count(values)
        return counts
    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(*values.shape, 8)
    summed: NDArray[np.uint8] = table[octets].sum(axis=-1).astype(np.uint8)
    return summed


def correlations(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, mirrored: bool = False
) -> NDArray[np.float32]:
    """Returns the Pearson correlation of pictures, pair by pair.

    Args:
        first: uint8 (P, S, S).
        second: uint8 (P, S, S).
        mirrored: Mirror the second ones left to right.

    Returns:
        float32 (P,) in -1..1; 0 where a picture is flat.
    """
    a = first.reshape(len(first), -1).astype(np.float32)
    b = (second[:, :, ::-1] if mirrored else second).reshape(len(second), -1).astype(np.float32)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    products: NDArray[np.float32] = np.einsum("ij,ij->i", a, b)
    return np.where(norms > 0, products / np.maximum(norms, 1e-6), 0).astype(np.float32)


def alike_pairs(
    hashes: NDArray[np.uint64],
    thumbs: NDArray[np.uint8],
    *,
    mirrored: bool,
    max_bits: int,
    min_correlation: float,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds pairs of pictures that show the same.

    Every pair of hashes is compared, in blocks of rows: 36,000 pictures are 650 million pairs and
    about two seconds. Memory does not grow with the number of pairs.

    Args:
        hashes: uint64 (N, 2), see :func:`perceptual_hashes`.
        thumbs: uint8 (N, 24, 24), gray.
        mirrored: Look for mirror images.
        max_bits: Bits that two hashes of a pair may differ in.
        min_correlation: Least correlation of the two small pictures.
        progress: Called with the number of pictures just compared.

    Returns:
        int64 (P, 2), first below second, and their correlations, float32 (P,).
    """
    upright = np.ascontiguousarray(hashes[:, 0])
    other = np.ascontiguousarray(hashes[:, 1]) if mirrored else upright
    found: list[NDArray[np.int64]] = []
    scores: list[NDArray[np.float32]] = []
    for start in range(0, len(upright), _ROWS):
        block = upright[start : start + _ROWS, None] ^ other[None, start:]
        rows, columns = np.nonzero(bit_counts(block) <= max_bits)
        pairs = np.stack([rows, columns], axis=1)[columns > rows] + start
        for first in range(0, len(pairs), _PAIRS):
            part = pairs[first : first + _PAIRS]
            score = correlations(thumbs[part[:, 0]], thumbs[part[:, 1]], mirrored=mirrored)
            keep = score >= min_correlation
            found.append(part[keep])
            scores.append(score[keep])
        if progress:
            progress(len(block))
    if not found:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    return np.concatenate(found), np.concatenate(scores)
