"""From logits to an :class:`Evaluation`. Needs numpy only; pictures and pages come elsewhere."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.atomic import replacing, write_text
from mien.errors import DataError
from mien.hub import CARD, write_config
from mien.hub.card import model_card
from mien.labels import SCHEMAS, map_probs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data import Manifest
    from mien.evaluation.robustness import RobustnessRow
    from mien.hub import ModelConfig, ModelFolder
    from mien.recognizer import EmotionRecognizer

#: Faces that are decoded and classified at once: bounds memory on datasets of any size.
CHUNK = 2048
ECE_BINS = 15


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a model does on N labelled faces.

    Args:
        model: Name of the model.
        data: The dataset's spec.
        split: The split scored.
        labels: K labels in the order of the columns of ``probs``.
        keys: N names of pictures.
        class_ids: int64 (N,), the true classes.
        targets: float32 (N, K), the true distributions.
        probs: float64 (N, K), the predicted ones.
        leaked: bool (N,), True where a byte-identical copy of the picture stands in train.
    """

    model: str
    data: str
    split: str
    labels: tuple[str, ...]
    keys: tuple[str, ...]
    class_ids: NDArray[np.int64]
    targets: NDArray[np.float32]
    probs: NDArray[np.float64]
    leaked: NDArray[np.bool_]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 (N,), the most probable class of each face."""
        best: NDArray[np.int64] = self.probs.argmax(axis=1)
        return best

    def scores(self, mask: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Returns the headline numbers of all faces, or of those under a mask (N,).

        ``nll`` is the cross-entropy against the targets (the raters' votes where there are any),
        ``nll_labels`` that against the class; both in nats a face.
        """
        keep = np.ones(len(self.class_ids), bool) if mask is None else mask
        true, probs, predicted = self.class_ids[keep], self.probs[keep], self.predicted[keep]
        hits = int((true == predicted).sum())
        return {
            "accuracy": hits / len(true),
            "accuracy_ci": list(metrics.wilson_interval(hits, len(true))),
            "n": len(true),
            "macro_f1": metrics.macro_f1(true, predicted, len(self.labels)),
            "balanced_accuracy": metrics.balanced_accuracy(true, predicted, len(self.labels)),
            "ece": metrics.expected_calibration_error(probs, true, bins=ECE_BINS),
            "nll": metrics.cross_entropy(probs, self.targets[keep]),
            "nll_labels": metrics.negative_log_likelihood(probs, true),
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain JSON types."""
        confusion = metrics.confusion_matrix(self.class_ids, self.predicted, len(self.labels))
        by_class = metrics.per_class(confusion)
        clean = ~self.leaked
        return {
            **self.scores(),
            "per_class": {
                label: {
                    "precision": float(by_class.precision[index]),
                    "recall": float(by_class.recall[index]),
                    "f1": float(by_class.f1[index]),
                    "support": int(by_class.support[index]),
                    "recall_ci": _interval(confusion, index),
                }
                for index, label in enumerate(self.labels)
            },
            "confusion": {"labels": list(self.labels), "counts": confusion.tolist()},
            "deduplicated": self.scores(clean) if clean.any() and not clean.all() else None,
            "model": self.model,
            "data": self.data,
            "split": self.split,
        }

    def predictions_csv(self) -> str:
        """Returns one row a face: key, true label, predicted label, probabilities."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["key", "label", "predicted", "confidence", "leaked", *(f"p_{x}" for x in self.labels)]
        )
        for key, true, predicted, leaked, probs in zip(
            self.keys, self.class_ids, self.predicted, self.leaked, self.probs, strict=True
        ):
            writer.writerow(
                [key, self.labels[true], self.labels[predicted], f"{probs[predicted]:.6f}",
                 int(leaked), *(f"{value:.6f}" for value in probs)]
            )  # fmt: skip
        return text.getvalue()


def _interval(confusion: NDArray[np.int64], index: int) -> list[float] | None:
    support = int(confusion[index].sum())
    if not support:
        return None
    return list(metrics.wilson_interval(int(confusion[index, index]), support))


