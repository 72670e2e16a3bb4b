"""The splits of a dataset: their names, and how pictures are dealt to them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ConfigError, DataError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: The splits of a dataset, in this order.
SPLITS = ("train", "valid", "test")

#: Every accepted spelling of a split and the split it means.
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    "training": "train",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "testing": "test",
    # FER2013's own names
    "publictest": "valid",
    "privatetest": "test",
}
_ROUNDS = 10
# train-00000-of-00001, validation, test_2
_FILE_SPLIT = re.compile(r"([a-z]+)(?:[-_.]?\d.*)?", re.IGNORECASE)


def file_split(stem: str) -> str | None:
    """Returns the split that the name of a file tells, None if it tells none.

    >>> file_split("validation-00000-of-00001"), file_split("faces")
    ('valid', None)
    """
    match = _FILE_SPLIT.fullmatch(stem)
    return SPLIT_NAMES.get(match[1].lower()) if match else None


def split_name(name: str, where: str) -> str:
    """Returns ``train``, ``valid`` or ``test`` for any of their spellings.

    Args:
        name: The spelling.
        where: What it was found in, for the message.

    Raises:
        DataError: If it is none.
    """
    found = SPLIT_NAMES.get(name.strip().casefold())
    if found is None:
        raise DataError(
            f"has the split {name!r}, which is none", subject=where, hint=suggest(name, SPLIT_NAMES)
        )
    return found


def stratified_group_split(
    class_ids: NDArray[np.int64],
    groups: NDArray[np.str_] | None,
    shares: Mapping[str, float],
    seed: int,
) -> NDArray[np.str_]:
    """Deals pictures out to splits so that each has its share of every class.

    Groups are dealt whole, those of the rarest class first and large ones before small ones, each
    to the split that lacks most of its classes. Then a class that is absent from a split gets a
    group there, as long as that takes no class from another split.

    Args:
        class_ids: (N,) classes; -1 (no majority) is balanced like a class.
        groups: (N,) names, or None where every picture is a group of its own.
        shares: Share of each split, summing to 1, for example ``{"train": 0.9, "valid": 0.1}``.
        seed: Seed of the order in which groups are dealt.

    Returns:
        (N,) names of splits; equal arguments give equal splits.

    Raises:
        ConfigError: If shares are negative or do not sum to 1.
        DataError: If the arrays have different lengths.

    >>> ids = np.array([0, 0, 0, 1, 1, 1])
    >>> names = np.array(["ann", "ann", "bob", "cy", "cy", "dan"])
    >>> stratified_group_split(ids, names, {"train": 0.7, "valid": 0.3}, seed=0).tolist()
    ['train', 'train', 'valid', 'train', 'train', 'valid']
    """
    _check_shares(shares)
    members = np.arange(len(class_ids)) if groups is None else np.asarray(groups)
    if members.shape != np.shape(class_ids):
        raise DataError(
            f"class_ids and groups must be of one length, got {len(class_ids)} and {len(members)}"
        )
    _, columns = np.unique(class_ids, return_inverse=True)
    _, rows = np.unique(members, return_inverse=True)
    if not len(rows):
        return np.empty(0, dtype=np.str_)
    counts = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    names = [name for name, share in shares.items() if share > 0]
    wanted = np.array([shares[name] for name in names])
    dealt = _deal(counts, wanted, np.random.default_rng(seed))
    _fill_gaps(counts, wanted, dealt)
    return np.array(names)[dealt][rows]


def grouped_folds(
    class_ids: NDArray[np.int64],
    groups: NDArray[np.str_] | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Deals N faces into folds of about equal size and classes; a group lies in one fold.

    Args:
        class_ids: (N,) classes.
        groups: (N,) names, or None where every face is a group of its own.
        folds: Their number, 2 or more.
        seed: Seed of the order in which groups are dealt.

    Returns:
        int64 (N,) in 0..folds-1.

    Raises:
        ConfigError: If there are fewer than two folds.
        DataError: If there are fewer groups than folds.

    >>> np.bincount(grouped_folds(np.array([0, 1] * 6), folds=3)).tolist()
    [4, 4, 4]
    """
    if folds < 2:
        raise ConfigError(f"cross-validation needs 2 folds or more; got {folds}.")
    count = len(class_ids) if groups is None else len(np.unique(groups))
    if count < folds:
        raise DataError(
            f"group(s) of faces cannot be dealt into {folds} folds: give fewer folds", subject=count
        )
    names = [f"{fold:03}" for fold in range(folds)]
    dealt = stratified_group_split(class_ids, groups, dict.fromkeys(names, 1.0 / folds), seed)
    found: NDArray[np.int64] = dealt.astype(np.int64)
    return found


def _check_shares(shares: Mapping[str, float]) -> None:
    values = list(shares.values())
    if not values or min(values) < 0 or not math.isclose(sum(values), 1.0, abs_tol=1e-6):
        raise ConfigError(
            f"the shares of the splits must be 0 or more and sum to 1, got {dict(shares)}"
        )


def _deal(
    counts: NDArray[np.int64], wanted: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Returns the split (index) of each of G groups.

    Args:
        counts: (G, K) pictures by group and class.
        wanted: (S,) share of each split.
        rng: Source of the order among groups of one class and size.
    """
    totals = counts.sum(axis=0)
    lacking = (wanted[:, None] * totals).tolist()
    # The rarest class in a group decides when it is dealt: few groups can make up for it.
    rarity = np.where(counts > 0, totals, totals.max() + 1).min(axis=1)
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.lexsort((-counts.sum(axis=1)[shuffled], rarity[shuffled]))]
    inside = [[(int(k), int(row[k])) for k in np.flatnonzero(row)] for row in counts]
    weight = (1.0 / totals).tolist()
    dealt = np.full(len(counts), -1, dtype=np.int64)
    # Later rounds take each group up and deal it again, until all lie where they fit best.
    for _ in range(_ROUNDS):
        before = dealt.copy()
        for group in order.tolist():
            if dealt[group] >= 0:
                for k, n in inside[group]:
                    lacking[dealt[group]][k] += n
            needs = [sum(n * weight[k] * row[k] for k, n in inside[group]) for row in lacking]
            split = max(range(len(needs)), key=lambda s: (round(needs[s], 9), wanted[s], -s))
            dealt[group] = split
            for k, n in inside[group]:
                lacking[split][k] -= n
        if (dealt == before).all():
            break
    return dealt


def _fill_gaps(
    counts: NDArray[np.int64], wanted: NDArray[np.float64], dealt: NDArray[np.int64]
) -> None:
    """Moves groups (in place) until every class is in every split, where that can be."""
    splits = np.argsort(-wanted, kind="stable")
    have = np.stack([counts[dealt == s].sum(axis=0) for s in range(len(wanted))])
    for k in np.argsort(counts.sum(axis=0), kind="stable"):
        for split in splits:
            if have[split, k]:
                continue
            candidates = np.flatnonzero(counts[:, k])
            spared = have[dealt[candidates]] - counts[candidates]
            spare = ((spared > 0) | (counts[candidates] == 0)).all(axis=1)
            candidates = candidates[spare]
            if not len(candidates):
                continue
            group = candidates[np.argmin(counts[candidates].sum(axis=1))]
            have[dealt[group]] -= counts[group]
            have[split] += counts[group]
            dealt[group] = split
