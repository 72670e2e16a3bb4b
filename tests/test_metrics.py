from __future__ import annotations

import math

import numpy as np
import pytest

from mien import metrics
from mien.errors import DataError

RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 4, 300)
PROBS = RNG.dirichlet(np.ones(4), 300)
GUESS = PROBS.argmax(axis=1)


def test_scores_agree_with_scikit_learn() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    assert metrics.accuracy(TRUE, GUESS) == pytest.approx(sk.accuracy_score(TRUE, GUESS))
    assert metrics.macro_f1(TRUE, GUESS, 4) == pytest.approx(
        sk.f1_score(TRUE, GUESS, average="macro")
    )
    assert metrics.balanced_accuracy(TRUE, GUESS, 4) == pytest.approx(
        sk.balanced_accuracy_score(TRUE, GUESS)
    )
    found = metrics.confusion_matrix(TRUE, GUESS, 4)
    assert found.tolist() == sk.confusion_matrix(TRUE, GUESS).tolist()
    precision, recall, f1, support = sk.precision_recall_fscore_support(TRUE, GUESS)
    scores = metrics.per_class(found)
    assert scores.precision == pytest.approx(precision)
    assert scores.recall == pytest.approx(recall)
    assert scores.f1 == pytest.approx(f1)
    assert scores.support.tolist() == support.tolist()
    assert metrics.negative_log_likelihood(PROBS, TRUE) == pytest.approx(sk.log_loss(TRUE, PROBS))
    assert metrics.top_k_accuracy(TRUE, PROBS, 2) == pytest.approx(
        sk.top_k_accuracy_score(TRUE, PROBS, k=2)
    )


def test_classes_that_never_occur_do_not_count() -> None:
    true, guess = np.array([0, 0, 1]), np.array([0, 1, 1])
    assert metrics.balanced_accuracy(true, guess, 5) == pytest.approx(0.75)
    assert metrics.macro_f1(true, guess, 5) == pytest.approx(2 / 3)


def test_wilson_interval_at_the_ends() -> None:
    assert metrics.wilson_interval(0, 10)[0] == 0
    assert metrics.wilson_interval(10, 10)[1] == 1
    low, high = metrics.wilson_interval(2815, 3199)
    assert (low, high) == (pytest.approx(0.8682, abs=1e-3), pytest.approx(0.8907, abs=1e-3))


def test_bootstrap_interval_holds_the_score_and_follows_its_seed() -> None:
    low, high = metrics.bootstrap_interval(metrics.accuracy, TRUE, GUESS, resamples=300)
    assert low < metrics.accuracy(TRUE, GUESS) < high
    assert (low, high) == metrics.bootstrap_interval(metrics.accuracy, TRUE, GUESS, resamples=300)


def test_calibration_error_by_hand() -> None:
    probs = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
    true = np.array([0, 1, 1, 1])
    # Bin of 0.95: accuracy 0.5, gap 0.45. Bin of 0.65: accuracy 1, gap 0.35. Two faces each.
    assert metrics.expected_calibration_error(probs, true, bins=10) == pytest.approx(0.4)


def test_confidence_of_exactly_one_falls_into_the_last_bin() -> None:
    found = metrics.reliability_bins(np.array([[1.0, 0.0]]), np.array([0]), bins=5)
    assert found.count.tolist() == [0, 0, 0, 0, 1]


def test_cross_entropy_and_brier_by_hand() -> None:
    probs, targets = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
    assert metrics.cross_entropy(probs, targets) == pytest.approx(math.log(2))
    assert metrics.brier_score(probs, targets) == pytest.approx(0.5)
    assert math.isfinite(metrics.cross_entropy(np.array([[0.0, 1.0]]), targets))


def test_softmax_is_stable() -> None:
    assert metrics.softmax([[1e4, 0.0]]).tolist() == [[1.0, 0.0]]
    assert metrics.softmax([[1.0, 2.0]], temperature=1e6)[0] == pytest.approx([0.5, 0.5], abs=1e-5)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_fitted_temperature_finds_the_one_that_made_the_labels(temperature: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (20_000, 5))
    noise = rng.gumbel(size=logits.shape)
    labels = (logits / temperature + noise).argmax(axis=1)
    assert metrics.fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.accuracy(TRUE[:0], GUESS[:0]),
        lambda: metrics.accuracy(TRUE, GUESS[:5]),
        lambda: metrics.confusion_matrix(TRUE, GUESS, 3),
        lambda: metrics.wilson_interval(3, 0),
        lambda: metrics.wilson_interval(3, 2),
        lambda: metrics.fit_temperature(PROBS[:0], TRUE[:0]),
    ],
)
def test_impossible_input_is_refused(call: object) -> None:
    with pytest.raises(DataError):
        call()  # type: ignore[operator]
