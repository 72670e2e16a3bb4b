"""Prediction sets of a model: fitted on labelled faces, and checked on halves held out."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import naming_unwritable
from mien.conformal import COVERAGE, ConformalThresholds, fit_conformal
from mien.data.split import grouped_folds
from mien.errors import FAULT, DataError
from mien.hub.card import write_config_and_card
from mien.hub.folder import refuse_bundled
from mien.metrics import fit_temperature, softmax
from mien.priors import estimate_shares
from mien.quality import QualityBounds, face_quality, fit_quality
from mien.results import ErrorResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from mien.arrays import U8, Floats, Ints, Texts
    from mien.data import Manifest
    from mien.hub import ModelFolder
    from mien.images import ImageSource
    from mien.priors import ClassPrior
    from mien.recognizer import EmotionRecognizer

__all__ = [
    "ROUNDS", "CalibrationResult", "SetCheck", "calibrate", "check_sets", "prior_of_photos",
    "write_prior",
]  # fmt: skip

_LOG = logging.getLogger(__name__)
#: Times that the faces are halved, at random, to check the coverage.
ROUNDS = 20


@dataclass(frozen=True)
class SetCheck:
    """Prediction sets of faces that their thresholds were not fitted on; all numbers are shares.

    Args:
        coverage: Faces whose set holds the true label.
        single: Faces whose set is one label.
        empty: Faces whose set is empty.
        accuracy_single: Right answers among the faces whose set is one label.
        accuracy_others: Right answers among all other faces; None where there are none.
        by_label: Coverage by label; None where there is no face of it.
        by_quality: Coverage among the darkest, the flattest and the most blurred 10 % of the faces.
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
    """A calibrated model folder, what the check found, and pictures that could not be read."""

    folder: ModelFolder
    conformal: ConformalThresholds
    quality: QualityBounds
    faces_by_label: dict[str, int]
    check: SetCheck
    unreadable: tuple[str, ...] = ()


def cross_fit(
    logits: Floats,
    class_ids: Ints,
    groups: Texts | None = None,
    *,
    coverage: float = COVERAGE,
    folds: int = 5,
    seed: int = 0,
) -> tuple[float, ConformalThresholds]:
    """Fits temperature and prediction sets on the same faces without one flattering the other.

    The probabilities that the thresholds are fitted on are those of a temperature which was fitted
    without the face's fold (cross-conformal prediction, Vovk 2015). The temperature returned is
    fitted on all faces.
    """
    members = np.arange(len(class_ids)) if groups is None else groups
    folds = min(folds, len(np.unique(members)))
    probs = softmax(logits, temperature=fit_temperature(logits, class_ids))
    if folds > 1:
        ids = np.asarray(class_ids, dtype=np.int64)
        dealt = grouped_folds(ids, groups, folds=folds, seed=seed)
        for fold in range(folds):
            inside = dealt != fold
            if not inside.any():
                continue  # a few faces of several classes may all lie in one fold
            temperature = fit_temperature(logits[inside], class_ids[inside])
            probs[~inside] = softmax(logits[~inside], temperature=temperature)
    return fit_temperature(logits, class_ids), fit_conformal(probs, class_ids, coverage=coverage)


