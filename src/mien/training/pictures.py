"""The pictures of a finished run: curves, confusion matrix, faces with answers, augmented faces.

The sheets show faces of the data: they stay in the run directory and are not pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.atomic import replacing
from mien.evaluation import pick_faces
from mien.evaluation.plots import plot_confusion
from mien.explanation.sheets import sheet
from mien.reporting.theme import LIGHT, save_figure
from mien.results.wording import percent
from mien.training.data.augment_sheet import augmentation_sheet
from mien.training.directory import METRICS, draw_curves

if TYPE_CHECKING:
    from pathlib import Path

    from mien.arrays import U8
    from mien.evaluation import Evaluation
    from mien.hub import ModelConfig
    from mien.training.config import TrainConfig
    from mien.training.run import TrainingData

#: What the run directory gets, in the order of reading.
PICTURES = ("curves.png", "confusion.png", "valid_faces.png", "augmented.png")
#: Faces on the sheet of answers: half of them mistakes, where there are so many.
_FACES = 24


def draw_pictures(
    output: Path,
    config: TrainConfig,
    model: ModelConfig,
    data: TrainingData,
    evaluation: Evaluation,
) -> None:
    """Draws :data:`PICTURES` into a run directory; the model is the trained one."""
    curves, confusion, answers, augmented = (output / name for name in PICTURES)
    if (output / METRICS).is_file():
        draw_curves(output / METRICS, curves, config.monitor, model.name)
    title = f"{model.name}, {len(evaluation.class_ids)} valid faces, % of each true class"
    save_figure(plot_confusion(evaluation, LIGHT, normalised=True, title=title), confusion)
    faces = data.valid_faces.faces.permute(0, 2, 3, 1).numpy()
    _save(answer_sheet(evaluation, faces), answers)
    _save(augmentation_sheet(config, data.train, model.preprocessing), augmented)


def answer_sheet(evaluation: Evaluation, faces: U8, *, count: int = _FACES) -> U8:
    """Draws evaluated faces with what they are and what the model reads.

    Args:
        evaluation: Of N faces.
        faces: uint8 (N, S, S, C).
        count: How many at most: half of them mistakes, the most confident first, then right ones
            of each class in turn.

    Returns:
        uint8 (H, W, 3).
    """
    right = pick_faces(evaluation, "easiest", count)
    wrong = pick_faces(evaluation, "mistakes", max(count // 2, count - len(right)))
    tiles, captions = [], []
    for at in [*wrong, *right[: count - len(wrong)]]:
        tiles.append(faces[at, :, :, 0] if faces.shape[-1] == 1 else faces[at])
        answer, true = evaluation.predicted[at], evaluation.class_ids[at]
        said = "right" if answer == true else f"as {evaluation.labels[answer]}"
        prob = percent(float(evaluation.probs[at].max()))
        captions.append(f"is {evaluation.labels[true]}\nread {said}\n{prob}")
    accuracy = np.mean(evaluation.predicted == evaluation.class_ids)
    title = f"{len(wrong)} mistakes, then faces read right ({accuracy:.0%} of all are)"
    return sheet(tiles, captions, columns=4, title=title)


def _save(picture: U8, path: Path) -> None:
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary)
