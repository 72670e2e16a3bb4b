"""The picture of a comparison (extra ``eval``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.reporting.theme import CLASS_COLORS, add_legend, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mien.comparison.runs import RunComparison
    from mien.reporting import Theme

#: Marks of the runs; the next shape where the colours begin again.
_SHAPES = ("o", "s", "^", "D")


def plot_cost(comparison: RunComparison, theme: Theme) -> Figure:
    """Draws accuracy with its 95 % interval against cost: milliseconds, or megabytes.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure, axes = new_figure(theme, 7.6, 4.6)
    from matplotlib.ticker import LogLocator

    timed = all(row.latency_ms is not None for row in comparison.rows)
    for index, row in enumerate(comparison.rows):
        cost = row.latency_ms[0] if row.latency_ms else row.costs.bytes / 1e6
        low, high = (100 * value for value in row.scores["accuracy_ci"])
        color = CLASS_COLORS[(index + 3) % len(CLASS_COLORS)]
        shape = _SHAPES[index // len(CLASS_COLORS) % len(_SHAPES)]
        axes.vlines(cost, low, high, color=color, linewidth=1.2)
        axes.plot(
            cost, 100 * row.scores["accuracy"], shape, color=color, markersize=6, label=row.run
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.15)
    label_axes(
        axes, theme, "milliseconds per face (log)" if timed else "megabytes (log)", "accuracy, %"
    )
    add_legend(axes, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