def evaluate_logits(
    logits: NDArray[np.float32], config: ModelConfig, manifest: Manifest, *, split: str
) -> Evaluation:
    """Scores logits (N, K) of the N faces of a manifest that all have a label.

    Probabilities are mapped to the manifest's schema where that is not the model's.

    Raises:
        DataError: If a face has no label, or numbers do not match.
        ConfigError: If the two schemas have no label in common.
    """
    if len(logits) != len(manifest) or (manifest.class_ids < 0).any():
        raise DataError(
            f"evaluation needs one row of logits for each of {len(manifest)} labelled faces; got "
            f"{len(logits)} rows, {int((manifest.class_ids < 0).sum())} faces without a label."
        )
    probs = metrics.softmax(logits, temperature=config.temperature)
    return Evaluation(
        model=config.name,
        data=manifest.source,
        split=split,
        labels=manifest.schema.labels,
        keys=tuple(manifest.images.key(index) for index in range(len(manifest))),
        class_ids=manifest.class_ids,
        targets=manifest.targets,
        probs=map_probs(probs, config.schema, manifest.schema),
        leaked=manifest.leaked,
    )


def evaluate(
    recognizer: EmotionRecognizer,
    manifest: Manifest,
    *,
    split: str = "valid",
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Runs a model over one split of ready faces (no detection) and scores it.

    Faces without a majority label are left out.

    Args:
        recognizer: The model; its own temperature is used.
        manifest: The dataset.
        split: The split to score.
        progress: Called with the number of faces just finished.

    Raises:
        DataError: If the split is missing or has no labelled face, or a picture is unreadable.
        ConfigError: If model and dataset have no label in common.
    """
    from mien.data.faces import load_faces

    part = manifest.split(split).with_labels()
    logits = []
    for start in range(0, len(part), CHUNK):
        chunk = part.select(np.arange(start, min(start + CHUNK, len(part))))
        faces = load_faces(chunk, recognizer.config.preprocessing)
        logits.append(recognizer.pipeline.logits(faces))
        if progress:
            progress(len(chunk))
    return evaluate_logits(np.concatenate(logits), recognizer.config, part, split=split)


def record_evaluation(
    folder: ModelFolder,
    evaluation: Evaluation,
    data: str,
    *,
    robustness: Sequence[RobustnessRow] = (),
    picture: Callable[[Path], object] | None = None,
) -> ModelFolder:
    """Writes an evaluation into its model folder: ``eval/<name>.json``, config and card.

    The name is the split, or ``<split>-<schema>`` where the data has other labels than the model.

    Args:
        folder: The model that was evaluated.
        evaluation: Its evaluation.
        data: Name of the dataset, to stand in place of its path.
        robustness: Rows of spoiled faces, to stand in the report and in the card.
        picture: Draws how calibrated the model is to the path that it is given, a PNG.
    """
    name, own = evaluation.split, folder.config.schema.labels
    if evaluation.labels != own:
        known = (s.name for s in SCHEMAS.values() if s.labels == evaluation.labels)
        name += f"-{next(known, 'other')}"
    (folder.path / "eval").mkdir(exist_ok=True)
    report = {**evaluation.to_dict(), "data": data}
    if robustness:
        report["robustness"] = [row.to_dict() for row in robustness]
    write_text(folder.path / "eval" / f"{name}.json", json.dumps(report, indent=2) + "\n")
    if picture:
        with replacing(folder.path / "eval" / f"{name}.png") as temporary:
            picture(temporary)
    else:  # that of an earlier evaluation would tell of other numbers
        (folder.path / "eval" / f"{name}.png").unlink(missing_ok=True)
    scores = {**evaluation.scores(), "data": data}
    config = replace(folder.config, metrics={**folder.config.metrics, name: scores})
    folder = write_config(folder.path, config)
    write_text(folder.path / CARD, model_card(folder))
    return folder
