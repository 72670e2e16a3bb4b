from __future__ import annotations

import numpy as np
import pytest

from mien.data.split import stratified_group_split
from mien.errors import ConfigError, DataError


def shares_of(splits: np.ndarray, mask: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(splits[mask], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def test_singles_get_exact_quotas_by_class() -> None:
    ids = np.repeat([0, 1, 2], [1000, 100, 10])
    splits = stratified_group_split(ids, None, {"train": 0.8, "valid": 0.1, "test": 0.1}, 0)
    assert shares_of(splits, ids == 0) == {"train": 800, "valid": 100, "test": 100}
    assert shares_of(splits, ids == 1) == {"train": 80, "valid": 10, "test": 10}
    assert shares_of(splits, ids == 2) == {"train": 8, "valid": 1, "test": 1}


def test_groups_stay_whole_and_classes_balanced() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 300, 3000)
    ids = (groups % 4 + (rng.random(3000) < 0.1)) % 4
    splits = stratified_group_split(ids, groups.astype(str), {"train": 0.75, "valid": 0.25}, 1)
    for group in np.unique(groups):
        assert len(set(splits[groups == group])) == 1
    for k in range(4):
        assert (splits[ids == k] == "valid").mean() == pytest.approx(0.25, abs=0.02)


def test_same_seed_same_split_other_seed_other_split() -> None:
    ids = np.arange(200) % 5
    first, again, other = (
        stratified_group_split(ids, None, {"train": 0.5, "valid": 0.5}, s) for s in (4, 4, 5)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_every_class_with_enough_groups_is_in_every_split(seed: int) -> None:
    # Class 1 has two groups, class 2 three of very different size, class 3 only one.
    ids = np.repeat([0, 1, 1, 2, 2, 2, 3], [50, 1, 1, 30, 1, 1, 4])
    groups = np.concatenate([np.arange(50), np.repeat(np.arange(50, 56), [1, 1, 30, 1, 1, 4])])
    splits = stratified_group_split(ids, groups.astype(str), {"train": 0.9, "valid": 0.1}, seed)
    for k in (0, 1, 2):
        assert set(splits[ids == k]) == {"train", "valid"}
    assert set(splits[ids == 3]) == {"train"}


def test_filling_a_gap_empties_no_other_class() -> None:
    # Group b is the only one of class 1, and holds class 0 too: it must not be split up or
    # traded so that a class vanishes from where it alone stands.
    ids = np.array([0, 0, 0, 1])
    groups = np.array(["a", "a", "b", "b"])
    splits = stratified_group_split(ids, groups, {"train": 0.9, "valid": 0.1}, 0)
    assert set(splits[:2]) != set(splits[2:])
    assert splits[2] == splits[3]


def test_a_share_of_nothing_gets_nothing() -> None:
    splits = stratified_group_split(np.zeros(10, int), None, {"train": 1.0, "valid": 0.0}, 0)
    assert set(splits) == {"train"}


def test_no_pictures_no_splits() -> None:
    assert len(stratified_group_split(np.empty(0, int), None, {"train": 1.0}, 0)) == 0


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.5, "valid": -0.5}])
def test_shares_that_do_not_sum_to_one(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        stratified_group_split(np.zeros(3, int), None, shares, 0)


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="got 3 and 2"):
        stratified_group_split(np.zeros(3, int), np.array(["a", "b"]), {"train": 1.0}, 0)
