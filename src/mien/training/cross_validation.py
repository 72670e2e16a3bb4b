"""k-fold cross-validation: every face is scored once, by a network that knew nothing of it.

Test faces are left alone; train and valid are dealt out anew. Copies of a picture, pictures of one
person and of one clip lie in one fold. Of the faces outside a fold some are held back to choose
the epoch and the temperature, so that the fold itself chooses nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.atomic import replacing, write_text
from mien.data import Manifest, read_manifest
from mien.data.faces import keep_readable
from mien.data.inspection.run import Bars, compare_pictures, picture_groups, silent
from mien.data.split import grouped_folds, stratified_group_split
from mien.errors import ConfigError, DataError
from mien.evaluation import evaluate
from mien.evaluation.scores import Evaluation
from mien.locks import locked
from mien.recognizer import EmotionRecognizer
from mien.training.config import TrainConfig, check_data
from mien.training.directory import csv_text, fixed_values, is_used
from mien.training.run import check_parts, train

if TYPE_CHECKING:
    from pathlib import Path

    from mien.arrays import I64


__all__ = ["HELD_OUT", "SCORES", "CrossValidation", "cross_validate"]

HELD_OUT = "held_out.npz"
PLAN = "folds.json"
_MODEL = "cross-validation"
#: Share of the faces outside a fold that choose the epoch and the temperature.
_CHOOSING = 0.1
#: What is averaged over the folds.
SCORES = ("accuracy", "macro_f1", "balanced_accuracy", "ece", "nll")


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What the folds say together.

    Args:
        folds: The evaluation of each fold's faces.
        pooled: All faces, each scored by the network that did not know it.
        output: The folder.
    """

    folds: tuple[Evaluation, ...]
    pooled: Evaluation
    output: Path

    def spread(self) -> dict[str, tuple[float, float]]:
        """Returns mean and standard deviation of each score over the folds."""
        rows = [evaluation.scores() for evaluation in self.folds]
        columns = {name: [float(row[name]) for row in rows] for name in SCORES}
        return {n: (float(np.mean(v)), float(np.std(v, ddof=1))) for n, v in columns.items()}

    def scores(self) -> dict[str, Any]:
        """Returns the scores of all faces together; ``macro_f1_ci`` is a bootstrap interval."""
        interval = self.pooled.interval(metrics.macro_f1)
        return {**self.pooled.scores(), "macro_f1_ci": list(interval)}

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        spread = self.spread().items()
        return {
            "out_of_fold": self.scores(),
            "mean": {name: mean for name, (mean, _) in spread},
            "standard_deviation": {name: deviation for name, (_, deviation) in spread},
            "folds": [evaluation.scores() for evaluation in self.folds],
            "per_class": self.pooled.to_dict()["per_class"],
            **({"sources": found} if (found := self.pooled.by_source().get("sources")) else {}),
        }


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """The N faces of train and valid, dealt out to folds: ``fold_ids`` (N,) in 0..folds-1."""

    manifest: Manifest
    fold_ids: I64
    folds: int

    def held_out(self, fold: int) -> Manifest:
        """Returns the labelled faces of a fold: those that it scores."""
        return self.manifest.select(self.fold_ids == fold).with_labels()

    def splits_of(self, fold: int, seed: int) -> Manifest:
        """Returns all faces with the fold as test, and the others as train and valid."""
        outside = self.fold_ids != fold
        splits = np.full(len(self.manifest), "test", dtype="U5")
        groups = self.manifest.groups
        splits[outside] = stratified_group_split(
            self.manifest.class_ids[outside],
            None if groups is None else groups[outside],
            {"train": 1 - _CHOOSING, "valid": _CHOOSING},
            seed,
        )
        return replace(self.manifest, splits=splits)


def cross_validate(
    config: TrainConfig,
    output: Path,
    *,
    folds: int = 5,
    near: float = 0.95,
    resume: bool = False,
    progress: bool = True,
    bars: Bars | None = None,
) -> CrossValidation:
    """Trains a network for each fold and scores the fold with it.

    Args:
        config: The recipe.
        output: Gets ``fold_1``, ``fold_2`` ... (model folders each), ``folds.csv``,
            ``predictions.csv`` and ``cross_validation.json``.
        folds: Number of folds, 2 or more.
        near: Least correlation of near copies, which stay together.
        resume: Go on: finished folds are not repeated, the one begun goes on from its last epoch.
        progress: Show a bar (or a line an epoch where stderr is no terminal) for each training.
        bars: Makes a progress bar of a title and a number of steps.

    Raises:
        ConfigError: If recipe or folds are impossible, or the folder is in use.
        DataError: If the dataset is unfit.
        ModelError: If the starting weights are, or the disk is full.
        KeyboardInterrupt: If it was stopped by hand; ``resume`` goes on.
    """
    check_data(config)
    check_parts(config)
    if not resume and is_used(output):
        hint = "Type --resume to go on with it, or give another --output."
        raise ConfigError("exists already", subject=output, hint=hint)
    plan = plan_folds(config, folds=folds, near=near, bars=bars)
    with locked(output, "cross-validation"):
        _write_plan(plan, config, output, near=near)
        evaluations = []
        for fold in range(folds):
            folder = output / f"fold_{fold + 1}"
            if not (folder / HELD_OUT).is_file():
                _train_fold(config, plan, fold, folder, progress=progress)
            evaluations.append(_read_fold(plan, fold, folder))
        result = CrossValidation(tuple(evaluations), _join(plan, evaluations), output)
        write_text(output / "predictions.csv", result.pooled.predictions_csv())
        text = json.dumps(result.to_dict(), indent=2) + "\n"
        write_text(output / "cross_validation.json", text)
        return result


