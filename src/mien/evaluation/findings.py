"""What an evaluation found: confusions, raters' agreement, telling faces, the better model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.arrays import I64
    from mien.evaluation.scores import Evaluation


@dataclass(frozen=True)
class Confusion:
    """One class taken for another: its faces, and their share of the true class."""

    true: str
    predicted: str
    count: int
    share: float

    def __str__(self) -> str:
        share = f"{self.share * 100:.0f} %" if self.share >= 0.005 else "under 1 %"
        faces = "face" if self.count == 1 else "faces"
        return f"{self.true} is called {self.predicted} in {share} of cases ({self.count} {faces})"


def biggest_confusions(counts: I64, labels: tuple[str, ...], *, limit: int = 8) -> list[Confusion]:
    """Returns the pairs of classes that are mixed up most, by their share of the true class.

    Args:
        counts: (K, K); rows are true classes, columns predicted ones.
        labels: K names.
        limit: How many pairs to return; those that never occur are left out.

    >>> found = biggest_confusions(np.array([[3, 1], [2, 2]]), ("joy", "fear"))
    >>> str(found[0])
    'fear is called joy in 50 % of cases (2 faces)'
    """
    support = counts.sum(axis=1)
    pairs = [
        Confusion(labels[i], labels[j], int(counts[i, j]), float(counts[i, j] / support[i]))
        for i, j in np.argwhere(counts).tolist()
        if i != j
    ]
    return sorted(pairs, key=lambda pair: (-pair.share, -pair.count, pair.true))[:limit]


@dataclass(frozen=True)
class Raters:
    """How far a model and single raters agree with the majority of the raters.

    ``ceiling`` is the expected share of faces on which one rater, drawn from the votes, agrees with
    the majority, ``model`` the same against the model, ``accuracy`` the model's agreement with the
    majority. ``cross_entropy`` is the model's against the votes, in nats; none can be below the
    ``entropy`` of the votes themselves.
    """

    ceiling: float
    model: float
    accuracy: float
    cross_entropy: float
    entropy: float


def rater_agreement(evaluation: Evaluation) -> Raters | None:
    """Compares a model with the raters' votes; None where the targets are plain labels.

    >>> from mien.evaluation import Evaluation
    >>> evaluation = Evaluation(
    ...     "m", "d", "valid", ("a", "b"), ("1", "2"), np.array([0, 1]),
    ...     np.float32([[0.75, 0.25], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.8, 0.2]]),
    ...     np.array([False, False]),
    ... )
    >>> raters = rater_agreement(evaluation)
    >>> raters.ceiling, raters.model, raters.accuracy
    (0.625, 0.625, 0.5)
    """
    targets = evaluation.targets.astype(np.float64)
    if (targets.max(axis=1) > 1 - 1e-6).all():
        return None
    rows = np.arange(len(targets))
    logs = np.log(np.where(targets > 0, targets, 1.0))
    return Raters(
        ceiling=float(targets[rows, evaluation.class_ids].mean()),
        model=float(targets[rows, evaluation.predicted].mean()),
        accuracy=metrics.accuracy(evaluation.class_ids, evaluation.predicted),
        cross_entropy=metrics.cross_entropy(evaluation.probs, evaluation.targets),
        entropy=float(-(targets * logs).sum(axis=1).mean()),
    )


def pick_faces(evaluation: Evaluation, which: str, limit: int = 24) -> I64:
    """Returns positions of the faces that tell most about a model, the most telling first.

    Args:
        evaluation: N faces.
        which: ``"mistakes"``: wrong, the most confident first. ``"hardest"``: the lowest
            probability of the true class first. ``"easiest"``: the most confident right face of
            each class in turn.
        limit: How many at most.

    Raises:
        ConfigError: If ``which`` is another word.
    """
    confidence, right = evaluation.probs.max(axis=1), evaluation.predicted == evaluation.class_ids
    if which == "mistakes":
        wrong = np.flatnonzero(~right)
        return wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    if which == "hardest":
        truth = evaluation.probs[np.arange(len(right)), evaluation.class_ids]
        return np.argsort(truth, kind="stable")[:limit]
    if which != "easiest":
        raise ConfigError(f"which must be mistakes, hardest or easiest; got {which!r}")
    ranked: list[tuple[int, float, int]] = []
    for class_id in range(len(evaluation.labels)):
        inside = np.flatnonzero(right & (evaluation.class_ids == class_id))
        order = inside[np.argsort(-confidence[inside], kind="stable")]
        ranked += [(rank, -confidence[face], int(face)) for rank, face in enumerate(order[:limit])]
    return np.array([face for _, _, face in sorted(ranked)[:limit]], np.int64)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same N faces, for McNemar's test (1947).

    Args:
        both: Faces on which both are right.
        first_only: Only the first is.
        second_only: Only the second is.
        neither: Neither is.
    """

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        """Number of faces."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first."""
        return (self.second_only - self.first_only) / self.n

    @property
    def difference_ci(self) -> tuple[float, float]:
        """95 % interval of the difference for paired faces (Wald)."""
        b, c, n = self.first_only, self.second_only, self.n
        spread = 1.959964 * max(b + c - (b - c) ** 2 / n, 0.0) ** 0.5 / n
        return self.difference - spread, self.difference + spread

    @property
    def p_value(self) -> float:
        """Exact two-sided p-value of McNemar's test: are both equally often right?"""
        fewer, n = min(self.first_only, self.second_only), self.first_only + self.second_only
        tail = sum(comb(n, k) for k in range(fewer + 1))
        p: float = min(1.0, 2 * tail / 2**n)
        return p

    def sentence(self, first: str, second: str) -> str:
        """Returns the result in words, for models of these names."""
        low, high = self.difference_ci
        verdict = "a difference beyond chance" if self.p_value < 0.05 else "may well be chance"
        return (
            f"A is {first}, B is {second}. Both are right on {self.both} faces and wrong on "
            f"{self.neither}; only A is right on {self.first_only}, only B on {self.second_only}. "
            f"B minus A: {self.difference * 100:+.2f} points (95 %: {low * 100:+.2f} to "
            f"{high * 100:+.2f}), McNemar's exact p = {self.p_value:.2g}: {verdict}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        ci = list(self.difference_ci)
        found = {"difference": self.difference, "difference_ci": ci, "mcnemar_p": self.p_value}
        return asdict(self) | found


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Counts on which faces two models are right.

    Raises:
        ConfigError: If they were not evaluated on the same faces with the same labels.

    >>> Comparison(both=5, first_only=1, second_only=4, neither=0).p_value
    0.375
    """
    same = first.keys == second.keys and first.labels == second.labels
    if not same or not np.array_equal(first.class_ids, second.class_ids):
        raise ConfigError(
            "the two models were not evaluated on the same faces and labels",
            hint="Evaluate both on one split of one dataset, read with the same labels.",
        )
    one, two = first.predicted == first.class_ids, second.predicted == second.class_ids
    return Comparison(
        both=int((one & two).sum()),
        first_only=int((one & ~two).sum()),
        second_only=int((~one & two).sum()),
        neither=int((~one & ~two).sum()),
    )
