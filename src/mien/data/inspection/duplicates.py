"""Duplicates of pictures: exact, near and mirrored ones, and what they mean."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.data.inspection.finding import Finding
from mien.data.inspection.hashes import alike_pairs
from mien.data.split import SPLITS
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from mien.data.inspection.scan import Scan
    from mien.data.manifest import Manifest

#: Below this standard deviation a picture is flat: it is like every other flat picture.
FLAT_CONTRAST = 2.0


@dataclass(frozen=True, eq=False)
class Duplicates:
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

    @property
    def links(self) -> list[Sequence[int]]:
        """All groups and pairs of pictures that show the same."""
        return [*self.exact, *self.near.tolist(), *self.mirrored.tolist()]


def find_duplicates(
    scan: Scan,
    *,
    max_bits: int = 12,
    min_correlation: float = 0.95,
    progress: Callable[[int], None] | None = None,
) -> Duplicates:
    """Finds equal pictures, and pairs of others that look alike, upright or mirrored.

    Args:
        scan: Numbers of N pictures.
        max_bits: Bits of 64 that the perceptual hashes of a pair may differ in.
        min_correlation: Smallest correlation of the 24x24 gray pictures of a pair.
        progress: Called with the number of pictures just compared; twice for each in the end.
    """
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(scan.digests):
        if digest:
            by_digest[digest].append(index)
    exact = tuple(tuple(found) for found in by_digest.values() if len(found) > 1)
    first = np.array([found[0] for found in by_digest.values()], np.int64)
    first = first[scan.contrast[first] >= FLAT_CONTRAST] if len(first) else first
    found = []
    for mirrored in (False, True):
        pairs, scores = alike_pairs(
            scan.hashes[first],
            scan.thumbs[first],
            mirrored=mirrored,
            max_bits=max_bits,
            min_correlation=min_correlation,
            progress=progress,
        )
        by_pair = dict(zip(map(tuple, first[pairs].tolist()), scores.tolist(), strict=True))
        found.append((first[pairs], scores, by_pair))
    (near, near_scores, upright), (turned, turned_scores, flipped) = found
    # A face that is its own mirror image matches both ways: the better one counts.
    better = np.array([s >= flipped.get(p, -1.0) for p, s in upright.items()], np.bool_)
    mirror = np.array([s > upright.get(p, -1.0) for p, s in flipped.items()], np.bool_)
    return Duplicates(
        exact, near[better], near_scores[better], turned[mirror], turned_scores[mirror]
    )


def connected_groups(count: int, links: Iterable[Sequence[int]]) -> NDArray[np.int64]:
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
    found = set(manifest.splits[list(group)].tolist())
    return " and ".join(name for name in SPLITS if name in found)


def is_across(manifest: Manifest, group: Sequence[int]) -> bool:
    """Tells whether pictures are in more than one split."""
    return len(set(manifest.splits[list(group)].tolist())) > 1


def duplicate_findings(manifest: Manifest, duplicates: Duplicates) -> list[Finding]:
    """Turns duplicates into findings: across splits, within one, and with labels that differ."""
    found = _exact(manifest, duplicates)
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
            if part:
                copies = f"of {kind} copies {where}"
                found.append(
                    Finding(
                        f"{kind}_{end}",
                        counted(len(part), f"pair {copies}", f"pairs {copies}"),
                        tuple(group for group, _ in part),
                        tuple(
                            f"correlation {score:.3f} · {splits_of(manifest, group)}"
                            for group, score in part
                        ),
                    )
                )
    return [*found, *_conflicts(manifest, duplicates)]


def _exact(manifest: Manifest, duplicates: Duplicates) -> list[Finding]:
    across = tuple(g for g in duplicates.exact if is_across(manifest, g))
    within = tuple(g for g in duplicates.exact if not is_across(manifest, g))
    found = []
    titles = _exact_titles(manifest, across)
    if titles:
        lines = tuple(splits_of(manifest, group) for group in across)
        found.append(Finding("exact_across", "; ".join(titles), across, lines))
    if within:
        extra = sum(len(group) - 1 for group in within)
        title = (
            counted(extra, "picture is", "pictures are") + " byte-identical to another of the split"
        )
        lines = tuple(str(manifest.splits[group[0]]) for group in within)
        found.append(Finding("exact_within", title, within, lines))
    return found


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
    titles += [counted(held, "picture is", "pictures are") + " both in valid and in test"] * bool(
        held
    )
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
    if not cases:
        return []
    title = counted(len(cases), "group of copies has", "groups of copies have")
    return [
        Finding("conflicting_labels", f"{title} labels that differ", tuple(cases), tuple(lines))
    ]