def check_sets(
    probs: Floats,
    class_ids: Ints,
    crops: U8,
    labels: tuple[str, ...],
    *,
    coverage: float = COVERAGE,
    rounds: int = ROUNDS,
) -> SetCheck:
    """Fits thresholds on a random half of the faces and counts on the other half, many times.

    Args:
        probs: (N, K), calibrated.
        class_ids: (N,).
        crops: uint8 (N, S, S, C).
        labels: The K labels.
        coverage: What the thresholds are fitted for.
        rounds: Number of halvings.

    Returns:
        Means over all rounds; every face counts as often as it was held out.

    Raises:
        DataError: If there are fewer than two faces.
    """
    n = len(class_ids)
    if n < 2:
        raise DataError(
            f"prediction sets cannot be checked on {n} labelled face(s)", hint="Give at least two."
        )
    random = np.random.default_rng(0)
    right = probs.argmax(axis=1) == class_ids
    #: How often each face was held out, covered by its set, alone in it, left without any label.
    seen, covered, single, empty = np.zeros((4, n))
    for _ in range(rounds):
        order = random.permutation(n)
        fitted_on, held_out = order[: n // 2], order[n // 2 :]
        fitted = fit_conformal(probs[fitted_on], class_ids[fitted_on], coverage=coverage)
        sets = fitted.prediction_sets(probs[held_out])
        seen[held_out] += 1
        covered[held_out] += sets[np.arange(len(held_out)), class_ids[held_out]]
        single[held_out] += sets.sum(axis=1) == 1
        empty[held_out] += sets.sum(axis=1) == 0

    def share(part: NDArray[Any], whole: NDArray[Any], faces: Any = 1) -> float | None:
        total = (whole * faces).sum()
        return float((part * faces).sum() / total) if total else None

    qualities = zip(("darkest", "flattest", "most blurred"), face_quality(crops), strict=True)
    worst = {name: values <= np.quantile(values, 0.1) for name, values in qualities}
    others = seen - single
    return SetCheck(
        coverage=share(covered, seen) or 0.0,
        single=share(single, seen) or 0.0,
        empty=share(empty, seen) or 0.0,
        accuracy_single=share(single * right, single) or 0.0,
        accuracy_others=share(others * right, others),
        by_label={name: share(covered, seen, class_ids == k) for k, name in enumerate(labels)},
        by_quality={name: share(covered, seen, faces) for name, faces in worst.items()},
    )


def calibrate(
    recognizer: EmotionRecognizer,
    manifest: Manifest,
    *,
    split: str = "valid",
    coverage: float = COVERAGE,
    progress: Callable[[int], None] | None = None,
) -> CalibrationResult:
    """Fits the prediction sets of a model folder on labelled faces, and writes them into it.

    Pictures that cannot be read are left out and counted in a warning; ``unreadable`` names them.

    Args:
        recognizer: The model; its temperature stays as it is.
        manifest: Faces in the labels of the model.
        split: Which of them; on faces that the model was trained on, sets come out too small.
        coverage: Share of the faces of each label whose set shall hold it.
        progress: Called with the number of faces just read.

    Raises:
        ConfigError: If ``coverage`` lies outside of 0 to 1, or the folder cannot be written.
        DataError: If the labels are not those of the model, or the split has too few faces.
    """
    from mien.data.faces import damaged_keys, load_readable

    config = recognizer.config
    part = manifest.split(split).with_labels()
    if part.schema.labels != config.schema.labels:
        raise DataError(
            f"has the labels {', '.join(part.schema.labels)}, but the model has "
            f"{', '.join(config.schema.labels)}",
            subject=part.source,
            hint=f"Read it with the labels of the model: --labels {config.schema.name}",
        )
    damaged: dict[int, DataError] = {}
    kept, crops = load_readable(part, config.preprocessing, progress=progress, damaged=damaged)
    unreadable, part = damaged_keys(part, damaged), kept
    probs = config.calibrated(recognizer.pipeline.logits(crops))
    labels = config.schema.labels
    check = check_sets(probs, part.class_ids, crops, labels, coverage=coverage)
    conformal = fit_conformal(probs, part.class_ids, coverage=coverage)
    quality = fit_quality(crops)
    folder = _write(recognizer.folder, conformal=conformal, quality=quality)
    counts = np.bincount(part.class_ids, minlength=len(labels)).tolist()
    faces = dict(zip(labels, counts, strict=True))
    return CalibrationResult(folder, conformal, quality, faces, check, unreadable)


def _write(folder: ModelFolder, **changes: Any) -> ModelFolder:
    refuse_bundled(folder.path)
    with naming_unwritable(folder.path):
        return write_config_and_card(folder.path, replace(folder.config, **changes))


def write_prior(folder: ModelFolder, prior: ClassPrior) -> ModelFolder:
    """Writes into a model folder which shares its answers hold, or are to be given for.

    Raises:
        ConfigError: If there is not one share for each label, or the folder cannot be written.
    """
    return _write(folder, prior=prior)


def prior_of_photos(recognizer: EmotionRecognizer, photos: Iterable[ImageSource]) -> ClassPrior:
    """Estimates how common each label is in photos without labels.

    Args:
        recognizer: The model; its folder says which shares its answers hold.
        photos: Pictures as for :meth:`mien.EmotionRecognizer.predict`; unreadable ones are left
            out and counted in a warning.

    Returns:
        The model's prior with these shares as :attr:`mien.priors.ClassPrior.own`.

    Raises:
        ConfigError: If the model does not say which shares its answers hold.
        DataError: If the photos have fewer than :data:`mien.priors.MIN_FACES` faces.
    """
    # Asked by name, so that a folder without shares is refused with what to do.
    plain, known = recognizer.variant(prior="natural"), recognizer.config.prior
    assert known is not None  # noqa: S101 - variant() refuses otherwise
    plain.pipeline = replace(
        plain.pipeline, prior=tuple(known.held.tolist()), schema=recognizer.config.schema
    )
    rows, lost, read = [], [], 0
    for result in plain.predict_many(photos):
        if isinstance(result, ErrorResult):
            lost.append(result)
            continue
        read += 1
        rows += [
            [face.probs[label] for label in recognizer.config.schema.labels]
            for face in result.faces
        ]
    if lost:
        count = f"{len(lost)} of {len(lost) + read} photos"
        _LOG.warning(
            "note: %s cannot be read and are left out; the first: %s", count, lost[0].error,
            extra={FAULT: f"{count} could not be read"},
        )  # fmt: skip
    probs = np.array(rows).reshape(-1, len(recognizer.config.schema))
    return replace(known, own=estimate_shares(probs, known.held))
