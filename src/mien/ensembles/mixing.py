"""How the answers of M members become one: votes, weights, or a model on top of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.split import grouped_folds
from mien.errors import ConfigError, DataError, needs_extra, suggest
from mien.metrics import fit_temperature, log_softmax, negative_log_likelihood, softmax

if TYPE_CHECKING:
    from mien.arrays import F64, I64, Floats, Texts

METHODS = ("equal", "weighted", "greedy", "stacking")
#: To stacking, log-probabilities below this count as this: one sure mistake shall not tip the fit.
FLOOR = -12.0
#: Members that weigh less are left out.
MIN_WEIGHT = 1e-3
#: Members that greedy selection draws at most, with replacement.
GREEDY_ROUNDS = 30
#: Inverse strengths of the penalty among which stacking chooses.
STACKING_C = (0.003, 0.03, 0.3)
#: Logit of a class that no face of the fit shows.
_UNSEEN = -20.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """What was learned about M members over K classes.

    Args:
        method: One of :data:`METHODS`.
        weights: float64 (M,), sum to 1; of stacking the members' shares of the coefficients.
        temperature: The logits are divided by it before softmax.
        coefficients: float64 (K, M * K) on log-probabilities, of stacking only.
        intercept: float64 (K,), of stacking only.
    """

    method: str
    weights: F64
    temperature: float = 1.0
    coefficients: F64 | None = None
    intercept: F64 | None = None

    def logits(self, log_probs: Floats) -> F64:
        """Returns logits (N, K) of the members' log-probabilities (N, M, K).

        A vote's logits are the logs of the mean probabilities, so that their softmax is the mean.

        >>> halves = np.log([[[0.5, 0.5], [0.9, 0.1]]])
        >>> np.exp(Mixture("equal", np.array([0.5, 0.5])).logits(halves)).round(3).tolist()
        [[0.7, 0.3]]
        """
        values = np.asarray(log_probs, dtype=np.float64)
        if self.coefficients is not None and self.intercept is not None:
            flat = np.maximum(values, FLOOR).reshape(len(values), -1)
            return flat @ self.coefficients.T + self.intercept
        used = self.weights > 0
        mixed: F64 = np.logaddexp.reduce(
            values[:, used] + np.log(self.weights[used])[:, None], axis=1
        )
        return mixed

    def probs(self, log_probs: Floats) -> F64:
        """Returns the ensemble's probabilities (N, K)."""
        return np.exp(log_softmax(self.logits(log_probs), temperature=self.temperature))


def fit_mixture(
    log_probs: Floats,
    class_ids: I64,
    *,
    method: str = "equal",
    groups: Texts | None = None,
    seed: int = 0,
) -> Mixture:
    """Fits a way to mix M members, and the temperature of the mixture, on N faces.

    Args:
        log_probs: (N, M, K), the members' calibrated log-probabilities.
        class_ids: (N,) true classes in 0..K-1.
        method: ``equal``, ``weighted`` (the convex weights of least negative log-likelihood),
            ``greedy`` (Caruana et al. 2004), ``stacking`` (Wolpert 1992), or weights by hand, one
            per member, as in ``"2,1,1"``.
        groups: (N,) faces that stay together in the folds that choose stacking's penalty.
        seed: Seed of those folds.

    Raises:
        ConfigError: If the method is unknown.
        DataError: If the shapes do not fit, or the faces show one class only.
        MissingExtraError: If stacking lacks scikit-learn.
    """
    by_hand = parse_weights(method, log_probs.shape[1] if log_probs.ndim == 3 else 0)
    if log_probs.ndim != 3 or len(log_probs) != len(class_ids) or len(np.unique(class_ids)) < 2:
        raise DataError(
            "an ensemble is fitted on log-probabilities (N, M, K) of N faces of two classes or "
            f"more; got {log_probs.shape} and {len(class_ids)} faces of "
            f"{len(np.unique(class_ids))} class(es)."
        )
    probs, M = np.exp(log_probs.astype(np.float64)), log_probs.shape[1]
    if by_hand is not None:
        mixture = Mixture(method, by_hand)
    elif method == "stacking":
        mixture = fit_stacking(log_probs, class_ids, groups=groups, seed=seed)
    elif method == "weighted":
        true = probs[np.arange(len(class_ids)), :, class_ids]
        mixture = Mixture(method, fit_weights(np.maximum(true, 1e-12)))
    elif method == "greedy":
        mixture = Mixture(method, select_greedily(probs, class_ids))
    else:
        mixture = Mixture(method, np.full(M, 1.0 / M))
    temperature = fit_temperature(mixture.logits(log_probs), class_ids)
    return replace(mixture, temperature=temperature)


