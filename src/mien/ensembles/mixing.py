"""How the answers of M members become one: votes, weights, or a model on top of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.split import grouped_folds
from mien.ensembles.mixture import METHODS, Mixture
from mien.ensembles.stacking import fit_stacking
from mien.errors import ConfigError, DataError, suggest
from mien.metrics import fit_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Members that weigh less are left out.
MIN_WEIGHT = 1e-3
#: Members that greedy selection draws at most, with replacement.
GREEDY_ROUNDS = 30


def fit_mixture(
    log_probs: NDArray[np.floating],
    class_ids: NDArray[np.int64],
    *,
    method: str = "equal",
    groups: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> Mixture:
    """Fits a way to mix M members, and the temperature of the mixture, on N faces.

    Args:
        log_probs: (N, M, K), the members' calibrated log-probabilities.
        class_ids: (N,) true classes in 0..K-1.
        method: ``equal``, ``weighted`` (the convex weights of least negative log-likelihood),
            ``greedy`` (Caruana et al. 2004) or ``stacking`` (Wolpert 1992).
        groups: (N,) faces that stay together in the folds that choose stacking's penalty.
        seed: Seed of those folds.

    Raises:
        ConfigError: If the method is unknown.
        DataError: If the shapes do not fit, or the faces show one class only.
        MissingExtraError: If stacking lacks scikit-learn.
    """
    if method not in METHODS:
        raise ConfigError(f"no ensemble method {method!r}." + suggest(method, METHODS))
    if log_probs.ndim != 3 or len(log_probs) != len(class_ids) or len(np.unique(class_ids)) < 2:
        raise DataError(
            "an ensemble is fitted on log-probabilities (N, M, K) of N faces of two classes or "
            f"more; got {log_probs.shape} and {len(class_ids)} faces of "
            f"{len(np.unique(class_ids))} class(es)."
        )
    if method == "stacking":
        mixture = fit_stacking(log_probs, class_ids, groups=groups, seed=seed)
    else:
        true = np.exp(log_probs[np.arange(len(class_ids)), :, class_ids].astype(np.float64))
        M = log_probs.shape[1]
        if method == "weighted":
            weights = fit_weights(np.maximum(true, 1e-12))
        elif method == "greedy":
            weights = select_greedily(np.exp(log_probs.astype(np.float64)), class_ids)
        else:
            weights = np.full(M, 1.0 / M)
        mixture = Mixture(method, weights)
    temperature = fit_temperature(mixture.logits(log_probs), class_ids)
    return Mixture(method, mixture.weights, temperature, mixture.coefficients, mixture.intercept)


def fit_weights(
    true_probs: NDArray[np.float64], *, tolerance: float = 1e-6, steps: int = 20_000
) -> NDArray[np.float64]:
    """Returns the convex weights (M,) that minimise the negative log-likelihood.

    The problem is convex. Expectation-maximisation for the shares of a mixture (Dempster, Laird
    and Rubin 1977) multiplies each weight by the mean of p_i / mix, which never raises the loss
    and keeps the sum 1. Where the largest of these factors is 1 + g, the loss lies at most g above
    the least one: that bound ends the search.

    Args:
        true_probs: (N, M), above 0: what each member gives the true class.
        tolerance: Largest g, in nats per face.
        steps: Most steps.

    >>> fit_weights(np.array([[0.9, 0.1], [0.8, 0.3]])).round(3).tolist()
    [1.0, 0.0]
    """
    M = true_probs.shape[1]
    weights = np.full(M, 1.0 / M)
    for _ in range(steps):
        factors = (true_probs / (true_probs @ weights)[:, None]).mean(axis=0)
        if factors.max() - 1.0 <= tolerance:
            break
        weights = weights * factors
    weights[weights < MIN_WEIGHT] = 0.0
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def select_greedily(
    probs: NDArray[np.float64], class_ids: NDArray[np.int64], *, rounds: int = GREEDY_ROUNDS
) -> NDArray[np.float64]:
    """Returns weights (M,) of greedy selection with replacement (Caruana et al. 2004).

    Each round adds the member with which the mean probabilities are right most often; ties go to
    the lower negative log-likelihood. The best round's counts become weights.

    Args:
        probs: (N, M, K).
        class_ids: (N,) true classes.
        rounds: Members drawn.
    """
    N, M, _ = probs.shape
    rows, counts, total = np.arange(N), np.zeros(M), np.zeros(probs[:, 0].shape)
    best, best_counts = (-1.0, -np.inf), counts
    for drawn in range(1, rounds + 1):
        scores = []
        for member in range(M):
            mixed = (total + probs[:, member]) / drawn
            hits = float((mixed.argmax(axis=1) == class_ids).mean())
            scores.append((hits, float(np.log(np.maximum(mixed[rows, class_ids], 1e-12)).mean())))
        chosen = max(range(M), key=lambda member: scores[member])
        total, counts = total + probs[:, chosen], counts + np.eye(M)[chosen]
        if scores[chosen] > best:
            best, best_counts = scores[chosen], counts
    shares: NDArray[np.float64] = best_counts / best_counts.sum()
    return shares


def cross_fitted_probs(
    log_probs: NDArray[np.floating],
    class_ids: NDArray[np.int64],
    *,
    method: str,
    groups: NDArray[np.str_] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Returns probabilities (N, K) of each face by a mixture that was fitted without its fold.

    Args:
        log_probs: (N, M, K), the members' log-probabilities.
        class_ids: (N,) true classes.
        method: See :func:`mien.ensembles.fit_mixture`.
        groups: (N,) faces that stay together.
        folds: Number of folds.
        seed: Seed of the folds.

    Raises:
        ConfigError: If an argument is impossible.
        DataError: If there are too few faces.
    """
    dealt = grouped_folds(class_ids, groups, folds=folds, seed=seed)
    probs = np.zeros((len(class_ids), log_probs.shape[2]))
    for fold in range(folds):
        inside, held = dealt != fold, dealt == fold
        mixture = fit_mixture(
            log_probs[inside], class_ids[inside], method=method, seed=seed,
            groups=None if groups is None else groups[inside],
        )  # fmt: skip
        probs[held] = mixture.probs(log_probs[held])
    return probs
