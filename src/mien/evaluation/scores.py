"""``evaluate``: a model and labelled faces become an :class:`Evaluation`. Needs numpy only."""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.atomic import replacing, write_text
from mien.data.faces import damaged_keys, keep_readable, load_chunks
from mien.errors import FAULT, ConfigError, DataError, suggest
from mien.hub.card import write_config_and_card
from mien.hub.folder import refuse_bundled
from mien.labels import SCHEMAS, map_probs, mapping_matrix, unknown_label
from mien.reporting.text import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from mien.arrays import F32, F64, I64, Bools, Texts
    from mien.data import Manifest
    from mien.evaluation.robustness import RobustnessRow
    from mien.hub import ModelConfig, ModelFolder
    from mien.labels import LabelSchema
    from mien.recognizer import EmotionRecognizer

ECE_BINS = 15
_LOG = logging.getLogger(__name__)


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
        sources: (N,) name of each face's dataset, or None where there is one.
        unreadable: Names of pictures that could not be read and were left out.
    """

    model: str
    data: str
    split: str
    labels: tuple[str, ...]
    keys: tuple[str, ...]
    class_ids: I64
    targets: F32
    probs: F64
    leaked: Bools
    sources: Texts | None = None
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, part: Manifest, probs: F64, *, model: str, split: str) -> Evaluation:
        """Returns the evaluation of the labelled faces of a manifest from their probabilities."""
        keys = tuple(part.images.key(index) for index in range(len(part)))
        return cls(
            model, part.source, split, part.schema.labels, keys, part.class_ids, part.targets,
            probs, part.leaked, part.sources,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Returns one line: the model, the data and the accuracy with its interval."""
        scores = self.scores()
        return (
            f"Evaluation({self.model} on {self.data}, {self.split}: accuracy "
            f"{percent(scores['accuracy'], scores['accuracy_ci'])}, {scores['n']} faces)"
        )

    @property
    def predicted(self) -> I64:
        """int64 (N,), the most probable class of each face."""
        best: I64 = self.probs.argmax(axis=1)
        return best

    @property
    def confusion(self) -> I64:
        """int64 (K, K), faces by true class (rows) and predicted class (columns)."""
        return metrics.confusion_matrix(self.class_ids, self.predicted, len(self.labels))

    def scores(self, mask: Bools | None = None) -> dict[str, Any]:
        """Returns the headline numbers of all faces, or of those under a mask (N,).

        ``nll`` is the cross-entropy against the targets (the raters' votes where there are any),
        ``nll_labels`` that against the class; both in nats per face.
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

    def by_source(self) -> dict[str, Any]:
        """Returns ``sources``, the scores of each of several datasets, and their ``mean``."""
        if self.sources is None:
            return {}
        names = dict.fromkeys(self.sources.tolist())
        each = {name: self.scores(self.sources == name) for name in names}
        shown = [key for key in next(iter(each.values())) if key not in ("n", "accuracy_ci")]
        means = {key: fmean(scores[key] for scores in each.values()) for key in shown}
        return {"sources": each, "mean": means}

    def interval(
        self, score: Callable[..., float], mask: Bools | None = None, *, resamples: int = 1000
    ) -> tuple[float, float]:
        """Returns the 95 % bootstrap interval of ``macro_f1`` or ``balanced_accuracy``."""
        arrays = self.class_ids, self.predicted
        kept = arrays if mask is None else tuple(array[mask] for array in arrays)
        score = partial(score, num_classes=len(self.labels))
        return metrics.bootstrap_interval(score, *kept, resamples=resamples)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain JSON types."""
        confusion, clean = self.confusion, ~self.leaked
        columns = vars(metrics.per_class(confusion))
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        classes = {
            label: dict(zip(columns, row, strict=True))
            for label, row in zip(self.labels, rows, strict=True)
        }
        for hits, row in zip(np.diag(confusion).tolist(), classes.values(), strict=True):
            n = row["support"]
            row["recall_ci"] = list(metrics.wilson_interval(hits, n)) if n else None
        return {
            **self.scores(),
            "per_class": classes,
            "confusion": {"labels": list(self.labels), "counts": confusion.tolist()},
            "deduplicated": self.scores(clean) if clean.any() and not clean.all() else None,
            "model": self.model,
            "data": self.data,
            "split": self.split,
            **self.by_source(),
            **({"unreadable": list(self.unreadable)} if self.unreadable else {}),
        }

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Returns the scores of each class as text: a header, and one row per class."""
        rows = [
            [label, str(m["support"]), percent(m["recall"], m["recall_ci"]),
             percent(m["precision"]), f"{m['f1']:.3f}"]
            for label, m in self.to_dict()["per_class"].items()
        ]  # fmt: skip
        return ["class", "faces", "recall (95 %)", "precision", "F1"], rows

    def plot(self, kind: str = "confusion") -> Figure:
        """Draws a diagram: what the report shows under that name (extra ``eval``).

        Args:
            kind: ``confusion``, ``confusion-counts``, ``classes``, ``roc``, ``precision-recall``,
                ``reliability`` or ``confidence``.

        Raises:
            ConfigError: If the kind is unknown.
            MissingExtraError: If matplotlib or scikit-learn is not installed.
        """
        from mien.evaluation.plots import PLOTS
        from mien.reporting.pages import check_reporting
        from mien.reporting.theme import LIGHT

        if kind not in PLOTS:
            raise ConfigError(f"there is no diagram {kind!r}", hint=suggest(kind, PLOTS))
        check_reporting("a diagram of an evaluation")
        return PLOTS[kind](self, LIGHT)

    def predictions_csv(self) -> str:
        """Returns one row per face: key, true label, predicted label, probabilities."""
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


def evaluate_logits(
    logits: F32, config: ModelConfig, manifest: Manifest, *, split: str
) -> Evaluation:
    """Scores logits (N, K) of the N faces of a manifest that all have a label.

    Probabilities are mapped to the manifest's schema where that is not the model's.

    Raises:
        DataError: If a face has no label, or numbers do not match.
        ConfigError: If the two schemas have no label in common.
    """
    if len(logits) != len(manifest) or (manifest.class_ids < 0).any():
        raise DataError(
            f"{len(logits)} rows of logits do not fit {len(manifest)} faces, of which "
            f"{int((manifest.class_ids < 0).sum())} have no label",
            hint="Give one row for each face of manifest.with_labels().",
        )
    probs = config.calibrated(logits)
    _tell_unknown(config.schema, manifest)
    mapped = map_probs(probs, config.schema, manifest.schema)
    return Evaluation.of(manifest, mapped, model=config.name, split=split)


def _tell_unknown(own: LabelSchema, manifest: Manifest) -> None:
    """Logs labels of the faces that a model cannot answer."""
    known = mapping_matrix(own, manifest.schema).any(axis=0)
    counts = np.bincount(manifest.class_ids, minlength=len(manifest.schema))
    lost = [manifest.schema.labels[index] for index in np.flatnonzero((counts > 0) & ~known)]
    if lost:
        names, count = ", ".join(lost), f"{int(counts[~known].sum()):,}"
        _LOG.warning(
            "note: %s: the model has no label %s: its %s faces count as wrong. %s",
            manifest.source, names, count, unknown_label(lost[0], own.labels),
            extra={FAULT: f"{count} faces count as wrong: the model has no label {names}"},
        )  # fmt: skip


def evaluate(
    model: EmotionRecognizer | str | Path | None,
    data: Manifest | str | Sequence[str],
    *,
    split: str = "valid",
    labels: str | LabelSchema | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Runs a model over one split of faces that are cropped already, and scores it.

    Faces without a majority label are left out, and so are pictures that cannot be read: these
    are counted in a warning, and named by ``unreadable``.

    Args:
        model: A recognizer, of which the temperature is used; a model folder, a name, or None, the
            bundled model.
        data: A dataset, or its spec ``KIND:PATH[,key=value...]``, or a list of these.
        split: The split to score.
        labels: Labels to read a spec with: a schema or its name; None: the data's own.
        progress: Called with the number of faces just finished.

    Raises:
        DataError: If the split is missing or has no labelled face that can be read.
        ConfigError: If model and dataset have no label in common, or an argument is unknown.
        ModelError: If the model cannot be loaded.

    >>> evaluation = mien.evaluate("runs/train", "folder:faces")
    >>> evaluation.split, evaluation.scores()["n"]
    ('valid', 72)
    """
    from mien.data import as_manifest
    from mien.recognizer import EmotionRecognizer

    recognizer = (
        model if isinstance(model, EmotionRecognizer) else EmotionRecognizer(model, detector="none")
    )
    manifest = as_manifest(data, labels=labels, runs=[recognizer.folder.path])
    part = manifest.split(split).with_labels()
    damaged: dict[int, DataError] = {}
    logits = run_over(recognizer, part, progress=progress, damaged=damaged)
    keep = keep_readable(part, damaged)
    kept = part.select(keep) if damaged else part
    evaluation = evaluate_logits(logits[keep], recognizer.config, kept, split=split)
    return replace(evaluation, unreadable=damaged_keys(part, damaged))


