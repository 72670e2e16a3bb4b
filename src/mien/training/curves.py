"""The curves of a run, drawn from its ``metrics.csv``."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from PIL import Image

from mien.atomic import replacing
from mien.reporting.theme import LIGHT, add_legend, label_axes, new_figure, to_png

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TRAIN, _VALID = ("training", LIGHT.second), ("validation", LIGHT.accent)


def draw_curves(metrics: Path, output: Path) -> None:
    """Draws loss and accuracy by epoch side by side into one PNG; the best epoch is marked.

    Args:
        metrics: The ``metrics.csv`` of a run.
        output: The picture, written whole or not at all.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    with metrics.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = {
        name: [float(row[name]) if row[name] else float("nan") for row in rows]
        for name in ("epoch", "train_loss", "valid_loss", "valid_accuracy")
    }
    epochs = columns["epoch"]
    losses = _panel(
        epochs, "loss", [(*_TRAIN, columns["train_loss"]), (*_VALID, columns["valid_loss"])]
    )
    accuracy = columns["valid_accuracy"]
    right = _panel(epochs, "validation accuracy", [(*_VALID, accuracy)], mark_best=True)
    page = Image.new("RGB", (losses.width + right.width, losses.height), LIGHT.paper)
    page.paste(losses, (0, 0))
    page.paste(right, (losses.width, 0))
    with replacing(output) as temporary:
        page.save(temporary)


def _panel(
    epochs: Sequence[float],
    what: str,
    lines: Sequence[tuple[str, str, Sequence[float]]],
    *,
    mark_best: bool = False,
) -> Image.Image:
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(LIGHT, 5.2, 3.6)
    dots = "o" if len(epochs) < 3 else ""  # a line through one point shows nothing
    for name, color, values in lines:
        axes.plot(epochs, values, color=color, label=name, linewidth=1.8, marker=dots)
    if mark_best:
        values = lines[0][2]
        best = max(range(len(values)), key=lambda index: values[index])
        axes.plot(
            epochs[best], values[best], "o",
            markerfacecolor="none", markeredgecolor=LIGHT.second, markersize=9,
        )  # fmt: skip
        axes.text(
            0.98, 0.05, f"best: {values[best]:.1%} in epoch {epochs[best]:.0f}",
            transform=axes.transAxes, ha="right", fontsize=9, color=LIGHT.ink,
        )  # fmt: skip
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    else:
        add_legend(axes, LIGHT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.12)
    label_axes(axes, LIGHT, "epoch", what)
    return Image.open(io.BytesIO(to_png(figure))).convert("RGB")
