"""What an evaluation found: confusions, the raters' agreement, faces worth a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien import metrics
from mien.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.evaluation.scores import Evaluation


@dataclass(frozen=True)
class Confusion:
    """One class taken for another.

    Args:
        true: The raters' label.
        predicted: The model's label.
        count: Faces.
        share: Of the faces of the true class.
    """

    true: str
    predicted: str
    count: int
    share: float

    def __str__(self) -> str:
        cases = (
            f"{self.share * 100:.0f} % of cases" if self.share >= 0.005 else "under 1 % of cases"
        )
        faces = "face" if self.count == 1 else "faces"
        return f"{self.true} is called {self.predicted} in {cases} ({self.count} {faces})"


def biggest_confusions(
    counts: NDArray[np.int64], labels: tuple[str, ...], *, limit: int = 8
) -> list[Confusion]:
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

    Args:
        ceiling: Expected share of faces on which one rater, drawn from the votes, agrees with the
            majority: what a person reaches in the model's place.
        model: Expected share on which one rater agrees with the model.
        accuracy: Share on which the model agrees with the majority.
        cross_entropy: Of the model against the votes, in nats.
        entropy: Of the votes themselves: no model can do better.
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


def pick_faces(evaluation: Evaluation, which: str, limit: int = 24) -> NDArray[np.int64]:
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
