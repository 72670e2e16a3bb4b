"""Copies of pictures: exact, near and mirrored."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.data.inspection.hashes import alike_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from mien.data.inspection.scan import Scan

#: Below this standard deviation a picture is flat: it is like every other flat picture.
FLAT_CONTRAST = 2.0


@dataclass(frozen=True, eq=False)
class Copies:
    """Which pictures show the same.

    Args:
        exact: Positions of pictures with equal bytes, two or more each.
        near: int64 (P, 2), pairs that look alike; of equal pictures only the first is paired.
        near_scores: float32 (P,), their correlations.
        mirrored: int64 (Q, 2), pairs that look alike once one is mirrored.
        mirrored_scores: float32 (Q,), their correlations.
    """

    exact: tuple[tuple[int, ...], ...]
    near: NDArray[np.int64]
    near_scores: NDArray[np.float32]
    mirrored: NDArray[np.int64]
    mirrored_scores: NDArray[np.float32]


def find_copies(
    scan: Scan,
    *,
    max_bits: int = 12,
    min_correlation: float = 0.95,
    progress: Callable[[int], None] | None = None,
) -> Copies:
    """Finds equal pictures, and pairs of others that look alike, upright or mirrored.

    Args:
        scan: Numbers of N pictures.
        max_bits: Bits of 64 that the perceptual hashes of a pair may differ in.
        min_correlation: Least correlation of the 24x24 gray pictures of a pair.
        progress: Called with the number of pictures just compared; twice for each in the end.
    """
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(scan.digests):
        if digest:
            by_digest[digest].append(index)
    exact = tuple(tuple(found) for found in by_digest.values() if len(found) > 1)
    first = np.array([found[0] for found in by_digest.values()], np.int64)
    first = first[scan.contrast[first] >= FLAT_CONTRAST] if len(first) else first
    pairs, scores = [], []
    for mirrored in (False, True):
        pair, score = alike_pairs(
            scan.hashes[first],
            scan.thumbs[first],
            mirrored=mirrored,
            max_bits=max_bits,
            min_correlation=min_correlation,
            progress=progress,
        )
        pairs.append(first[pair])
        scores.append(score)
    upright = {(int(a), int(b)): float(s) for (a, b), s in zip(pairs[0], scores[0], strict=True)}
    turned = {(int(a), int(b)): float(s) for (a, b), s in zip(pairs[1], scores[1], strict=True)}
    # A face that is its own mirror image matches both ways: the better one counts.
    better = np.array([s >= turned.get(p, -1.0) for p, s in upright.items()], np.bool_)
    mirror = np.array([s > upright.get(p, -1.0) for p, s in turned.items()], np.bool_)
    return Copies(exact, pairs[0][better], scores[0][better], pairs[1][mirror], scores[1][mirror])


def join(count: int, links: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """Returns a group for each of N items, such that linked items share one.

    >>> join(5, [(0, 3), (3, 4)]).tolist()
    [0, 1, 2, 0, 0]
    """
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for link in links:
        for other in link[1:]:
            a, b = root(int(link[0])), root(int(other))
            parent[max(a, b)] = min(a, b)
    return np.array([root(item) for item in range(count)], np.int64)
