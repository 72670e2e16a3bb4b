"""The diagrams of the evaluation report, as matplotlib figures (extra ``eval``)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mien import metrics
from mien.reporting.theme import CLASS_COLORS, add_legend, label_axes, new_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from mien.evaluation.robustness import RobustnessRow
    from mien.evaluation.scores import Evaluation
    from mien.reporting.theme import Theme

__all__ = [
    "PLOTS",
    "plot_classes",
    "plot_confidence",
    "plot_confusion",
    "plot_corruptions",
    "plot_precision_recall",
    "plot_reliability",
    "plot_roc",
]


def plot_confusion(evaluation: Evaluation, theme: Theme, *, normalised: bool) -> Figure:
    """Draws the confusion matrix: counts, or percent of each true class."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    K, counts = len(evaluation.labels), evaluation.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.4, 1.7 + 0.5 * K), 12.0)
    figure, axes = new_figure(theme, side + 0.4, side)
    axes.grid(visible=False)
    ramp = LinearSegmentedColormap.from_list("mien", theme.heat)
    axes.imshow(shares, cmap=ramp, vmin=0, vmax=1, aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(range(K), evaluation.labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(K), evaluation.labels)
    label_axes(axes, theme, "predicted", "true")
    for i in range(K):
        for j in range(K):
            if not counts[i, j]:
                continue
            text = f"{counts[i, j]}"
            if normalised:
                text = f"{shares[i, j] * 100:.0f}" if shares[i, j] >= 0.005 else "<1"
            red, green, blue = to_rgb(ramp(float(shares[i, j])))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            axes.text(
                j, i, text, ha="center", va="center", fontsize=8.5 if K <= 10 else 6.5,
                color="#ffffff" if dark else "#10151c",
            )  # fmt: skip
    return figure


def plot_classes(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws precision, recall and F1 of each class, recall with its 95 % interval."""
    K, counts = len(evaluation.labels), evaluation.confusion
    scores = metrics.per_class(counts)
    figure, axes = new_figure(theme, 6.4, max(2.6, 0.55 * K + 1.0))
    y = np.arange(K)
    rows = (
        ("precision", scores.precision, theme.line, -0.26),
        ("recall", scores.recall, theme.accent, 0.0),
        ("F1", scores.f1, theme.second, 0.26),
    )
    for name, values, color, offset in rows:
        axes.barh(y + offset, values, height=0.24, color=color, label=name)
    for index in range(K):
        support = int(scores.support[index])
        if support:
            low, high = metrics.wilson_interval(int(counts[index, index]), support)
            axes.plot([low, high], [index, index], color=theme.ink, linewidth=1.1)
    names = [f"{x}  ({n})" for x, n in zip(evaluation.labels, scores.support, strict=True)]
    axes.set_yticks(y, names)
    axes.set_ylim(K - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    add_legend(axes, theme, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def _colored(evaluation: Evaluation) -> list[tuple[int, str, str]]:
    present = [k for k in range(len(evaluation.labels)) if (evaluation.class_ids == k).any()]
    return [(k, evaluation.labels[k], CLASS_COLORS[k % len(CLASS_COLORS)]) for k in present]


def plot_roc(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws one-against-the-rest ROC curves with their areas (scikit-learn)."""
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, axes = new_figure(theme)
    axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.9, linestyle=(0, (4, 3)))
    for k, label, color in _colored(evaluation):
        truth = evaluation.class_ids == k
        if truth.all():
            continue
        fpr, tpr, _ = roc_curve(truth, evaluation.probs[:, k])
        area = roc_auc_score(truth, evaluation.probs[:, k])
        axes.plot(fpr, tpr, color=color, linewidth=1.6, label=f"{label}  {area:.3f}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    label_axes(axes, theme, "false positive rate", "true positive rate")
    add_legend(axes, theme, loc="lower right", title=None)
    return figure


def plot_precision_recall(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws one-against-the-rest precision-recall curves with average precision."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = new_figure(theme, 6.6)
    for k, label, color in _colored(evaluation):
        truth = evaluation.class_ids == k
        precision, recall, _ = precision_recall_curve(truth, evaluation.probs[:, k])
        area = average_precision_score(truth, evaluation.probs[:, k])
        axes.plot(
            recall, precision, color=color, linewidth=1.6, label=f"{label}  {area:.3f}",
            drawstyle="steps-post",
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    label_axes(axes, theme, "recall", "precision")
    add_legend(axes, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_reliability(evaluation: Evaluation, theme: Theme, bins: int = 15) -> Figure:
    """Draws accuracy against confidence, each bin with its 95 % interval."""
    found = metrics.reliability_bins(evaluation.probs, evaluation.class_ids, bins)
    figure, axes = new_figure(theme, 5.6)
    axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.9, linestyle=(0, (4, 3)))
    full = found.count > 0
    hits = (found.accuracy * found.count).round().astype(int)
    bounds = [
        metrics.wilson_interval(int(hit), int(n))
        for hit, n in zip(hits[full], found.count[full], strict=True)
    ]
    x = found.confidence[full]
    axes.vlines(x, [low for low, _ in bounds], [high for _, high in bounds], color=theme.accent)
    axes.plot(x, found.accuracy[full], "o", color=theme.accent, markersize=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    label_axes(axes, theme, "confidence", "share that is right")
    return figure


def plot_confidence(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws the confidence of the model where it is right and where it is wrong."""
    figure, axes = new_figure(theme, 5.6)
    confidence = evaluation.probs.max(axis=1)
    right = evaluation.predicted == evaluation.class_ids
    axes.hist(
        [confidence[right], confidence[~right]], bins=list(np.linspace(0, 1, 21)), stacked=True,
        color=[theme.accent, theme.second], label=["right", "wrong"], rwidth=0.9,
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="x")
    label_axes(axes, theme, "confidence", "faces")
    add_legend(axes, theme, loc="upper left")
    return figure


def plot_corruptions(rows: Sequence[RobustnessRow], theme: Theme) -> Figure:
    """Draws accuracy against the severity of each corruption."""
    figure, axes = new_figure(theme, 6.6)
    clean = next(row for row in rows if row.severity == 0)
    kinds = list(dict.fromkeys(row.condition for row in rows if row.severity))
    for index, kind in enumerate(kinds):
        steps = [row for row in rows if row.condition == kind]
        values = [clean.hits / clean.n, *(row.hits / row.n for row in steps)]
        color = CLASS_COLORS[(index + 1) % len(CLASS_COLORS)]
        axes.plot(range(len(values)), values, "o-", color=color, label=kind, markersize=3.5)
    axes.set_ylim(0, 1)
    axes.set_xticks(range(6), ["none", "1", "2", "3", "4", "5"])
    label_axes(axes, theme, "severity", "accuracy")
    add_legend(axes, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


#: The diagrams of an evaluation by name.
PLOTS: dict[str, Callable[[Evaluation, Theme], Figure]] = {
    "confusion": partial(plot_confusion, normalised=True),
    "confusion-counts": partial(plot_confusion, normalised=False),
    "classes": plot_classes,
    "roc": plot_roc,
    "precision-recall": plot_precision_recall,
    "reliability": plot_reliability,
    "confidence": plot_confidence,
}