def plan_folds(
    config: TrainConfig, *, folds: int, near: float = 0.95, bars: Bars | None = None
) -> FoldPlan:
    """Deals the train and valid faces of a recipe's dataset out to folds, classes balanced.

    The arguments are those of :func:`cross_validate`; the recipe's seed decides the deal.
    """
    whole = read_manifest(
        config.data, labels=config.labels or None, valid_share=0.0, seed=config.seed
    )
    kept = whole.select(whole.splits != "test")
    workers = os.cpu_count() or 1
    scan, copies = compare_pictures(kept, near=near, workers=workers, bars=bars or silent)
    groups = np.array([f"group{root:07}" for root in picture_groups(kept, copies).tolist()])
    readable = keep_readable(kept, scan.damaged(kept))
    kept, groups = kept.select(readable), groups[readable]
    count = len(kept)
    manifest = replace(
        kept, splits=np.full(count, "train"), groups=groups, leaked=np.zeros(count, np.bool_)
    )
    dealt = grouped_folds(kept.class_ids, groups, folds=folds, seed=config.seed)
    return FoldPlan(manifest, dealt, folds)


def _write_plan(plan: FoldPlan, config: TrainConfig, output: Path, *, near: float) -> None:
    """Writes which face lies in which fold, or checks that it is what was begun with."""
    faces, path = plan.manifest, output / PLAN
    recipe = fixed_values(config)
    now = {"folds": plan.folds, "near": near, "faces": faces.fingerprint(), "recipe": recipe}
    now = json.loads(json.dumps(now))  # as it will be read: a list of datasets is a list there
    if path.is_file():
        then = json.loads(path.read_text(encoding="utf-8"))
        if then != now:
            differing = [key for key in now if then.get(key) != now[key]]
            raise ConfigError(
                f"was started with other values ({', '.join(differing)}): go on with the same "
                "ones, or give another --output",
                subject=output,
            )
        return
    if is_used(output):
        raise ConfigError("holds no cross-validation: give another --output", subject=output)
    output.mkdir(parents=True, exist_ok=True)
    labels = [*faces.schema.labels, ""]  # the last is that of -1: none
    groups = [""] * len(faces) if faces.groups is None else faces.groups
    keys = map(faces.images.key, range(len(faces)))
    dealt = zip(keys, faces.class_ids, groups, plan.fold_ids, strict=True)
    rows = [[key, labels[class_id], group, fold + 1] for key, class_id, group, fold in dealt]
    write_text(path, json.dumps(now, indent=2) + "\n")
    write_text(output / "folds.csv", csv_text(["key", "label", "group", "fold"], rows))


def _train_fold(
    config: TrainConfig, plan: FoldPlan, fold: int, folder: Path, *, progress: bool
) -> None:
    """Trains without a fold and keeps what the network says of it."""
    manifest = plan.splits_of(fold, config.seed)
    run = train(config, folder, resume=True, progress=progress, manifest=manifest)
    recognizer = EmotionRecognizer(run.path, detector="none")
    scored = evaluate(recognizer, manifest, split="test")
    with replacing(folder / HELD_OUT) as temporary:
        np.savez(temporary, probs=scored.probs)


def _read_fold(plan: FoldPlan, fold: int, folder: Path) -> Evaluation:
    """Returns the evaluation of a fold that was trained."""
    faces = plan.held_out(fold)
    try:
        with np.load(folder / HELD_OUT, allow_pickle=False) as stored:
            probs = stored["probs"]
    except (OSError, ValueError, KeyError) as error:
        reason = f"is damaged: delete {folder} and resume"
        raise DataError(reason, subject=folder / HELD_OUT) from error
    return Evaluation.of(faces, probs, model=_MODEL, split=f"fold {fold + 1}")


def _join(plan: FoldPlan, evaluations: list[Evaluation]) -> Evaluation:
    """Returns all labelled faces in the order of the dataset, each scored by its fold."""
    labelled = plan.manifest.with_labels()
    fold_ids = plan.fold_ids[plan.manifest.class_ids >= 0]
    probs = np.zeros((len(labelled), len(labelled.schema)))
    for fold, evaluation in enumerate(evaluations):
        probs[fold_ids == fold] = evaluation.probs
    return Evaluation.of(labelled, probs, model=_MODEL, split=f"{plan.folds} folds")
