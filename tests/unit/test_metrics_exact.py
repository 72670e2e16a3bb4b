"""Metrics at their limits, and against their definitions written as loops."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien import metrics
from mien.errors import ConfigError, DataError


def _faces(seed: int, count: int, classes: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), count)
    return rng.integers(0, classes, count), rng.integers(0, classes, count), probs


_FACES = st.tuples(st.integers(0, 99), st.integers(1, 12), st.integers(2, 4)).map(
    lambda given: _faces(*given)
)


@given(_FACES)
def test_scores_are_their_definitions(faces: tuple[NDArray[Any], ...]) -> None:
    true, guess, probs = faces
    n, classes = probs.shape
    matrix = metrics.confusion_matrix(true, guess, classes)
    counted = [
        [sum((t, g) == (i, j) for t, g in zip(true, guess, strict=True)) for j in range(classes)]
        for i in range(classes)
    ]
    assert matrix.tolist() == counted
    assert matrix.dtype == np.int64
    scores = metrics.per_class(matrix)
    for k in range(classes):
        hits, have, said = matrix[k, k], (true == k).sum(), (guess == k).sum()
        assert scores.support[k] == have
        assert scores.recall[k] == (hits / have if have else 0)
        assert scores.precision[k] == (hits / said if said else 0)
        assert scores.f1[k] == (2 * hits / (have + said) if have + said else 0)
    present, named = np.unique(true), np.union1d(true, guess)
    assert metrics.balanced_accuracy(true, guess, classes) == pytest.approx(
        scores.recall[present].mean()
    )
    assert metrics.macro_f1(true, guess, classes) == pytest.approx(scores.f1[named].mean())
    assert metrics.accuracy(true, guess) == pytest.approx(np.trace(matrix) / n)


@given(_FACES, st.integers(1, 7))
def test_calibration_is_its_definition(faces: tuple[NDArray[Any], ...], bins: int) -> None:
    true, _, probs = faces
    found = metrics.reliability_bins(probs, true, bins)
    error = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [
            (row.max(), row.argmax() == t)
            for row, t in zip(probs, true, strict=True)
            if low < row.max() <= high
        ]
        assert found.count[b] == len(inside)
        confidence, hits = (
            (np.mean(each) if inside else 0 for each in zip(*inside, strict=True))
            if inside
            else (0, 0)
        )
        assert found.confidence[b] == pytest.approx(confidence)
        assert found.accuracy[b] == pytest.approx(hits)
        error += len(inside) / len(true) * abs(confidence - hits)
    assert found.count.dtype == np.int64
    assert metrics.expected_calibration_error(probs, true, bins) == pytest.approx(error)


@given(_FACES)
def test_likelihood_entropy_and_brier_are_their_definitions(
    faces: tuple[NDArray[Any], ...],
) -> None:
    true, _, probs = faces
    chosen = [row[t] for row, t in zip(probs, true, strict=True)]
    one_hot = np.eye(probs.shape[1])[true]
    expected = pytest.approx(-np.mean(np.log(chosen)))
    assert metrics.negative_log_likelihood(probs, true) == expected
    assert metrics.cross_entropy(probs, one_hot) == expected
    by_hand = [
        sum((p - t) ** 2 for p, t in zip(a, b, strict=True))
        for a, b in zip(probs, one_hot, strict=True)
    ]
    assert metrics.brier_score(probs, one_hot) == pytest.approx(np.mean(by_hand))
    ranks = [
        sorted(range(len(row)), key=lambda k: -row[k]).index(t)
        for row, t in zip(probs, true, strict=True)
    ]
    for k in range(1, probs.shape[1] + 2):
        assert metrics.top_k_accuracy(true, probs, k) == pytest.approx(np.mean(np.array(ranks) < k))


def test_no_chance_counts_as_one_in_a_million_million() -> None:
    probs, sure = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    expected = pytest.approx(-math.log(1e-12))
    assert metrics.negative_log_likelihood(probs, np.array([0])) == expected
    assert metrics.cross_entropy(probs, sure) == expected


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=5), st.floats(0.1, 9))
def test_softmax_is_its_definition(logits: list[float], temperature: float) -> None:
    parts = [math.exp(z / temperature) for z in logits]
    found = metrics.softmax([logits, logits], temperature)
    assert found[0] == pytest.approx(np.array(parts) / sum(parts))
    assert found[1].tolist() == found[0].tolist()
    assert metrics.log_softmax(logits, temperature) == pytest.approx(np.log(found[0]))
    assert metrics.softmax(logits) == pytest.approx(metrics.softmax(logits, 1))


@given(st.integers(0, 30), st.integers(1, 30), st.sampled_from([0.5, 0.9, 0.95]))
def test_wilson_s_ends_are_the_shares_that_just_miss(k: int, n: int, confidence: float) -> None:
    k = min(k, n)
    low, high = metrics.wilson_interval(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    for end, exact in ((low, k == 0), (high, k == n)):
        if exact:
            assert end in {0.0, 1.0}
        else:
            assert abs(k / n - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n))
    assert metrics.wilson_interval(k, n) == metrics.wilson_interval(k, n, 0.95)


def test_wilson_s_ends_are_exact_where_rounding_would_miss_them() -> None:
    for n in range(1, 200):
        assert metrics.wilson_interval(0, n)[0] == 0.0
        assert metrics.wilson_interval(n, n)[1] == 1.0


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(DataError, match=f"got {successes} of {n}"):
        metrics.wilson_interval(successes, n)


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 1.5])
def test_confidence_lies_between_0_and_1(confidence: float) -> None:
    for call in (metrics.wilson_interval, lambda *_, **k: metrics.bootstrap_interval(len, **k)):
        with pytest.raises(ConfigError, match=f"between 0 and 1; got {confidence}"):
            call(1, 2, confidence=confidence)


def test_bootstrap_is_the_quantiles_of_seeded_draws() -> None:
    values = np.arange(20.0)
    for seed, confidence in ((0, 0.95), (7, 0.5)):
        rng = np.random.default_rng(seed)
        means = [values[rng.integers(0, 20, 20)].mean() for _ in range(50)]
        tail = (1 - confidence) / 2
        found = metrics.bootstrap_interval(
            lambda rows: float(rows.mean()), values, resamples=50, confidence=confidence, seed=seed
        )
        assert found == pytest.approx(tuple(np.quantile(means, [tail, 1 - tail])))
    calls: list[int] = []
    metrics.bootstrap_interval(lambda rows: calls.append(1) or 1.0, values[:2])  # type: ignore[func-returns-value]
    assert len(calls) == 1000
    assert metrics.bootstrap_interval(lambda rows: float(rows.mean()), values) == (
        metrics.bootstrap_interval(
            lambda rows: float(rows.mean()), values, resamples=1000, confidence=0.95, seed=0
        )
    )


def test_one_resample_is_enough_and_none_is_not() -> None:
    assert metrics.bootstrap_interval(len, np.zeros(3), resamples=1) == (3.0, 3.0)
    with pytest.raises(ConfigError, match="resamples must be at least 1; got 0"):
        metrics.bootstrap_interval(len, np.zeros(3), resamples=0)
    with pytest.raises(DataError, match="at least one array"):
        metrics.bootstrap_interval(len)
    with pytest.raises(DataError, match=r"array 0.*array 1"):
        metrics.bootstrap_interval(len, np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("class_id", [-1, 2])
def test_classes_are_0_to_k(class_id: int) -> None:
    ids, probs = np.array([class_id]), np.array([[0.5, 0.5]])
    for call in (
        lambda: metrics.confusion_matrix(ids, np.array([0]), 2),
        lambda: metrics.confusion_matrix(np.array([0]), ids, 2),
        lambda: metrics.top_k_accuracy(ids, probs, 1),
        lambda: metrics.reliability_bins(probs, ids),
        lambda: metrics.negative_log_likelihood(probs, ids),
        lambda: metrics.fit_temperature(probs, ids),
    ):
        with pytest.raises(DataError, match=rf"must lie in 0\.\.1; got .*{class_id}"):
            call()


def test_the_last_class_and_a_single_bin_and_rank_are_fine() -> None:
    ids, probs = np.array([1]), np.array([[0.25, 0.75]])
    assert metrics.top_k_accuracy(ids, probs, 1) == 1
    assert metrics.reliability_bins(probs, ids, 1).count.tolist() == [1]
    assert len(metrics.reliability_bins(probs, ids).count) == 15
    assert metrics.expected_calibration_error(probs, ids) == pytest.approx(0.25)
    true, _, many = _faces(0, 60, 3)
    fifteen = metrics.expected_calibration_error(many, true, 15)
    assert metrics.expected_calibration_error(many, true) == fifteen
    assert metrics.expected_calibration_error(many, true, 14) != fifteen
    for name, call in (
        ("k", lambda: metrics.top_k_accuracy(ids, probs, 0)),
        ("bins", lambda: metrics.reliability_bins(probs, ids, 0)),
    ):
        with pytest.raises(ConfigError, match=f"{name} must be at least 1; got 0"):
            call()


def test_no_confidence_at_all_falls_into_the_first_bin() -> None:
    assert metrics.reliability_bins(np.zeros((1, 2)), np.array([0]), 3).count.tolist() == [1, 0, 0]


def test_results_are_frozen() -> None:
    for found in (
        metrics.per_class(np.eye(2, dtype=int)),
        metrics.reliability_bins(np.eye(2), np.array([0, 1])),
    ):
        with pytest.raises(FrozenInstanceError):
            found.support = found.count = None  # type: ignore[misc, union-attr]


@pytest.mark.parametrize("temperature", [0, -1, math.inf, math.nan])
def test_temperature_is_a_number_above_0(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature must be a number above 0"):
        metrics.softmax([[0.0, 1.0]], temperature)


@given(st.integers(0, 99), st.sampled_from([0.3, 1.0, 4.0]))
def test_the_temperature_is_the_best_one(seed: int, made: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2 * made, (40, 3))
    votes = rng.dirichlet(np.ones(3), 40)
    found = metrics.fit_temperature(logits, votes)
    best = metrics.cross_entropy(metrics.softmax(logits, found), votes)
    for other in (found * 0.99, found * 1.01):
        if 0.05 <= other <= 20:
            assert metrics.cross_entropy(metrics.softmax(logits, other), votes) >= best
    assert metrics.fit_temperature(logits + 100, votes) == pytest.approx(found)
    ids = votes.argmax(axis=1)
    assert metrics.fit_temperature(logits, ids) == pytest.approx(
        metrics.fit_temperature(logits, np.eye(3)[ids])
    )


def test_the_temperature_ends_at_a_twentieth_and_at_twenty() -> None:
    right, wrong = np.array([[3.0, 0.0]]), np.array([[0.0, 3.0]])
    assert metrics.fit_temperature(right, np.array([0])) == pytest.approx(0.05)
    assert metrics.fit_temperature(wrong, np.array([0])) == pytest.approx(20)
    assert metrics.fit_temperature(np.ones((2, 3)), np.array([0, 1])) == 1.0
    for bad in (math.nan, math.inf):
        with pytest.raises(DataError, match="must be finite"):
            metrics.fit_temperature(np.array([[bad, 0.0]]), np.array([0]))


def test_every_metric_needs_faces_and_equal_lengths() -> None:
    none, two = np.empty(0, int), np.array([0, 1])
    for ids, guess, words in ((none, none, "of no faces"), (two, two[:1], "as many rows")):
        for call in (metrics.accuracy, lambda a, b: metrics.confusion_matrix(a, b, 2)):
            with pytest.raises(DataError, match=words):
                call(ids, guess)
    for score in (metrics.cross_entropy, metrics.brier_score):
        with pytest.raises(DataError, match=r"one target a class; got \(2, 2\) and \(2, 3\)"):
            score(np.eye(2), np.ones((2, 3)))
        with pytest.raises(DataError, match="as many rows"):
            score(np.eye(2), np.eye(3))
