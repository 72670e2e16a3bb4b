"""Metrics of classification and calibration: pure functions on arrays.

Shapes: N faces, K classes. ``class_ids`` and ``predicted`` are int (N,), ``probs`` float (N, K)
with rows summing to 1, ``targets`` float (N, K) distributions. Each raises ``DataError`` where
lengths or shapes differ, there is no face, or a class is not in 0..K-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from mien.arrays import F64, I64, Floats


__all__ = [
    "ClassScores",
    "Reliability",
    "accuracy",
    "balanced_accuracy",
    "bootstrap_interval",
    "brier_score",
    "confusion_matrix",
    "cross_entropy",
    "expected_calibration_error",
    "fit_temperature",
    "log_softmax",
    "macro_f1",
    "negative_log_likelihood",
    "per_class",
    "reliability_bins",
    "softmax",
    "top_k_accuracy",
    "wilson_interval",
]

_TINY = 1e-12


def _same_length(**arrays: NDArray[Any]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"expected as many rows in each array; got {lengths}.")
    if 0 in lengths.values():
        raise DataError("a metric of no faces is not defined: give at least one.")


def _same_shape(probs: NDArray[Any], targets: NDArray[Any]) -> None:
    _same_length(probs=probs, targets=targets)
    if probs.shape != targets.shape:
        raise DataError(f"expected one target a class; got {probs.shape} and {targets.shape}.")


def _known_classes(class_ids: I64, num_classes: int) -> None:
    # A face without a label is -1 in a manifest, which numpy would take for the last class.
    if class_ids.min() < 0 or class_ids.max() >= num_classes:
        raise DataError(
            f"classes must lie in 0..{num_classes - 1}; got {class_ids.min()}..{class_ids.max()}."
        )


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"must be at least 1; got {value}", subject=name)


def _inside(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must lie between 0 and 1; got {confidence}.")


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> F64:
    """Returns log-probabilities of logits (..., K) divided by a temperature.

    Raises:
        ConfigError: If the temperature is not above 0.

    >>> log_softmax([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    if not 0 < temperature < math.inf:
        raise ConfigError(f"temperature must be a number above 0; got {temperature}.")
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    logs: F64 = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return logs


def softmax(logits: ArrayLike, temperature: float = 1.0) -> F64:
    """Returns probabilities of logits (..., K) divided by a temperature.

    Raises:
        ConfigError: If the temperature is not above 0.

    >>> softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    return np.exp(log_softmax(logits, temperature))


def accuracy(class_ids: I64, predicted: I64) -> float:
    """Returns the share of faces whose predicted class is the true one.

    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 0]))
    0.6666666666666666
    """
    _same_length(class_ids=class_ids, predicted=predicted)
    return float(np.mean(class_ids == predicted))


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns Wilson's score interval of a share (Wilson 1927).

    Raises:
        DataError: If ``n`` is below 1 or ``successes`` not within 0..n.
        ConfigError: If ``confidence`` is not between 0 and 1.

    >>> tuple(round(x, 4) for x in wilson_interval(8, 10))
    (0.4902, 0.9433)
    """
    _inside(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"expected 0 <= successes <= n and n >= 1; got {successes} of {n}.")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the bound is exact, but rounding would miss it by a hair.
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes == n else (middle + spread) / scale
    return low, high


