"""Where a photo's time goes, drawn (extra ``eval``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.benchmarking.measuring import STAGES
from mien.reporting.theme import CLASS_COLORS, add_legend, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mien.benchmarking.report import BenchmarkReport
    from mien.reporting import Theme


def plot_stages(report: BenchmarkReport, theme: Theme) -> Figure:
    """Draws the stages of a photo, a group of bars for each model, with their quartiles.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    count = len(report.models)
    figure, axes = new_figure(theme, 7.6, 1.4 + 0.34 * count * len(STAGES))
    for row, stage in enumerate(STAGES):
        for index, figures in enumerate(report.models):
            spread = figures.photo_ms[stage]
            y = row + (index - (count - 1) / 2) * 0.8 / count
            color = CLASS_COLORS[(index + 3) % len(CLASS_COLORS)]
            name = figures.model if row == 0 else None
            axes.barh(y, spread.median, height=0.7 / count, color=color, label=name)
            axes.hlines(y, spread.low, spread.high, color=theme.ink, linewidth=1.2)
            axes.annotate(
                f"{spread.median:.2f}", (max(spread.median, spread.high), y), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=8.5, color=theme.ink,
            )  # fmt: skip
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    label_axes(axes, theme, "milliseconds per photo: median, quartiles as a line", "")
    add_legend(axes, theme, loc="lower right")
    return figure