def run_over(
    recognizer: EmotionRecognizer,
    part: Manifest,
    *,
    progress: Callable[[int], None] | None = None,
    damaged: dict[int, DataError] | None = None,
) -> F32:
    """Runs a model over all N ready faces of a manifest: logits (N, K).

    ``damaged`` gets the positions of pictures that cannot be read; without it the first is raised.
    """
    logits: list[F32] = []
    for chunk, faces in load_chunks(part, [recognizer.config.preprocessing], damaged):
        logits.append(recognizer.pipeline.logits(*faces.values()))
        if progress:
            progress(len(chunk))
    return np.concatenate(logits)


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
        data: Name of the dataset, written instead of its path.
        robustness: Rows of corrupted faces, for the report and the card.
        picture: Draws the reliability of the model as a PNG to the path that it is given.
    """
    name, own = evaluation.split, folder.config.schema.labels
    if evaluation.labels != own:
        known = (s.name for s in SCHEMAS.values() if s.labels == evaluation.labels)
        name += f"-{next(known, 'other')}"
    refuse_bundled(folder.path)
    (folder.path / "eval").mkdir(exist_ok=True)
    report = {**evaluation.to_dict(), "data": data}
    if robustness:
        report["robustness"] = [row.to_dict() for row in robustness]
    write_text(folder.path / "eval" / f"{name}.json", json.dumps(report, indent=2) + "\n")
    if picture:
        with replacing(folder.path / "eval" / f"{name}.png") as temporary:
            picture(temporary)
    else:  # The picture of an earlier evaluation would show other numbers.
        (folder.path / "eval" / f"{name}.png").unlink(missing_ok=True)
    scores = {**evaluation.scores(), "data": data}
    config = replace(folder.config, metrics={**folder.config.metrics, name: scores})
    return write_config_and_card(folder.path, config)