def parse_weights(method: str, members: int) -> F64 | None:
    """Reads weights by hand, which are scaled to sum to 1; None: the method is one of the known.

    >>> parse_weights("3,1", 2).tolist(), parse_weights("greedy", 2)
    ([0.75, 0.25], None)
    """
    if method in METHODS:
        return None
    try:
        values = np.array([float(part) for part in method.split(",")])
    except ValueError:
        known = suggest(method, METHODS)
        reason = f"no ensemble method {method!r}.{known} Weights by hand are numbers, as in 2,1,1."
        raise ConfigError(reason) from None
    if len(values) != members or not np.isfinite(values).all() or (values < 0).any():
        raise ConfigError(
            f"weights {method} must be {members} numbers of 0 or more, one per member in the "
            "order in which they are given."
        )
    if not values.any():
        raise ConfigError(f"weights {method} are all 0: at least one member must count.")
    shares: F64 = values / values.sum()
    return shares


def fit_weights(true_probs: F64, *, tolerance: float = 1e-6, steps: int = 20_000) -> F64:
    """Returns the convex weights (M,) that minimise the negative log-likelihood.

    ``true_probs`` (N, M) is what each member gives the true class. The problem is convex.
    Expectation-maximisation for the shares of a mixture (Dempster, Laird and Rubin 1977) multiplies
    each weight by the mean of p_i / mix. Where the largest of these factors is 1 + g, the loss lies
    at most g nats per face above the least one: that bound ends the search.
    """
    M = true_probs.shape[1]
    weights = np.full(M, 1.0 / M)
    for _ in range(steps):
        factors = (true_probs / (true_probs @ weights)[:, None]).mean(axis=0)
        if factors.max() - 1.0 <= tolerance:
            break
        weights = weights * factors
    weights[weights < MIN_WEIGHT] = 0.0
    shares: F64 = weights / weights.sum()
    return shares


def select_greedily(probs: F64, class_ids: I64, *, rounds: int = GREEDY_ROUNDS) -> F64:
    """Returns weights (M,) of greedy selection with replacement (Caruana et al. 2004).

    Each round adds the member with which the mean of the probabilities (N, M, K) is right most
    often; ties go to the lower negative log-likelihood. The best round's counts become weights.
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
    shares: F64 = best_counts / best_counts.sum()
    return shares


def cross_fitted_probs(
    log_probs: Floats,
    class_ids: I64,
    *,
    method: str,
    groups: Texts | None = None,
    folds: int = 5,
    seed: int = 0,
) -> F64:
    """Returns probabilities (N, K) of each face by a mixture fitted without its fold and groups."""
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


def fit_stacking(
    log_probs: Floats, class_ids: I64, *, groups: Texts | None = None, seed: int = 0
) -> Mixture:
    """Fits a multinomial logistic regression on (N, M, K); 3 grouped folds choose its penalty."""
    N, M, K = log_probs.shape
    features = np.maximum(log_probs.astype(np.float64), FLOOR).reshape(N, M * K)
    folds = grouped_folds(class_ids, groups, folds=3, seed=seed)
    losses = []
    for strength in STACKING_C:
        probs = np.zeros((N, K))
        for fold in np.unique(folds):
            inside, held = folds != fold, folds == fold
            coefficients, intercept = _regress(features[inside], class_ids[inside], K, strength)
            probs[held] = softmax(features[held] @ coefficients.T + intercept)
        losses.append(negative_log_likelihood(probs, class_ids))
    best = STACKING_C[int(np.argmin(losses))]
    coefficients, intercept = _regress(features, class_ids, K, best)
    shares = np.abs(coefficients.reshape(K, M, K)).sum(axis=(0, 2))
    weights = shares / shares.sum() if shares.sum() > 0 else np.full(M, 1.0 / M)
    return Mixture("stacking", weights, 1.0, coefficients, intercept)


def _regress(features: F64, class_ids: I64, K: int, strength: float) -> tuple[F64, F64]:
    """Returns coefficients (K, F) and intercepts (K,), whichever classes occur."""
    with needs_extra("stacking", "eval"):
        from sklearn.linear_model import LogisticRegression
    model: Any = LogisticRegression(C=strength, max_iter=2000).fit(features, class_ids)
    found, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        found, bias = np.vstack([0 * found, found]), np.concatenate([[0.0], bias])
    coefficients, intercept = np.zeros((K, features.shape[1])), np.full(K, _UNSEEN)
    coefficients[model.classes_], intercept[model.classes_] = found, bias
    return coefficients, intercept
