from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mien import ConfigError
from mien.evaluation import (
    Comparison,
    Evaluation,
    biggest_confusions,
    compare,
    pick_faces,
    rater_agreement,
)


def make(probs: list[list[float]], class_ids: list[int], targets: object = None) -> Evaluation:
    ids = np.array(class_ids)
    K = len(probs[0])
    given = np.eye(K)[ids] if targets is None else targets
    return Evaluation(
        model="m", data="d", split="valid", labels=("joy", "fear", "anger")[:K],
        keys=tuple(str(index) for index in range(len(ids))), class_ids=ids,
        targets=np.asarray(given, np.float32), probs=np.array(probs),
        leaked=np.zeros(len(ids), bool),
    )  # fmt: skip


def test_confusions_are_ranked_by_their_share_and_put_in_words() -> None:
    counts = np.array([[90, 9, 1], [3, 6, 1], [0, 0, 0]])
    found = biggest_confusions(counts, ("joy", "fear", "anger"))
    assert [(c.true, c.predicted, c.count) for c in found] == [
        ("fear", "joy", 3), ("fear", "anger", 1), ("joy", "fear", 9), ("joy", "anger", 1),
    ]  # fmt: skip
    assert [c.share for c in found] == [0.3, 0.1, 0.09, 0.01]
    assert str(found[0]) == "fear is called joy in 30 % of cases (3 faces)"
    assert str(found[3]) == "joy is called anger in 1 % of cases (1 face)"
    assert len(biggest_confusions(counts, ("joy", "fear", "anger"), limit=2)) == 2
    assert biggest_confusions(np.diag([3, 4]), ("joy", "fear")) == []
    rare = biggest_confusions(np.array([[999, 1], [0, 1]]), ("joy", "fear"))
    assert str(rare[0]) == "joy is called fear in under 1 % of cases (1 face)"


def test_rater_agreement_by_hand() -> None:
    targets = [[0.8, 0.2], [0.4, 0.6], [1.0, 0.0]]
    found = rater_agreement(make([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]], [0, 1, 0], targets))
    assert found is not None
    assert found.ceiling == pytest.approx((0.8 + 0.6 + 1.0) / 3)
    assert found.model == pytest.approx((0.8 + 0.4 + 1.0) / 3)
    assert found.accuracy == pytest.approx(2 / 3)
    entropies = [
        -(0.8 * np.log(0.8) + 0.2 * np.log(0.2)), -(0.4 * np.log(0.4) + 0.6 * np.log(0.6)), 0
    ]  # fmt: skip
    assert found.entropy == pytest.approx(np.mean(entropies))
    assert found.cross_entropy >= found.entropy
    assert rater_agreement(make([[0.9, 0.1]], [0])) is None


def test_faces_are_picked_by_what_they_tell() -> None:
    evaluation = make(
        [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9], [0.95, 0.05]], [0, 0, 0, 1, 0]
    )
    assert pick_faces(evaluation, "mistakes").tolist() == [1, 2]
    assert pick_faces(evaluation, "hardest", 3).tolist() == [1, 2, 0]
    assert pick_faces(evaluation, "easiest", 3).tolist() == [4, 3, 0]
    with pytest.raises(ConfigError, match="easiest"):
        pick_faces(evaluation, "prettiest")


def test_comparison_counts_and_mcnemar() -> None:
    first = make([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]], [0, 0, 1, 0])
    second = make([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]], [0, 0, 1, 0])
    found = compare(first, second)
    assert (found.both, found.first_only, found.second_only, found.neither) == (1, 1, 1, 1)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    for other in (
        dataclasses.replace(second, keys=("a", "b", "c", "d")),
        dataclasses.replace(second, class_ids=np.array([1, 0, 1, 0])),
    ):
        with pytest.raises(ConfigError, match="same faces"):
            compare(first, other)


def test_mcnemar_agrees_with_the_binomial_test_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for b, c in ((0, 0), (3, 3), (1, 8), (10, 25), (107, 50), (700, 640)):
        expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
        assert Comparison(5, b, c, 5).p_value == pytest.approx(expected, rel=1e-9)
    found = Comparison(both=60, first_only=10, second_only=25, neither=5)
    assert found.difference == 0.15
    low, high = found.difference_ci  # sqrt(35 - 225 / 100) / 100 = 0.0572
    assert (low, high) == pytest.approx((0.15 - 0.11216, 0.15 + 0.11216), abs=1e-4)
