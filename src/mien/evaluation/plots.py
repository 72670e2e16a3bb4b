"""The diagrams of the evaluation report, as matplotlib figures (extra ``eval``)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.reporting.theme import CLASS_COLORS, add_legend, label_axes, new_figure, series_style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mien.arrays import F64, Bools
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


def plot_confusion(
    evaluation: Evaluation, theme: Theme, *, normalised: bool, title: str = ""
) -> Figure:
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
    figure.suptitle(title, fontsize=9.5, color=theme.ink)
    size = 8.5 if K <= 10 else 6.5
    for i, j in np.argwhere(counts).tolist():
        text = f"{counts[i, j]}"
        if normalised:
            text = f"{shares[i, j] * 100:.0f}" if shares[i, j] >= 0.005 else "<1"
        dark = np.dot(to_rgb(ramp(float(shares[i, j]))), (0.299, 0.587, 0.114)) < 0.55
        color = "#ffffff" if dark else "#10151c"
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color=color)
    return figure


def plot_classes(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws precision, recall and F1 of each class, recall with its 95 % interval."""
    K, counts = len(evaluation.labels), evaluation.confusion
    scores = metrics.per_class(counts)
    figure, axes = new_figure(theme, 6.4, max(2.6, 0.55 * K + 1.0))
    y = np.arange(K)
    axes.barh(y - 0.26, scores.precision, height=0.24, color=theme.line, label="precision")
    axes.barh(y, scores.recall, height=0.24, color=theme.accent, label="recall")
    axes.barh(y + 0.26, scores.f1, height=0.24, color=theme.second, label="F1")
    for index, support in enumerate(scores.support.tolist()):
        if support:
            interval = metrics.wilson_interval(int(counts[index, index]), support)
            axes.plot(interval, [index, index], color=theme.ink, linewidth=1.1)
    names = [f"{x}  ({n})" for x, n in zip(evaluation.labels, scores.support, strict=True)]
    axes.set_yticks(y, names)
    axes.set(xlim=(0, 1), ylim=(K - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    add_legend(axes, theme, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def _draw_curves(
    axes: Axes,
    evaluation: Evaluation,
    curve: Callable[..., Any],
    area: Callable[..., float],
    **style: Any,
) -> None:
    """Draws a curve of (x, y) for each class that has faces, named with its area."""
    for k, label in enumerate(evaluation.labels):
        truth, probs = evaluation.class_ids == k, evaluation.probs[:, k]
        if truth.any():
            color, name = CLASS_COLORS[k % len(CLASS_COLORS)], f"{label}  {area(truth, probs):.3f}"
            axes.plot(*curve(truth, probs)[:2], color=color, linewidth=1.6, label=name, **style)


def _diagonal(axes: Axes, theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.9, linestyle=(0, (4, 3)))


def plot_roc(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws one-against-the-rest ROC curves with their areas (scikit-learn)."""
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, axes = new_figure(theme)
    _diagonal(axes, theme)
    if len(np.unique(evaluation.class_ids)) > 1:
        _draw_curves(axes, evaluation, roc_curve, roc_auc_score)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    label_axes(axes, theme, "false positive rate", "true positive rate")
    add_legend(axes, theme, loc="lower right", title=None)
    return figure


def plot_precision_recall(evaluation: Evaluation, theme: Theme) -> Figure:
    """Draws one-against-the-rest precision-recall curves with average precision."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def curve(truth: Bools, probs: F64) -> Any:
        precision, recall, _ = precision_recall_curve(truth, probs)
        return recall, precision

    figure, axes = new_figure(theme, 6.6)
    _draw_curves(axes, evaluation, curve, average_precision_score, drawstyle="steps-post")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    label_axes(axes, theme, "recall", "precision")
    add_legend(axes, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_reliability(evaluation: Evaluation, theme: Theme, bins: int = 15) -> Figure:
    """Draws accuracy against confidence, each bin with its 95 % interval."""
    found = metrics.reliability_bins(evaluation.probs, evaluation.class_ids, bins)
    figure, axes = new_figure(theme, 5.6)
    _diagonal(axes, theme)
    for n, x, share in zip(found.count.tolist(), found.confidence, found.accuracy, strict=True):
        if n:
            axes.vlines(x, *metrics.wilson_interval(round(share * n), n), color=theme.accent)
            axes.plot(x, share, "o", color=theme.accent, markersize=5)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
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
        color, marker = series_style(index)
        axes.plot(range(len(values)), values, f"{marker}-", color=color, label=kind, markersize=3.5)
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
