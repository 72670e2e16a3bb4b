"""Diagrams of a study: the values of its trials, and which keys mattered (extra ``eval``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.reporting import LIGHT
from mien.reporting.theme import add_legend, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mien.training.tuning.result import TuneResult

_NAMES = {"macro_f1": "macro-F1", "valid_loss": "loss"}


def plot_history(result: TuneResult) -> Figure:
    """Draws the value of each trial by its number, and the best one so far."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(LIGHT, 6.4, 3.8)
    best = max if result.maximise else min
    so_far: list[float] = []
    numbers: list[int] = []
    for state, color, mark in (("pruned", LIGHT.faint, "x"), ("complete", LIGHT.accent, "o")):
        rows = [row for row in result.rows if row.state == state and row.value is not None]
        values = [row.value or 0.0 for row in rows]
        if rows:
            axes.plot(
                [row.number for row in rows], values, mark, color=color, markersize=5.5, label=state
            )
        if state == "complete":
            numbers = [row.number for row in rows]
            so_far = [best(values[: index + 1]) for index in range(len(values))]
    if numbers:
        last = max(row.number for row in result.rows)
        axes.step(
            [*numbers, last], [*so_far, so_far[-1]], where="post", color=LIGHT.second,
            linewidth=1.8, label="best so far",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.12)
    add_legend(axes, LIGHT)
    label_axes(axes, LIGHT, "trial", f"{_name(result)}, validation faces")
    return figure


def plot_importances(result: TuneResult) -> Figure:
    """Draws each key's share in the spread of the values, the largest at the top."""
    pairs = list(reversed(result.importances.items()))
    figure, axes = new_figure(LIGHT, 6.4, 1.2 + 0.36 * len(pairs))
    bars = axes.barh(
        [key for key, _ in pairs], [share for _, share in pairs], color=LIGHT.accent, height=0.62
    )
    axes.bar_label(
        bars, [f"{share:.0%}" for _, share in pairs], padding=4, color=LIGHT.ink, fontsize=9
    )
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.1 * max(*result.importances.values(), 0.01))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    label_axes(axes, LIGHT, f"share in the spread of the {_name(result)}", "")
    return figure


def _name(result: TuneResult) -> str:
    return _NAMES.get(result.metric, result.metric)
