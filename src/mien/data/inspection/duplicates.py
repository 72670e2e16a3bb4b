"""Duplicates of pictures: exact, near and mirrored ones, and what they mean.

The hash is the DCT hash of Zauner (2010, "Implementation and benchmarking of perceptual image
hash functions", the ``phash`` of most libraries), computed for many pictures at once. A pair of
close hashes is a candidate; the correlation of small gray pictures decides.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.data.inspection.finding import Finding, found
from mien.data.split import SPLITS
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from mien.arrays import F32, I64, U8
    from mien.data.inspection.scan import Scan
    from mien.data.manifest import Manifest

#: Below this standard deviation a picture is flat: it is like every other flat picture.
FLAT_CONTRAST = 2.0
#: Side of the gray pictures that hashes are taken of.
HASH_SIDE = 32
#: Side of the gray pictures that are correlated.
THUMB_SIDE = 24
_LOW = 8
_ROWS = 128
_PAIRS = 16_384


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which pictures show the same: positions of those with equal bytes, and pairs that look alike.

    ``near`` is (P, 2), and of equal pictures only the first is paired; ``mirrored`` (Q, 2) look
    alike once one is mirrored. The scores (P,) and (Q,) are correlations.
    """

    exact: tuple[tuple[int, ...], ...]
    near: I64
    near_scores: F32
    mirrored: I64
    mirrored_scores: F32

    @property
    def links(self) -> list[Sequence[int]]:
        """All groups and pairs of pictures that show the same."""
        return [*self.exact, *self.near.tolist(), *self.mirrored.tolist()]


def perceptual_hashes(small: U8) -> NDArray[np.uint64]:
    """Returns hashes (N, 2) of gray pictures (N, 32, 32): as they are, and mirrored left to right.

    >>> picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32)).astype(np.uint8)
    >>> upright, flipped = perceptual_hashes(picture), perceptual_hashes(picture[:, :, ::-1])
    >>> bool(upright[0, 0] == flipped[0, 1])
    True
    """
    k, n = np.arange(_LOW)[:, None], np.arange(HASH_SIDE)[None, :]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * HASH_SIDE)).astype(np.float32)  # of the DCT-II
    low = basis @ small.astype(np.float32) @ basis.T
    # Mirroring turns the sign of the odd frequencies along a row and nothing else.
    signs = np.where(np.arange(_LOW) % 2, -1, 1).astype(np.float32)
    both = np.stack([low, low * signs], axis=1).reshape(len(small), 2, _LOW * _LOW)
    middle = np.median(both[:, :, 1:], axis=2, keepdims=True)
    bits = np.packbits(both > middle, axis=2)
    return np.ascontiguousarray(bits).view(np.uint64)[:, :, 0]


def bit_counts(values: NDArray[np.uint64]) -> U8:
    """Returns how many bits are set in each value."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.bitwise_count(values)
    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(*values.shape, 8)
    summed: U8 = table[octets].sum(axis=-1).astype(np.uint8)
    return summed


def correlations(first: U8, second: U8, *, mirrored: bool = False) -> F32:
    """Returns the Pearson correlation of each pair of pictures (P, S, S), 0 where one is flat."""
    a = first.reshape(len(first), -1).astype(np.float32)
    b = (second[:, :, ::-1] if mirrored else second).reshape(len(second), -1).astype(np.float32)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    products: F32 = np.einsum("ij,ij->i", a, b)
    return np.where(norms > 0, products / np.maximum(norms, 1e-6), 0).astype(np.float32)


def alike_pairs(
    hashes: NDArray[np.uint64],
    thumbs: U8,
    *,
    mirrored: bool,
    max_bits: int,
    min_correlation: float,
    progress: Callable[[int], None] | None = None,
) -> tuple[I64, F32]:
    """Finds pairs (P, 2) of N pictures that show the same, and their correlations (P,).

    Every pair of ``hashes`` (N, 2), see :func:`perceptual_hashes`, is compared, in blocks of rows:
    36,000 pictures are 650 million pairs and about two seconds. Memory does not grow with the
    number of pairs. ``thumbs`` are gray, (N, 24, 24).
    """
    upright = np.ascontiguousarray(hashes[:, 0])
    other = np.ascontiguousarray(hashes[:, 1]) if mirrored else upright
    found: list[I64] = []
    scores: list[F32] = []
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


def find_duplicates(
    scan: Scan,
    *,
    max_bits: int = 12,
    min_correlation: float = 0.95,
    progress: Callable[[int], None] | None = None,
) -> Duplicates:
    """Finds equal pictures, and pairs of others that look alike, upright or mirrored.

    A pair differs in at most ``max_bits`` of the 64 bits of its perceptual hashes, and its 24x24
    gray pictures correlate by ``min_correlation``.
    """
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(scan.digests):
        if digest:
            by_digest[digest].append(index)
    exact = tuple(tuple(at) for at in by_digest.values() if len(at) > 1)
    first = np.array([at[0] for at in by_digest.values()], np.int64)
    first = first[scan.contrast[first] >= FLAT_CONTRAST] if len(first) else first
    alike = []
    for mirrored in (False, True):
        pairs, scores = alike_pairs(
            scan.hashes[first], scan.thumbs[first], mirrored=mirrored, max_bits=max_bits,
            min_correlation=min_correlation, progress=progress,
        )  # fmt: skip
        by_pair = dict(zip(map(tuple, first[pairs].tolist()), scores.tolist(), strict=True))
        alike.append((first[pairs], scores, by_pair))
    (near, near_scores, upright), (turned, turned_scores, flipped) = alike
    # A face that is its own mirror image matches both ways: the better one counts.
    better = np.array([s >= flipped.get(p, -1.0) for p, s in upright.items()], np.bool_)
    mirror = np.array([s > upright.get(p, -1.0) for p, s in flipped.items()], np.bool_)
    return Duplicates(
        exact, near[better], near_scores[better], turned[mirror], turned_scores[mirror]
    )


def connected_groups(count: int, links: Iterable[Sequence[int]]) -> I64:
    """Returns a group for each of N items, such that linked items share one.

    >>> connected_groups(5, [(0, 3), (3, 4)]).tolist()
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


