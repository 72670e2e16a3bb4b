"""The curves of a run, drawn from its ``metrics.csv`` (extra ``eval``)."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from mien.reporting import LIGHT, save_figure
from mien.reporting.theme import add_legend, label_axes, new_panels

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from mien.reporting import Theme


def draw_curves(metrics: Path, output: Path) -> None:
    """Draws loss and accuracy by epoch side by side into one PNG; the best epoch is marked.

    Args:
        metrics: The ``metrics.csv`` of a run.
        output: The picture, written whole or not at all.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    save_figure(plot_curves(metrics), output)


def plot_curves(metrics: Path, theme: Theme = LIGHT) -> Figure:
    """Returns the figure of :func:`draw_curves`.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with metrics.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    epochs, train_loss, valid_loss, accuracy = (
        [float(row[name]) if row[name] else float("nan") for row in rows]
        for name in ("epoch", "train_loss", "valid_loss", "valid_accuracy")
    )
    figure, (left, right) = new_panels(theme, 2, 10.4, 3.6)
    dots = "o" if len(epochs) < 3 else ""  # a line through one point shows nothing
    for name, color, values in (
        ("training", theme.second, train_loss), ("validation", theme.accent, valid_loss),
    ):  # fmt: skip
        left.plot(epochs, values, color=color, label=name, linewidth=1.8, marker=dots)
    add_legend(left, theme)
    right.plot(epochs, accuracy, color=theme.accent, linewidth=1.8, marker=dots)
    best = max(range(len(accuracy)), key=accuracy.__getitem__)
    right.plot(
        epochs[best], accuracy[best], "o",
        markerfacecolor="none", markeredgecolor=theme.second, markersize=9,
    )  # fmt: skip
    right.text(
        0.98, 0.05, f"best: {accuracy[best]:.1%} in epoch {epochs[best]:.0f}",
        transform=right.transAxes, ha="right", fontsize=9, color=theme.ink,
    )  # fmt: skip
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes, what in ((left, "loss"), (right, "validation accuracy")):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.12)
        label_axes(axes, theme, "epoch", what)
    return figure
