"""Prediction sets of a model: set on labelled faces, and checked on halves that were left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import naming_unwritable, write_text
from mien.conformal import COVERAGE, ConformalThresholds, fit_conformal
from mien.errors import DataError
from mien.hub import CARD, write_config
from mien.hub.card import model_card
from mien.metrics import softmax
from mien.quality import QualityBounds, face_quality, fit_quality

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.data import Manifest
    from mien.hub import ModelFolder
    from mien.recognizer import EmotionRecognizer

#: Times that the faces are halved, at random, to check what is promised.
ROUNDS = 20
_QUALITIES = ("darkest", "flattest", "most blurred")


@dataclass(frozen=True)
class SetCheck:
    """What prediction sets do on faces that their thresholds were not set on; all are shares.

    Args:
        coverage: Of the faces, those whose set holds the true label.
        single: Whose set is one label.
        empty: Whose set is empty.
        accuracy_single: Right answers among the former.
        accuracy_others: Right answers among all the rest.
        by_label: Coverage by label; ``None`` where there is no face of it.
        by_quality: Coverage among the darkest, flattest and most blurred tenth.
    """

    coverage: float
    single: float
    empty: float
    accuracy_single: float
    accuracy_others: float | None
    by_label: dict[str, float | None]
    by_quality: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class CalibrationResult:
    """A calibrated model folder, and what the check found."""

    folder: ModelFolder
    conformal: ConformalThresholds
    quality: QualityBounds
    faces_by_label: dict[str, int]
    check: SetCheck


def check_sets(
    probs: NDArray[np.floating[Any]],
    class_ids: NDArray[np.integer[Any]],
    crops: NDArray[np.uint8],
    labels: tuple[str, ...],
    *,
    coverage: float = COVERAGE,
    rounds: int = ROUNDS,
) -> SetCheck:
    """Sets thresholds on a random half of the faces and counts on the other, again and again.

    Args:
        probs: (N, K), calibrated.
        class_ids: (N,).
        crops: uint8 (N, S, S, C).
        labels: The K labels.
        coverage: What the thresholds are set for.
        rounds: How often.

    Returns:
        Means over all rounds; every face counts as often as it was left out.

    Raises:
        DataError: If there are fewer than two faces.
    """
    n = len(class_ids)
    if n < 2:
        raise DataError("labelled faces cannot be halved to check prediction sets", subject=n)
    random = np.random.default_rng(0)
    right = probs.argmax(axis=1) == class_ids
    left = np.zeros(n)
    held, alone, empty = np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(rounds):
        order = random.permutation(n)
        ours, theirs = order[: n // 2], order[n // 2 :]
        fitted = fit_conformal(probs[ours], class_ids[ours], coverage=coverage)
        sets = fitted.prediction_sets(probs[theirs])
        left[theirs] += 1
        held[theirs] += sets[np.arange(len(theirs)), class_ids[theirs]]
        alone[theirs] += sets.sum(axis=1) == 1
        empty[theirs] += sets.sum(axis=1) == 0

    def share(values: NDArray[np.float64], faces: NDArray[np.bool_] | None = None) -> float | None:
        weight = left if faces is None else left * faces
        part = values if faces is None else values * faces
        return float(part.sum() / weight.sum()) if weight.sum() else None

    tenths = [values <= np.quantile(values, 0.1) for values in face_quality(crops)]
    others = left - alone
    return SetCheck(
        coverage=share(held) or 0.0,
        single=share(alone) or 0.0,
        empty=share(empty) or 0.0,
        accuracy_single=float((alone * right).sum() / max(alone.sum(), 1)),
        accuracy_others=float((others * right).sum() / others.sum()) if others.sum() else None,
        by_label={name: share(held, class_ids == index) for index, name in enumerate(labels)},
        by_quality={
            name: share(held, tenth) for name, tenth in zip(_QUALITIES, tenths, strict=True)
        },
    )


def calibrate(
    recognizer: EmotionRecognizer,
    manifest: Manifest,
    *,
    split: str = "valid",
    coverage: float = COVERAGE,
    progress: Callable[[int], None] | None = None,
) -> CalibrationResult:
    """Sets the prediction sets of a model folder on labelled faces and writes them into its config.

    Args:
        recognizer: The model; its temperature stays as it is.
        manifest: Faces in the labels of the model.
        split: Which of them; faces that the model was trained on would promise too much.
        coverage: Share of the faces of each label whose set is to hold it.
        progress: Called with the number of faces just read.

    Raises:
        ConfigError: If ``coverage`` lies outside of 0 to 1, or the folder cannot be written.
        DataError: If the labels are others, or there are hardly any faces in the split.
    """
    from mien.data.faces import load_faces

    config = recognizer.config
    part = manifest.split(split).with_labels()
    if part.schema.labels != config.schema.labels:
        raise DataError(
            f"the model answers {', '.join(config.schema.labels)}; the data has "
            f"{', '.join(part.schema.labels)}: read it in the model's labels."
        )
    crops = load_faces(part, config.preprocessing, progress=progress)
    probs = softmax(recognizer.pipeline.logits(crops), temperature=config.temperature)
    labels = config.schema.labels
    check = check_sets(probs, part.class_ids, crops, labels, coverage=coverage)
    conformal = fit_conformal(probs, part.class_ids, coverage=coverage)
    quality = fit_quality(crops)
    place = recognizer.folder.path
    with naming_unwritable(place):
        folder = write_config(place, replace(config, conformal=conformal, quality=quality))
        write_text(place / CARD, model_card(folder))
    counts = np.bincount(part.class_ids, minlength=len(labels)).tolist()
    faces = dict(zip(labels, counts, strict=True))
    return CalibrationResult(folder, conformal, quality, faces, check)
