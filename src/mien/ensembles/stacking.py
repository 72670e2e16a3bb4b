"""Stacking: a multinomial logistic regression on the members' log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.split import grouped_folds
from mien.ensembles.mixture import FLOOR, Mixture
from mien.errors import MissingExtraError
from mien.metrics import negative_log_likelihood, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Inverse strengths of the penalty among which stacking chooses.
STACKING_C = (0.003, 0.03, 0.3)
#: Logit of a class that no face of the fit shows.
_UNSEEN = -20.0


def fit_stacking(
    log_probs: NDArray[np.floating],
    class_ids: NDArray[np.int64],
    *,
    groups: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> Mixture:
    """Fits the regression; three grouped folds choose the strength of its penalty.

    Args:
        log_probs: (N, M, K).
        class_ids: (N,) true classes.
        groups: (N,) faces that stay together.
        seed: Seed of the folds.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
    """
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


def _regress(
    features: NDArray[np.float64], class_ids: NDArray[np.int64], K: int, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns coefficients (K, F) and intercepts (K,), whichever classes occur."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("stacking", "eval", error.name) from error
    model: Any = LogisticRegression(C=strength, max_iter=2000).fit(features, class_ids)
    found, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        found, bias = np.vstack([0 * found, found]), np.concatenate([[0.0], bias])
    coefficients, intercept = np.zeros((K, features.shape[1])), np.full(K, _UNSEEN)
    coefficients[model.classes_], intercept[model.classes_] = found, bias
    return coefficients, intercept
