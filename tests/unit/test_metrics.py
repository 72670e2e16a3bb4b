from __future__ import annotations

import math

import numpy as np
import pytest

from mien import metrics
from mien.errors import ConfigError, DataError

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
    assert (low, high) == pytest.approx((0.8682, 0.8907), abs=1e-3)


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


def test_brier_score_and_reliability_agree_with_scikit_learn() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    calibration_curve = pytest.importorskip("sklearn.calibration").calibration_curve
    one_hot = np.eye(2)[(TRUE == GUESS).astype(int)]
    top = PROBS.max(axis=1)
    assert metrics.brier_score(np.stack([1 - top, top], 1), one_hot) == pytest.approx(
        2 * sk.brier_score_loss(TRUE == GUESS, top)
    )
    found = metrics.reliability_bins(PROBS, TRUE, 10)
    accuracy, confidence = calibration_curve(TRUE == GUESS, top, n_bins=10)
    assert found.accuracy[found.count > 0] == pytest.approx(accuracy)
    assert found.confidence[found.count > 0] == pytest.approx(confidence)
    assert found.count.sum() == len(TRUE)


def test_one_face_has_scores() -> None:
    true, probs = np.array([1]), np.array([[0.25, 0.75]])
    assert metrics.accuracy(true, probs.argmax(axis=1)) == 1
    assert metrics.macro_f1(true, true, 2) == 1
    assert metrics.balanced_accuracy(true, true, 2) == 1
    assert metrics.expected_calibration_error(probs, true) == pytest.approx(0.25)
    assert metrics.bootstrap_interval(metrics.accuracy, true, true, resamples=5) == (1, 1)


def test_ties_go_to_the_lower_class() -> None:
    probs = np.full((2, 4), 0.25)
    assert metrics.top_k_accuracy(np.array([1, 2]), probs, 2) == 0.5
    assert metrics.top_k_accuracy(np.array([0, 3]), probs, 9) == 1


def test_bootstrap_draws_rows_of_all_arrays_together() -> None:
    rows = np.arange(50)

    def matched(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * 2 == b).mean())

    assert metrics.bootstrap_interval(matched, rows, rows * 2, resamples=50) == (1, 1)


def test_bootstrap_interval_is_as_wide_as_the_normal_one() -> None:
    hits = np.arange(400) % 4 > 0  # 75 percent of 400: standard error 2.165 points
    low, high = metrics.bootstrap_interval(lambda x: float(x.mean()), hits, resamples=4000)
    assert (low, high) == pytest.approx((0.7076, 0.7924), abs=0.006)


def test_wilson_interval_against_the_published_example() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263 and 15 of 148.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    narrow, wide = (metrics.wilson_interval(15, 148, c) for c in (0.8, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_softmax_of_no_faces_is_empty() -> None:
    assert metrics.softmax(np.zeros((0, 8), np.float32)).shape == (0, 8)


def test_temperature_by_hand() -> None:
    # 80 percent sure, right in 2 of 3: the odds 4 must become 2, so T is log 4 / log 2 = 2.
    logits = np.log([[4.0, 1.0]] * 3)
    assert metrics.fit_temperature(logits, np.array([0, 0, 1])) == pytest.approx(2)
    votes = np.array([[2 / 3, 1 / 3]] * 3)
    assert metrics.fit_temperature(logits, votes) == pytest.approx(2)


def test_temperature_is_the_best_of_a_grid_on_votes() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (200, 4))
    votes = metrics.softmax(logits / 3 + rng.normal(0, 1, logits.shape))

    def loss(temperature: float) -> float:
        return metrics.cross_entropy(metrics.softmax(logits, temperature), votes)

    best = metrics.fit_temperature(logits, votes)
    assert 1 < best < 10
    assert all(loss(best) <= loss(t) for t in np.geomspace(0.05, 20, 200))


@pytest.mark.parametrize(
    ("logits", "true", "expected"),
    [
        ([[5.0, 0.0], [0.0, 5.0]], [0, 1], 0.05),
        ([[5.0, 0.0], [0.0, 5.0]], [1, 0], 20.0),
        ([[0.1, 0.1], [3.3, 3.3]], [0, 1], 1.0),
    ],
    ids=["always right", "always wrong", "nothing to scale"],
)
def test_temperature_without_a_minimum(
    logits: list[list[float]], true: list[int], expected: float
) -> None:
    assert metrics.fit_temperature(np.array(logits), np.array(true)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "score",
    [
        metrics.negative_log_likelihood,
        metrics.reliability_bins,
        metrics.expected_calibration_error,
        metrics.fit_temperature,
        lambda probs, true: metrics.top_k_accuracy(true, probs, 1),
    ],
)
@pytest.mark.parametrize("unlabelled", [-1, 4])
def test_face_without_a_known_class_is_refused(score: object, unlabelled: int) -> None:
    true = np.where(np.arange(len(TRUE)) == 7, unlabelled, TRUE)
    with pytest.raises(DataError, match=r"classes must lie in 0\.\.3"):
        score(PROBS, true)  # type: ignore[operator]


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.cross_entropy(PROBS, PROBS[:, :1]),
        lambda: metrics.brier_score(PROBS, PROBS[:, :3]),
        lambda: metrics.fit_temperature(PROBS, PROBS[:, :3]),
        lambda: metrics.fit_temperature(PROBS * np.inf, TRUE),
        lambda: metrics.bootstrap_interval(metrics.accuracy),
    ],
)
def test_shapes_that_do_not_agree_are_refused(call: object) -> None:
    with pytest.raises(DataError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.softmax([[1.0, 2.0]], 0), "temperature"),
        (lambda: metrics.softmax([[1.0, 2.0]], math.nan), "temperature"),
        (lambda: metrics.wilson_interval(1, 2, 95), "confidence"),
        (lambda: metrics.reliability_bins(PROBS, TRUE, 0), "bins"),
        (lambda: metrics.top_k_accuracy(TRUE, PROBS, 0), "k must"),
        (
            lambda: metrics.bootstrap_interval(metrics.accuracy, TRUE, GUESS, resamples=0),
            "resamples",
        ),
    ],
)
def test_impossible_argument_is_refused(call: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call()  # type: ignore[operator]


def test_bins_hold_their_upper_edge() -> None:
    probs = np.array([[0.5, 0.5], [0.75, 0.25], [0.76, 0.24]])
    assert metrics.reliability_bins(probs, np.zeros(3, int), 4).count.tolist() == [0, 1, 1, 1]