def bootstrap_interval(
    score: Callable[..., float],
    *arrays: NDArray[Any],
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of a score of rows drawn with replacement.

    Args:
        score: Called with the resampled arrays.
        *arrays: Arrays of N rows each.
        resamples: How often to draw.
        confidence: Share of the scores inside.
        seed: Seed of the draws.

    Raises:
        DataError: If the lengths differ or there is no row.
        ConfigError: If ``resamples`` or ``confidence`` is impossible.

    >>> bootstrap_interval(accuracy, np.array([0, 1]), np.array([0, 1]), resamples=10)
    (1.0, 1.0)
    """
    _inside(confidence)
    _at_least_one("resamples", resamples)
    if not arrays:
        raise DataError("a bootstrap needs at least one array of rows to draw from.")
    _same_length(**{f"array {index}": array for index, array in enumerate(arrays)})
    rng = np.random.default_rng(seed)
    n = len(arrays[0])
    draws = (rng.integers(0, n, n) for _ in range(resamples))
    scores = [score(*(array[rows] for array in arrays)) for rows in draws]
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return float(low), float(high)


def confusion_matrix(class_ids: I64, predicted: I64, num_classes: int) -> I64:
    """Returns counts (K, K); rows are true classes, columns predicted ones.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    _same_length(class_ids=class_ids, predicted=predicted)
    _known_classes(np.concatenate([class_ids, predicted]), num_classes)
    flat = np.bincount(class_ids * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScores:
    """Scores by class, each (K,); 0 where a ratio has no denominator."""

    precision: F64
    recall: F64
    f1: F64
    support: I64


def per_class(confusion: I64) -> ClassScores:
    """Returns precision, recall, F1 and support by class of a confusion matrix (K, K).

    >>> scores = per_class(np.array([[3, 1], [0, 4]]))
    >>> scores.precision.tolist(), scores.recall.tolist(), scores.support.tolist()
    ([1.0, 0.8], [0.75, 1.0], [4, 4])
    """
    hits = np.diag(confusion).astype(np.float64)
    support, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    recall = hits / np.maximum(support, 1)
    precision = hits / np.maximum(claimed, 1)
    f1 = 2 * hits / np.maximum(support + claimed, 1)
    return ClassScores(precision, recall, f1, support)


def macro_f1(class_ids: I64, predicted: I64, num_classes: int) -> float:
    """Returns the mean F1 of the classes that occur, as true or as predicted class.

    >>> round(macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 5), 4)
    0.6667
    """
    return confusion_f1(confusion_matrix(class_ids, predicted, num_classes))


def confusion_f1(confusion: I64) -> float:
    """Returns the macro-F1 of a confusion matrix (K, K), see :func:`macro_f1`."""
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return float(per_class(confusion).f1[occurs].mean())


def balanced_accuracy(class_ids: I64, predicted: I64, num_classes: int) -> float:
    """Returns the mean recall of the classes that truly occur.

    >>> balanced_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1]), 5)
    0.75
    """
    scores = per_class(confusion_matrix(class_ids, predicted, num_classes))
    return float(scores.recall[scores.support > 0].mean())


def top_k_accuracy(class_ids: I64, probs: Floats, k: int) -> float:
    """Returns the share of faces whose true class is among the ``k`` most probable.

    Where probabilities tie, the lower class comes first, as with ``argmax``.

    Raises:
        ConfigError: If ``k`` is below 1.

    >>> top_k_accuracy(np.array([1, 2]), np.array([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1]]), 2)
    0.5
    """
    _at_least_one("k", k)
    _same_length(class_ids=class_ids, probs=probs)
    _known_classes(class_ids, probs.shape[1])
    best = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == class_ids[:, None]).any(axis=1)))


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in equal bins of 0..1, each (bins,); 0 in empty bins."""

    count: I64
    confidence: F64
    accuracy: F64


def reliability_bins(probs: Floats, class_ids: I64, bins: int = 15) -> Reliability:
    """Bins faces by the probability of their top class: (low, high], as Guo et al. 2017 do.

    Raises:
        ConfigError: If ``bins`` is below 1.

    >>> reliability_bins(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0, 0]), 2).count.tolist()
    [0, 2]
    """
    _at_least_one("bins", bins)
    _same_length(probs=probs, class_ids=class_ids)
    _known_classes(class_ids, probs.shape[1])
    confidence = probs.max(axis=1)
    hit = probs.argmax(axis=1) == class_ids
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    at_least_one = np.maximum(count, 1)
    return Reliability(
        count.astype(np.int64),
        np.bincount(index, weights=confidence, minlength=bins) / at_least_one,
        np.bincount(index, weights=hit.astype(np.float64), minlength=bins) / at_least_one,
    )


def expected_calibration_error(probs: Floats, class_ids: I64, bins: int = 15) -> float:
    """Returns the mean gap of confidence and accuracy, weighted by faces (Guo et al. 2017).

    >>> expected_calibration_error(np.array([[0.8, 0.2]] * 5), np.array([0, 0, 0, 0, 1])) < 1e-9
    True
    """
    found = reliability_bins(probs, class_ids, bins)
    gaps = np.abs(found.accuracy - found.confidence) * found.count
    return float(gaps.sum() / found.count.sum())


def negative_log_likelihood(probs: Floats, class_ids: I64) -> float:
    """Returns the mean of -log p(true class), in nats; p counts as at least 1e-12.

    >>> round(negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([1])), 4)
    0.6931
    """
    _same_length(probs=probs, class_ids=class_ids)
    _known_classes(class_ids, probs.shape[1])
    chosen = probs[np.arange(len(probs)), class_ids]
    return float(-np.log(np.maximum(chosen, _TINY)).mean())


def cross_entropy(probs: Floats, targets: Floats) -> float:
    """Returns the mean cross-entropy of predictions against target distributions, in nats.

    >>> round(cross_entropy(np.array([[0.5, 0.5]]), np.array([[0.2, 0.8]])), 4)
    0.6931
    """
    _same_shape(probs, targets)
    return float(-(targets * np.log(np.maximum(probs, _TINY))).sum(axis=1).mean())


def brier_score(probs: Floats, targets: Floats) -> float:
    """Returns the mean squared distance of predictions and targets, from 0 to 2 (Brier 1950).

    >>> brier_score(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]))
    0.5
    """
    _same_shape(probs, targets)
    return float(((probs - targets) ** 2).sum(axis=1).mean())


def fit_temperature(logits: Floats, targets: NDArray[Any]) -> float:
    """Returns the temperature that minimises the cross-entropy (Guo et al. 2017).

    The cross-entropy is convex in the inverse temperature b; its slope there is the mean of
    sum(softmax(b z) z) - sum(t z). A bisection finds where that crosses zero, within 0.05..20,
    or the end of the range that lies nearer. Logits that do not differ have no best one: 1.

    Args:
        logits: z, (N, K).
        targets: t, the true classes (N,), or distributions (N, K) such as raters' votes.

    Raises:
        DataError: If a logit is not finite, too.

    >>> sure = np.log([[9.0, 1.0]] * 4)  # says 90 percent, is right in 3 of 4: 9 ** (1 / T) is 3
    >>> round(fit_temperature(sure, np.array([0, 0, 0, 1])), 4)
    2.0
    """
    _same_length(logits=logits, targets=targets)
    z = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(z).all():
        raise DataError("logits must be finite numbers to fit a temperature to.")
    z = z - z.max(axis=1, keepdims=True)
    if targets.ndim == 1:
        _known_classes(targets, z.shape[1])
        aim = float(z[np.arange(len(z)), targets].mean())
    else:
        _same_shape(z, targets)
        aim = float((targets * z).sum(axis=1).mean())
    if not np.ptp(z, axis=1).any():
        return 1.0
    low, high = math.log(0.05), math.log(20.0)
    while high - low > 1e-9:
        middle = (low + high) / 2
        if float((softmax(z, math.exp(middle)) * z).sum(axis=1).mean()) > aim:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