def splits_of(manifest: Manifest, group: Sequence[int]) -> str:
    """Returns the names of the splits that pictures are in, as ``"train and valid"``."""
    inside = set(manifest.splits[list(group)].tolist())
    return " and ".join(name for name in SPLITS if name in inside)


def is_across(manifest: Manifest, group: Sequence[int]) -> bool:
    """Tells whether pictures are in more than one split."""
    return len(set(manifest.splits[list(group)].tolist())) > 1


def duplicate_findings(manifest: Manifest, duplicates: Duplicates) -> list[Finding]:
    """Turns duplicates into findings: across splits, within one, and with labels that differ."""
    listed = _exact(manifest, duplicates)
    equal = {index: group for group in duplicates.exact for index in group}
    for kind, pairs, scores in (
        ("near", duplicates.near, duplicates.near_scores),
        ("mirrored", duplicates.mirrored, duplicates.mirrored_scores),
    ):
        # The first of equal pictures stands for all of them, in whatever split they are.
        whole = [
            ((*equal.get(a, (a,)), *equal.get(b, (b,))), score)
            for (a, b), score in zip(pairs.tolist(), scores.tolist(), strict=True)
        ]
        whole.sort(key=lambda pair: -pair[1])
        for end, where in (("across", "across splits"), ("within", "within a split")):
            part = [pair for pair in whole if is_across(manifest, pair[0]) == (end == "across")]
            groups = (group for group, _ in part)
            lines = (f"correlation {score:.3f} · {splits_of(manifest, g)}" for g, score in part)
            rest = f"of {kind} copies {where}"
            listed += found(f"{kind}_{end}", ("pair", "pairs"), rest, groups, lines)
    return [*listed, *_conflicts(manifest, duplicates)]


def _exact(manifest: Manifest, duplicates: Duplicates) -> list[Finding]:
    across = tuple(g for g in duplicates.exact if is_across(manifest, g))
    within = tuple(g for g in duplicates.exact if not is_across(manifest, g))
    listed = []
    titles = _exact_titles(manifest, across)
    if titles:
        lines = tuple(splits_of(manifest, group) for group in across)
        listed.append(Finding("exact_across", "; ".join(titles), across, lines))
    if within:
        extra = counted(sum(len(group) - 1 for group in within), "picture is", "pictures are")
        lines = tuple(str(manifest.splits[group[0]]) for group in within)
        title = f"{extra} byte-identical to another of the split"
        listed.append(Finding("exact_within", title, within, lines))
    return listed


def _exact_titles(manifest: Manifest, across: Sequence[tuple[int, ...]]) -> list[str]:
    """Returns what equal pictures across splits are, also those that the reader removed."""
    splits = manifest.splits
    copied = manifest.leaked.copy()
    for group in across:
        at = np.array(group)
        if "train" in splits[at]:
            copied[at[splits[at] != "train"]] = True
    counts = {name: int((copied & (splits == name)).sum()) for name in ("valid", "test")}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    held = sum("train" not in splits[list(group)] for group in across)
    verb = "picture is" if sum(counts.values()) == 1 else "pictures are"
    titles = [f"{' and '.join(parts)} {verb} byte-identical to a train picture"] * bool(parts)
    if held:
        titles.append(counted(held, "picture is", "pictures are") + " both in valid and in test")
    listed = {index for group in across for index in group}
    lost = int((manifest.leaked & ~np.isin(np.arange(len(splits)), sorted(listed))).sum())
    if lost:
        titles.append(f"the reader leaves the train copies of {lost} of them out")
    return titles


def _conflicts(manifest: Manifest, duplicates: Duplicates) -> list[Finding]:
    """Duplicates whose labels differ; pictures without a majority have no label to differ."""
    group_of = connected_groups(len(manifest), duplicates.links)
    members: dict[int, list[int]] = defaultdict(list)
    for index in sorted({int(i) for link in duplicates.links for i in link}):
        if manifest.class_ids[index] >= 0:
            members[int(group_of[index])].append(index)
    cases, lines = [], []
    for group in members.values():
        ids = sorted({int(manifest.class_ids[index]) for index in group})
        if len(ids) > 1:
            cases.append(tuple(group))
            lines.append(" against ".join(manifest.schema.labels[k] for k in ids))
    words = "group of copies has", "groups of copies have"
    return found("conflicting_labels", words, "labels that differ", cases, lines)
