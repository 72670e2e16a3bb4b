"""k-fold cross-validation: every face is scored once, by a network that knew nothing of it.

Test faces are left alone; train and valid are dealt out anew. Copies of a picture, pictures of one
person and of one clip lie in one fold. Of the faces outside a fold some are held back to choose
the epoch and the temperature, so that the fold itself chooses nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.atomic import replacing, write_text
from mien.errors import ConfigError, DataError
from mien.evaluation import evaluate
from mien.evaluation.scores import Evaluation
from mien.recognizer import EmotionRecognizer
from mien.training.fold_plan import FoldPlan, plan_folds, write_plan
from mien.training.run import check_parts, train

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.inspection.run import Bars
    from mien.training.config import TrainConfig

__all__ = ["HELD_OUT", "SCORES", "CrossValidation", "cross_validate"]

HELD_OUT = "held_out.npz"
_MODEL = "cross-validation"
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
        return {
            name: (float(np.mean(values)), float(np.std(values, ddof=1)))
            for name, values in columns.items()
        }

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
        }


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
    if not config.data:
        raise ConfigError("no dataset: give --data KIND:PATH, for example --data folder:faces.")
    check_parts(config)
    if not resume and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(
            "exists already",
            subject=output,
            hint="Type --resume to go on with it, or give another --output.",
        )
    plan = plan_folds(config, folds=folds, near=near, bars=bars)
    write_plan(plan, config, output, near=near)
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
    """Returns the evaluation of a fold that was trained.

    Raises:
        DataError: If its file is damaged.
    """
    faces = plan.held_out(fold)
    try:
        with np.load(folder / HELD_OUT, allow_pickle=False) as stored:
            probs = stored["probs"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"is damaged: delete {folder} and resume", subject=f"{folder / HELD_OUT}"
        ) from error
    return Evaluation.of(faces, probs, model=_MODEL, split=f"fold {fold + 1}")


def _join(plan: FoldPlan, evaluations: list[Evaluation]) -> Evaluation:
    """Returns all labelled faces in the order of the dataset, each scored by its fold."""
    labelled = plan.manifest.with_labels()
    fold_ids = plan.fold_ids[plan.manifest.class_ids >= 0]
    probs = np.zeros((len(labelled), len(labelled.schema)))
    for fold, evaluation in enumerate(evaluations):
        probs[fold_ids == fold] = evaluation.probs
    return Evaluation.of(labelled, probs, model=_MODEL, split=f"{plan.folds} folds")
